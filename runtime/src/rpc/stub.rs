//! Capabilities of services, as capnp-rpc serves them to clients.

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use capnp::any_pointer;
use capnp::capability::{
    DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server,
};
use capnp::private::capability::ClientHook;

use super::session::Session;
use crate::shard::outside::{Callee, Method};

/// An export or a capability that a session has. Dropped when the client holds it no more.
pub(super) struct Stub {
    pub(super) session: Rc<Session>,
    pub(super) callee: Callee,
    /// How often the shard has given it.
    pub(super) received: Cell<i32>,
}

impl Stub {
    /// What capnp-rpc calls it by: always as the same capability.
    pub(super) fn hook(self: &Rc<Self>) -> Box<dyn ClientHook> {
        capnp_rpc::new_client_from_rc::<StubClient, Stub>(Rc::clone(self)).0
    }

    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.session.forget(self);
    }
}

/// Any interface: what it has is the service's to say.
pub(super) struct StubClient(Box<dyn ClientHook>);

impl FromClientHook for StubClient {
    fn new(hook: Box<dyn ClientHook>) -> Self {
        StubClient(hook)
    }

    fn into_client_hook(self) -> Box<dyn ClientHook> {
        self.0
    }

    fn as_client_hook(&self) -> &dyn ClientHook {
        &*self.0
    }
}

impl FromServer<Stub> for StubClient {
    type Dispatch = Dispatch;

    fn from_server(stub: Rc<Stub>) -> Dispatch {
        Dispatch(stub)
    }
}

#[derive(Clone)]
pub(super) struct Dispatch(Rc<Stub>);

impl Deref for Dispatch {
    type Target = Stub;

    fn deref(&self) -> &Stub {
        &self.0
    }
}

impl Server for Dispatch {
    fn dispatch_call(
        self,
        interface: u64,
        ordinal: u16,
        params: Params<any_pointer::Owned>,
        mut results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        let session = Rc::clone(&self.session);
        let method = Method { interface, ordinal };
        let promise = match session.call(self.callee, method, &params) {
            Err(error) => Promise::err(session.to_client(&error)),
            Ok(call) => Promise::from_future(async move {
                // The stub stays as long as its call.
                let _stub = self;
                let answer = call.answer().await;
                let answer = answer.map_err(|error| session.to_client(&error))?;
                session.fill(&answer, &mut results.hook.get()?)
            }),
        };
        // Which methods stream, the isolate knows.
        DispatchCallResult::new(promise, false)
    }

    fn as_ptr(&self) -> usize {
        self.0.address()
    }
}
