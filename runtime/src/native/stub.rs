//! What native code calls other services by, and what its methods write to: `capnp`'s hooks, without
//! a copy of a message.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use capnp::MessageSize;
use capnp::any_pointer;
use capnp::capability::{Client, Promise, RemotePromise, Request, Response};
use capnp::private::capability::{
    ClientHook, ParamsHook, PipelineHook, PipelineOp, RequestHook, ResponseHook, ResultsHook,
};

use super::errors;
use super::pending::Pending;
use super::vat::Vat;
use crate::error::CallError;
use crate::message::{Draft, Message};
use crate::shard::outside::{Callee, Method};

/// Tells our hooks from others: the address of something that lives for ever.
static OURS: u8 = 0;

fn brand() -> usize {
    std::ptr::from_ref(&OURS) as usize
}

/// An import, or a capability of another service. Lets go when the last hook of it is dropped.
pub(super) struct Stub {
    pub(super) vat: Rc<Vat>,
    pub(super) callee: Callee,
    /// The request in which it came.
    pub(super) root: Option<(i32, i32)>,
    /// How often the shard has given it.
    pub(super) received: Cell<i32>,
}

impl Stub {
    /// The stub that a hook stands for, if it is one of ours.
    pub(super) fn address_of(hook: &dyn ClientHook) -> Option<usize> {
        (hook.get_brand() == brand()).then(|| hook.get_ptr())
    }

    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.vat.forget(self);
    }
}

/// One reference to a stub.
pub(super) struct StubHook(pub(super) Rc<Stub>);

impl ClientHook for StubHook {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(StubHook(Rc::clone(&self.0)))
    }

    fn new_call(
        &self,
        interface: u64,
        ordinal: u16,
        _: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        Request::new(Box::new(Outgoing {
            stub: Rc::clone(&self.0),
            method: Method { interface, ordinal },
            draft: Draft::new(),
        }))
    }

    /// For a call that is handed on: what the service's own code calls goes through `new_call`.
    fn call(
        &self,
        interface: u64,
        ordinal: u16,
        params: Box<dyn ParamsHook>,
        mut results: Box<dyn ResultsHook>,
    ) -> Promise<(), capnp::Error> {
        let mut request = self.new_call(interface, ordinal, None);
        let written = params.get().and_then(|params| request.set(params));
        Promise::from_future(async move {
            written?;
            let response = request.hook.send().promise.await?;
            results.get()?.set_as(response.get()?)
        })
    }

    fn get_brand(&self) -> usize {
        brand()
    }

    fn get_ptr(&self) -> usize {
        self.0.address()
    }

    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        None
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, capnp::Error>> {
        None
    }

    fn when_resolved(&self) -> Promise<(), capnp::Error> {
        Promise::ok(())
    }
}

/// A call that is being written.
struct Outgoing {
    stub: Rc<Stub>,
    method: Method,
    draft: Draft,
}

/// A call under way, or its answer. Dropping the last reference gives the call up.
pub(super) struct Calling {
    vat: Rc<Vat>,
    /// What the vat has it under.
    pub(super) id: Cell<Option<usize>>,
    pub(super) answer: Pending<Result<Rc<Message>, CallError>>,
}

impl Calling {
    pub(super) fn new(vat: &Rc<Vat>) -> Rc<Self> {
        Rc::new(Calling {
            vat: Rc::clone(vat),
            id: Cell::new(None),
            answer: Pending::default(),
        })
    }

    async fn message(&self) -> capnp::Result<Rc<Message>> {
        let answer = self.answer.wait().await;
        answer.clone().map_err(|error| errors::to_native(&error))
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if let (Some(id), None) = (self.id.get(), self.answer.get()) {
            self.vat.give_up(id);
        }
    }
}

impl RequestHook for Outgoing {
    fn get(&mut self) -> any_pointer::Builder<'_> {
        self.draft.root()
    }

    fn get_brand(&self) -> usize {
        brand()
    }

    fn send(self: Box<Self>) -> RemotePromise<any_pointer::Owned> {
        let Outgoing {
            stub,
            method,
            draft,
        } = *self;
        let calling = stub.vat.call(&stub, method, draft);
        let pipeline = any_pointer::Pipeline::new(Box::new(Parts(Rc::clone(&calling))));
        let promise = Promise::from_future(async move {
            // The stub stays as long as its call.
            let _stub = stub;
            let message = calling.message().await?;
            Ok(Response::new(Box::new(Results(message))))
        });
        RemotePromise { promise, pipeline }
    }

    fn send_streaming(self: Box<Self>) -> Promise<(), capnp::Error> {
        let remote = self.send();
        Promise::from_future(async move { remote.promise.await.map(drop) })
    }

    fn tail_send(
        self: Box<Self>,
    ) -> Option<(u32, Promise<(), capnp::Error>, Box<dyn PipelineHook>)> {
        None
    }
}

/// The results of a call, as the caller reads them.
struct Results(Rc<Message>);

impl ResponseHook for Results {
    fn get(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.0.root()
    }
}

/// What is called in results that are not there yet: the calls wait here.
struct Parts(Rc<Calling>);

impl PipelineHook for Parts {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(Parts(Rc::clone(&self.0)))
    }

    fn get_pipelined_cap(&self, ops: &[PipelineOp]) -> Box<dyn ClientHook> {
        if let Some(Ok(message)) = self.0.answer.get() {
            return part(message, ops);
        }
        let (calling, ops) = (Rc::clone(&self.0), ops.to_vec());
        let client: Client = capnp_rpc::new_future_client(async move {
            let message = calling.message().await?;
            Ok(Client::new(part(&message, &ops)))
        });
        client.hook
    }
}

/// What the pointers lead to in a message.
pub(super) fn part(message: &Message, ops: &[PipelineOp]) -> Box<dyn ClientHook> {
    let part = message.root().and_then(|root| root.get_pipelined_cap(ops));
    part.unwrap_or_else(|error| capnp_rpc::new_broken_cap(error).hook)
}

/// The results of a call that is served, as the method writes them. What was written is in the cell
/// once this is dropped.
pub(super) struct Filling {
    draft: Option<Draft>,
    filled: Rc<RefCell<Option<Draft>>>,
}

impl Filling {
    pub(super) fn new(filled: &Rc<RefCell<Option<Draft>>>) -> Self {
        Filling {
            draft: None,
            filled: Rc::clone(filled),
        }
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.filled.replace(self.draft.take());
    }
}

impl ResultsHook for Filling {
    fn get(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        Ok(self.draft.get_or_insert_with(Draft::new).root())
    }

    fn set_pipeline(&mut self) -> capnp::Result<()> {
        let text = "set_pipeline() is not there in native services: return the results";
        Err(capnp::Error::unimplemented(text.into()))
    }

    fn allow_cancellation(&self) {}

    fn tail_call(mut self: Box<Self>, request: Box<dyn RequestHook>) -> Promise<(), capnp::Error> {
        let remote = request.send();
        Promise::from_future(async move {
            let response = remote.promise.await?;
            self.get()?.set_as(response.get()?)
        })
    }

    fn direct_tail_call(
        mut self: Box<Self>,
        request: Box<dyn RequestHook>,
    ) -> (Promise<(), capnp::Error>, Box<dyn PipelineHook>) {
        let remote = request.send();
        let promise = Promise::from_future(async move {
            let response = remote.promise.await?;
            self.get()?.set_as(response.get()?)
        });
        (promise, remote.pipeline.hook)
    }
}
