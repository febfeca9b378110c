//! Which moved buffers an isolate has mapped already.
//!
//! A blob often passes an isolate more than once: a cached file is sent to many callers, a
//! gateway gets back what it forwarded. Each new `ArrayBuffer` over it would tell V8 of another
//! 1 MiB in use and so force a collection every few dozen calls, which measured 20 us a call. So
//! an isolate maps a backing store once and uses that object again while it is alive.

use rustc_hash::FxHashMap;

use super::Segment;

/// Objects that a [`Blobs`] remembers; past it, those that V8 has collected are forgotten.
const REMEMBERED_BUFFERS: usize = 256;

/// The immutable buffers of one isolate, by the address of their bytes.
#[derive(Default)]
pub(super) struct Blobs {
    mapped: FxHashMap<usize, v8::Weak<v8::ArrayBuffer>>,
    /// Bytes of what was mapped since they were taken note of.
    new_bytes: usize,
}

impl Blobs {
    /// Remembers a buffer that lives in the isolate.
    pub(super) fn remember<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        segment: &Segment,
        buffer: v8::Local<'s, v8::ArrayBuffer>,
    ) {
        let address = address(&segment.store);
        if self
            .mapped
            .get(&address)
            .is_some_and(|known| !known.is_empty())
        {
            return;
        }
        if self.mapped.len() >= REMEMBERED_BUFFERS {
            self.mapped.retain(|_, buffer| !buffer.is_empty());
            // All alive: begin anew rather than grow.
            if self.mapped.len() >= REMEMBERED_BUFFERS {
                self.mapped.clear();
            }
        }
        self.mapped.insert(address, v8::Weak::new(scope, buffer));
    }

    /// Bytes of what was mapped since this was last asked.
    pub(super) fn take_new_bytes(&mut self) -> usize {
        std::mem::take(&mut self.new_bytes)
    }

    /// The segment's buffer in the isolate: the object that is there already, or a new one.
    ///
    /// An address names a backing store for certain while an object over it is alive, for that
    /// keeps the store alive.
    pub(super) fn map<'s>(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        segment: &Segment,
    ) -> v8::Local<'s, v8::ArrayBuffer> {
        let known = self
            .mapped
            .get(&address(&segment.store))
            .and_then(|known| known.to_local(scope));
        if let Some(buffer) = known
            && buffer.byte_length() == segment.store.byte_length()
        {
            return buffer;
        }
        self.new_bytes += segment.store.byte_length();
        let buffer = v8::ArrayBuffer::with_backing_store(scope, &segment.store);
        self.remember(scope, segment, buffer);
        buffer
    }
}

/// Where a backing store's bytes begin.
pub(crate) fn address(store: &v8::BackingStore) -> usize {
    store.data().map_or(0, |data| data.as_ptr() as usize)
}
