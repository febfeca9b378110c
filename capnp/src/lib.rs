//! isolith-capnp
