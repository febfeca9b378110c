//! Objects of a native service that it gave to others.

use std::collections::HashMap;

use capnp::private::capability::ClientHook;
use slab::Slab;

use crate::isolate::keys::RootKey;

/// What was given, by index. An object that is given in two requests has an index for each: it is
/// taken back at the request's end.
#[derive(Default)]
pub(super) struct Given {
    objects: Slab<Object>,
    indexes: HashMap<RootKey, HashMap<Place, usize>>,
}

/// Brand and address of a hook; nothing else has them while it is held.
type Place = (usize, usize);

struct Object {
    hook: Box<dyn ClientHook>,
    root: RootKey,
    place: Place,
    /// How often it was sent.
    sent: i32,
}

impl Given {
    /// Sends an object once more: its index.
    pub(super) fn send(&mut self, hook: Box<dyn ClientHook>, root: RootKey) -> Option<i32> {
        let place = (hook.get_brand(), hook.get_ptr());
        let of_root = self.indexes.entry(root).or_default();
        let index = *of_root.entry(place).or_insert_with(|| {
            self.objects.insert(Object {
                hook,
                root,
                place,
                sent: 0,
            })
        });
        let object = self.objects.get_mut(index)?;
        object.sent = object.sent.saturating_add(1);
        i32::try_from(index).ok()
    }

    pub(super) fn get(&self, index: i32) -> Option<Box<dyn ClientHook>> {
        let object = self.objects.get(usize::try_from(index).ok()?)?;
        Some(object.hook.add_ref())
    }

    /// Of what was sent of an object, so much is held no more. Returns the object if that was all,
    /// for the caller to drop.
    pub(super) fn dropped(&mut self, index: i32, count: i32) -> Option<Box<dyn ClientHook>> {
        let index = usize::try_from(index).ok()?;
        let object = self.objects.get_mut(index)?;
        object.sent = object.sent.saturating_sub(count);
        if object.sent > 0 {
            return None;
        }
        let object = self.objects.try_remove(index)?;
        if let Some(of_root) = self.indexes.get_mut(&object.root) {
            of_root.remove(&object.place);
            if of_root.is_empty() {
                self.indexes.remove(&object.root);
            }
        }
        Some(object.hook)
    }

    /// The request is over. Returns what was given in it, for the caller to drop.
    pub(super) fn end(&mut self, root: RootKey) -> Vec<Box<dyn ClientHook>> {
        let indexes = self.indexes.remove(&root).unwrap_or_default();
        let objects = indexes.into_values();
        let objects = objects.filter_map(|index| self.objects.try_remove(index));
        objects.map(|object| object.hook).collect()
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    fn object() -> Box<dyn ClientHook> {
        capnp_rpc::new_broken_cap(capnp::Error::failed("nothing".into())).hook
    }

    #[test]
    fn an_object_has_one_index_in_a_request_until_all_of_it_is_dropped() {
        let mut roots = SlotMap::<RootKey, ()>::with_key();
        let (first, second) = (roots.insert(()), roots.insert(()));
        let (one, other) = (object(), object());
        let mut given = Given::default();
        let index = given.send(one.add_ref(), first).unwrap();
        assert_eq!(given.send(one.add_ref(), first), Some(index));
        assert_ne!(given.send(other.add_ref(), first), Some(index));
        let elsewhere = given.send(one.add_ref(), second).unwrap();
        assert_ne!(elsewhere, index);

        assert!(given.dropped(index, 1).is_none());
        assert!(given.get(index).is_some());
        assert!(given.dropped(index, 1).is_some());
        assert!(given.get(index).is_none());
        // It is given anew, beside what the other request has.
        let again = given.send(one, first).unwrap();
        assert_eq!(given.end(first).len(), 2);
        assert!(given.get(again).is_none() && given.get(elsewhere).is_some());
        assert_eq!(given.end(second).len(), 1);
        assert!(given.objects.is_empty() && given.indexes.is_empty());
    }
}
