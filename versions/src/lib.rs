//! isolith-versions
