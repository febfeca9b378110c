//! Native services: what they read and write lies where the isolates have it.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use capnp::any_pointer;
use capnp::capability::{
    DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server,
};
use capnp::private::capability::ClientHook;
use isolith_capnp::bundle_capnp::envelope;

use super::*;
use crate::native::NativeCode;

/// Where the native service saw the bytes that it got, and those that it wrote.
#[derive(Default)]
struct Places {
    read_at: AtomicUsize,
    written_at: AtomicUsize,
}

/// Serves `Blobs.keep`: gives the bytes back, in memory of its own.
struct Keeper(Arc<Places>);

struct Untyped(Box<dyn ClientHook>);

#[derive(Clone)]
struct Dispatch(Rc<Keeper>);

impl Keeper {
    fn keep(
        &self,
        params: &Params<any_pointer::Owned>,
        results: &mut Results<any_pointer::Owned>,
    ) -> capnp::Result<()> {
        // A struct whose first pointer is Data, as that of the params and of the results is.
        let params: envelope::Reader<'_> = params.hook.get()?.get_as()?;
        let blob = params.get_content()?;
        self.0
            .read_at
            .store(blob.as_ptr() as usize, Ordering::Relaxed);
        let results: envelope::Builder<'_> = results.hook.get()?.init_as();
        let kept = results.init_content(blob.len() as u32);
        kept.copy_from_slice(blob);
        let place = kept.as_ptr() as usize;
        self.0.written_at.store(place, Ordering::Relaxed);
        Ok(())
    }
}

impl FromClientHook for Untyped {
    fn new(hook: Box<dyn ClientHook>) -> Self {
        Untyped(hook)
    }

    fn into_client_hook(self) -> Box<dyn ClientHook> {
        self.0
    }

    fn as_client_hook(&self) -> &dyn ClientHook {
        &*self.0
    }
}

impl FromServer<Keeper> for Untyped {
    type Dispatch = Dispatch;

    fn from_server(keeper: Rc<Keeper>) -> Dispatch {
        Dispatch(keeper)
    }
}

impl Deref for Dispatch {
    type Target = Keeper;

    fn deref(&self) -> &Keeper {
        &self.0
    }
}

impl Server for Dispatch {
    fn dispatch_call(
        self,
        _: u64,
        _: u16,
        params: Params<any_pointer::Owned>,
        mut results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        let kept = self.keep(&params, &mut results);
        DispatchCallResult::new(Promise::from(kept), false)
    }

    fn as_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }
}

#[test]
fn what_moves_is_read_in_place_on_either_side() {
    on_shard(|| async {
        let places = Arc::new(Places::default());
        let told = Arc::clone(&places);
        let code = NativeCode::of_one(move |_| {
            capnp_rpc::new_client::<Untyped, _>(Keeper(Arc::clone(&told))).into_client_hook()
        });
        let schema = SampleSchema::new(SCHEMA).unwrap();
        let native = Program {
            native: Some(Arc::new(code)),
            ..Arc::into_inner(schema.program(&BLOBS).unwrap()).unwrap()
        };
        let programs = [schema.program(&SENDER).unwrap(), Arc::new(native)];
        let set = solve_samples(&programs, "sender").unwrap();
        let (shard, routing) = serve_samples(&programs, &set, "sender", Limits::ample())
            .await
            .unwrap();
        tokio::task::spawn_local(Rc::clone(&shard).pump());
        let world = World { shard, routing };
        // The last one ends inside of a word.
        for bytes in [1 << 20, 100_001] {
            world
                .call("sender", "prepare", &format!("{{\"bytes\": {bytes}}}"))
                .await;
            let made_at = world.seen_at("sender");
            let reply = world.call("sender", "send", "{}").await;
            assert_eq!(reply["size"], bytes);
            assert_eq!(places.read_at.load(Ordering::Relaxed), made_at);
            // The landing pad of the pointer to the bytes stands before them.
            let written_at = places.written_at.load(Ordering::Relaxed);
            assert_eq!(world.seen_at("sender") + 8, written_at);
        }
    });
}
