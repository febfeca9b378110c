//! isolith-services
