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

/// A key in the two words of a record.
pub(crate) fn to_words(key: impl slotmap::Key) -> (i32, i32) {
    let bits = key.data().as_ffi();
    // The halves of 64 bits, kept as they are.
    (bits as u32 as i32, (bits >> 32) as u32 as i32)
}

/// The bit of the first word that marks a root as that of a shadow request. No table is so large
/// that a key would need it. JavaScript hands the words on as they are, and so the mark with them.
const SHADOW: u64 = 1 << 31;

/// A root's key in the two words of a record, marked if it is that of a shadow request.
pub(crate) fn root_words(root: RootKey, shadow: bool) -> (i32, i32) {
    let (low, high) = to_words(root);
    match shadow {
        true => (low | i32::MIN, high),
        false => (low, high),
    }
}

/// The key that two words of a record carry.
pub(crate) fn from_words<K: slotmap::Key>((low, high): (i32, i32)) -> K {
    let bits = u64::from(low as u32) | (u64::from(high as u32) << 32);
    K::from(slotmap::KeyData::from_ffi(bits & !SHADOW))
}
