//! The keys that cross between host and JavaScript: of roots, of calls and of capabilities.
//!
//! A key's generation tells a slot's former tenants from its present one, so that a late answer,
//! or a call in the name of a request that is over, finds nothing.

slotmap::new_key_type! {
    /// Names a root on its shard.
    pub(crate) struct RootKey;

    /// Names a call on its shard.
    pub(crate) struct CallKey;

    /// Names a capability on its shard.
    pub(crate) struct CapabilityKey;
}

/// A key that crosses in two words.
pub(crate) trait Named: slotmap::Key {
    /// The bits of the first word that are no part of the name. No table is so large that a key
    /// would need them.
    const MARKS: u32 = 0;
}

impl Named for CallKey {}
impl Named for CapabilityKey {}
impl Named for RootKey {
    const MARKS: u32 = SHADOW | (NESTED_MAX << NESTED_SHIFT);
}

/// The bit of the first word that marks a root as that of a shadow request. JavaScript hands the
/// words on as they are, and so the marks with them.
const SHADOW: u32 = 1 << 31;
/// Below it, how deep the code that bears the words is nested in calls of its request.
const NESTED_SHIFT: u32 = 23;
/// The deepest that the words can tell.
pub(crate) const NESTED_MAX: u32 = 0xff;

/// 64 bits in two words of a record, the lower half first.
pub(crate) fn split(bits: u64) -> (i32, i32) {
    (bits as u32 as i32, (bits >> 32) as u32 as i32)
}

/// The 64 bits that two words of a record carry.
pub(crate) fn join((low, high): (i32, i32)) -> u64 {
    u64::from(low as u32) | (u64::from(high as u32) << 32)
}

/// A key in the two words of a record.
pub(crate) fn to_words(key: impl slotmap::Key) -> (i32, i32) {
    split(key.data().as_ffi())
}

/// A root's key in the two words of a record, marked if it is that of a shadow request.
pub(crate) fn root_words(root: RootKey, shadow: bool) -> (i32, i32) {
    let (low, high) = to_words(root);
    match shadow {
        true => (low | i32::MIN, high),
        false => (low, high),
    }
}

/// How many calls deep the code is that bears these words of its root.
pub(crate) fn nesting((low, _): (i32, i32)) -> u32 {
    (low as u32 >> NESTED_SHIFT) & NESTED_MAX
}

/// The words of a root for the callee of code that bears `words`, which is less than
/// [`NESTED_MAX`] deep.
pub(crate) fn nested((low, high): (i32, i32)) -> (i32, i32) {
    (low.wrapping_add(1 << NESTED_SHIFT), high)
}

/// The key that two words of a record carry.
pub(crate) fn from_words<K: Named>(words: (i32, i32)) -> K {
    let bits = join(words) & !u64::from(K::MARKS);
    K::from(slotmap::KeyData::from_ffi(bits))
}
