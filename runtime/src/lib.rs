//! isolith-runtime
