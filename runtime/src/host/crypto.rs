//! placeholder
use super::convert::Op;
pub(super) fn ops() -> Vec<Op> {
    vec![]
}
