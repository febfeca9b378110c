//! Admission, and the requests that a shard runs.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::evidence::Choice;
use isolith_versions::{
    Admission, Digest, LeaseKind, RequestHead, RoutingTable, VersionSet, seeded,
};
use tokio::sync::oneshot;

use super::Shard;
use super::handle::{JsonCall, JsonReply};
use super::party::Party;
use super::roots::{Asker, Request, RootState};
use super::samples::{Counted, Outcome};
use super::shadows::Shadow;
use super::wiring::{SetLife, ShardSet};
use crate::error::CallError;
use crate::http::{HttpRequest, HttpResponse, RequestId};
use crate::isolate::keys::RootKey;
use crate::isolate::{Event, Isolate};

/// A request that asks to be admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) id: RequestId,
    /// When it came.
    pub(crate) now: Instant,
    /// By when its response's head is due.
    pub(crate) deadline: Instant,
}

/// A request's own hold on its root: dropping it ends the root.
///
/// Keep it until the response's body has been sent.
pub(crate) struct Pin {
    shard: Rc<Shard>,
    root: RootKey,
    /// Not the compiled set: only the root keeps that, so that an eviction can take it away.
    set: Arc<VersionSet>,
    epoch: u64,
    deadline: Instant,
    /// `None` if the request is not compared with others.
    counted: Option<Counted>,
    /// If a copy of the request is to be made.
    shadow: Option<Box<Shadow>>,
    /// Whether it is such a copy.
    is_shadow: bool,
    /// What the pin counts as: the request, or its response's stream.
    lease: Cell<LeaseKind>,
}

impl Pin {
    /// The epoch of the routing table that admitted the request.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The version set that the request is pinned to.
    pub(crate) fn set(&self) -> &Arc<VersionSet> {
        &self.set
    }

    /// What a copy of the request is for, if there is to be one.
    pub(crate) fn take_shadow(&mut self) -> Option<Box<Shadow>> {
        self.shadow.take()
    }

    /// The request is a session: it says nothing of how long an answer takes, and lasts as long as
    /// somebody holds a capability of it.
    pub(crate) fn is_session(&mut self) {
        self.counted = None;
        self.shadow = None;
        self.hold_as(LeaseKind::Capability);
    }

    /// The request is a copy whose answer nobody gets.
    pub(super) fn mark_as_shadow(&mut self) {
        self.is_shadow = true;
        if let Some(root) = self.shard.roots.borrow_mut().get_mut(self.root) {
            root.is_shadow = true;
        }
    }

    pub(super) fn root(&self) -> RootKey {
        self.root
    }

    /// The response's head is sent; its body comes as a stream.
    pub(crate) fn streams(&self) {
        self.hold_as(LeaseKind::Stream);
    }

    fn hold_as(&self, kind: LeaseKind) {
        let from = self.lease.replace(kind);
        let held = {
            let mut roots = self.shard.roots.borrow_mut();
            roots.hold(self.root, kind, Instant::now())
        };
        match held {
            true => self.shard.release(self.root, from),
            // It is over: what is left of it goes with the pin.
            false => self.lease.set(from),
        }
    }

    /// The head of the response is there, or the error that stands for it.
    pub(crate) fn answered(&self, outcome: Outcome) {
        if let Some(counted) = &self.counted {
            self.shard.samples.borrow_mut().answered(counted, outcome);
        }
    }

    /// The response broke off after its head.
    pub(crate) fn broke_off(&self) {
        if let Some(counted) = &self.counted {
            self.shard.samples.borrow_mut().broke_off(counted);
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // Of a client that did not wait for the answer it is known that it took at least so long.
        self.answered(Outcome::Succeeded);
        let (shard, root) = (Rc::clone(&self.shard), self.root);
        shard.release(root, self.lease.get());
        // P8, P11: what the request has left behind gets a deadline of its own.
        if let Some(left) = shard.roots.borrow_mut().get_mut(root) {
            left.deadline = Instant::now() + shard.limits.background;
            let shard = Rc::clone(&shard);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(shard.limits.background).await;
                let error = CallError::host(
                    Kind::DeadlineExceeded,
                    "the request has ended, and so has the time for work that outlives it",
                );
                shard.expire(root, Request::Over, &error);
            });
        }
    }
}

impl Shard {
    /// Admits a request. P1: the routing table is read once, as one value, and the root is pinned
    /// to the set that `key` (random, or what a client is recognised by) chooses from it, or a rule
    /// that `head` fits.
    ///
    /// Does not wait, and allocates nothing once the tables have grown.
    ///
    /// # Errors
    /// `Overloaded` if the shard has as many requests as it may; `PinnedVersionGone` if the set
    /// is not wired here.
    pub(crate) fn admit(
        self: &Rc<Self>,
        key: u64,
        head: Option<&dyn RequestHead>,
        arrival: Arrival,
    ) -> Result<Pin, CallError> {
        let table = self.routing.load();
        let admission = table.admit(key, head);
        let mut pin = self.pin_admitted(&table, &admission, arrival)?;
        pin.counted = Counted::new(&table, &admission, arrival.now);
        pin.shadow = Shadow::draw(&table, &admission, arrival);
        Ok(pin)
    }

    fn pin_admitted(
        self: &Rc<Self>,
        table: &Arc<RoutingTable>,
        admission: &Admission<'_>,
        arrival: Arrival,
    ) -> Result<Pin, CallError> {
        let set = self.find_set(admission.set).ok_or_else(|| {
            CallError::host(
                Kind::PinnedVersionGone,
                format!(
                    "set {} is in force but not loaded on shard {}",
                    admission.set.digest().short(),
                    self.index
                ),
            )
        })?;
        let by = Choice::Table(admission.mask);
        self.pin(set, table, by, arrival)
    }

    /// The set that a request would be admitted to.
    pub(crate) fn set_in_force(&self, key: u64, head: Option<&dyn RequestHead>) -> Digest {
        self.routing.load().admit(key, head).set.digest()
    }

    /// Admits a request to the set with this digest, if it is loaded here: in force, draining, or
    /// made ready for overrides. `by` says who asked for it.
    pub(crate) fn admit_to(
        self: &Rc<Self>,
        set: Digest,
        by: Choice,
        arrival: Arrival,
    ) -> Result<Pin, CallError> {
        let known = {
            let sets = self.sets.borrow();
            let is_base = |of| self.routing.load().combinations().base().digest() == of;
            let fits = |of| of == set || (seeded("fall-back-when-gone") && is_base(of));
            let known = sets.iter().find(|known| fits(known.set.digest()));
            known.map(Rc::clone)
        };
        let known = known.ok_or_else(|| {
            let text = format!("set {} is not loaded on shard {}", set.short(), self.index);
            CallError::host(Kind::PinnedVersionGone, text)
        })?;
        self.pin(known, &self.routing.load(), by, arrival)
    }

    pub(super) fn pin(
        self: &Rc<Self>,
        set: Rc<ShardSet>,
        table: &Arc<RoutingTable>,
        by: Choice,
        arrival: Arrival,
    ) -> Result<Pin, CallError> {
        // A token may name a set that drains and is about to be published again.
        if by != Choice::Token {
            set.life.set(SetLife::Published);
        }
        let versions = Arc::clone(&set.set);
        let mut roots = self.roots.borrow_mut();
        let trace = self.trace.as_ref();
        let traced = trace.and_then(|trace| trace.admit(table, &set.set, arrival.id, by));
        let root = roots.insert(set, arrival.id, arrival.now, arrival.deadline, traced);
        let root = root.ok_or_else(|| {
            super::bound(
                "requests_in_flight_per_shard",
                self.limits.requests_in_flight_per_shard,
                "try again later",
            )
        })?;
        self.admitted.set(self.admitted.get() + 1);
        Ok(Pin {
            shard: Rc::clone(self),
            root,
            set: versions,
            epoch: table.epoch(),
            deadline: arrival.deadline,
            counted: None,
            shadow: None,
            is_shadow: false,
            lease: Cell::new(LeaseKind::Request),
        })
    }

    /// Runs the entry bundle's `fetch` handler and waits for the head of its response.
    ///
    /// # Errors
    /// What the handler threw; `DeadlineExceeded` if nothing came in time.
    ///
    /// # Cancel safety
    /// Dropping the future, or the body of the response, aborts the request's signal.
    pub(crate) async fn fetch(
        self: &Rc<Self>,
        pin: &Pin,
        mut request: HttpRequest,
    ) -> Result<HttpResponse, CallError> {
        let (set, entry) = self.entry(pin)?;
        entry.pass()?;
        let started = Instant::now();
        let (sender, receiver) = oneshot::channel();
        // The glue needs to know that there is a body; the body itself stays in the exchange.
        let body = request.body.take();
        let has_body = body.is_some();
        let exchange = entry.open_exchange(pin.root, body, sender);
        let asker = Asker::Http(Rc::clone(&entry), exchange);
        self.roots.borrow_mut().set_asker(pin.root, asker);
        drop(set);
        let mut guard = ExchangeGuard {
            isolate: Rc::clone(&entry),
            exchange: Some(exchange),
        };
        entry.push(Event::Fetch {
            exchange,
            root: pin.root,
            head: request,
            has_body,
            shadow: pin.is_shadow,
        });
        let response = self.by_deadline(pin, receiver).await;
        entry.took(started);
        match &response {
            // The service still writes the body; a dropped receiver tells it that nobody reads.
            Ok(_) => guard.exchange = None,
            Err(_) => drop(guard),
        }
        response
    }

    /// Calls one method with a JSON argument, admitted like any request.
    ///
    /// # Errors
    /// `NotFound` if the set has no such service, version or export; what the method threw.
    pub(crate) async fn call_json(self: &Rc<Self>, call: JsonCall) -> Result<JsonReply, CallError> {
        let arrival = Arrival {
            id: RequestId::random(),
            now: Instant::now(),
            deadline: call.deadline,
        };
        let table = self.routing.load();
        let pin = self.pin_admitted(&table, &table.admit(fastrand::u64(..), None), arrival)?;
        drop(table);
        let (isolate, export) = self.json_target(&pin, &call)?;
        isolate.pass()?;
        let (id, receiver) = isolate.call_json(pin.root, export, call.method, call.argument);
        let asker = Asker::Json(Rc::clone(&isolate), id);
        self.roots.borrow_mut().set_asker(pin.root, asker);
        let json = self.by_deadline(&pin, receiver).await?;
        Ok(JsonReply {
            json,
            bundle: isolate.program.id().clone(),
            set: pin.set().digest(),
        })
    }

    fn json_target(&self, pin: &Pin, call: &JsonCall) -> Result<(Rc<Isolate>, usize), CallError> {
        let not_found = |reason: String| CallError::host(Kind::NotFound, reason);
        let mut versions = Vec::new();
        for member in self.set_of(pin)?.members() {
            let Some(facts) = member.facts() else {
                continue;
            };
            let id = &facts.id;
            if id.service.as_str() != call.service {
                continue;
            }
            if call
                .version
                .as_ref()
                .is_some_and(|wanted| *wanted != id.version)
            {
                versions.push(id.version.to_string());
                continue;
            }
            let isolate = member.isolate().ok_or_else(|| {
                not_found(format!(
                    "{id} is native, and only called by services and by clients over RPC"
                ))
            })?;
            let exports = &facts.exports;
            let named = |name: &str| exports.iter().position(|export| &*export.name == name);
            let export = match (&call.export, exports.len()) {
                (Some(name), _) => named(name),
                (None, 1) => Some(0),
                (None, _) => None,
            };
            let known: Vec<&str> = exports.iter().map(|export| &*export.name).collect();
            return export
                .map(|export| (Rc::clone(isolate), export))
                .ok_or_else(|| {
                    not_found(format!(
                        "{id} has these exports: {}; name one as EXPORT.method",
                        known.join(", ")
                    ))
                });
        }
        Err(not_found(match versions.is_empty() {
            true => format!(
                "no service {} in set {}; `isolith status` lists what there is",
                call.service,
                pin.set().digest().short()
            ),
            false => format!(
                "{} has version {} in set {}, not the one asked for",
                call.service,
                versions.join(", "),
                pin.set().digest().short()
            ),
        }))
    }

    /// What the pin adds to a call of the entry: finds its root and the callee that the root's set
    /// names, and notes the call's begin and end there. For the benchmark.
    pub(crate) fn resolve(&self, pin: &Pin, import: usize) -> Option<Party> {
        let callee = {
            let mut roots = self.roots.borrow_mut();
            let root = roots.get_mut(pin.root)?;
            let caller = root
                .set
                .isolate(root.set.set.entry(self.entry.as_str())?)?
                .slot;
            let callee = match root.state {
                RootState::Active => root.set.target(caller, import)?.callee.clone(),
                _ => return None,
            };
            root.begin_call(self.now.get());
            callee
        };
        self.release(pin.root, LeaseKind::Call);
        Some(callee)
    }

    /// The isolate of the service that handles HTTP, and the set that says so.
    pub(super) fn entry(&self, pin: &Pin) -> Result<(Rc<ShardSet>, Rc<Isolate>), CallError> {
        let set = self.set_of(pin)?;
        let entry = set.set.entry(self.entry.as_str());
        let entry = entry.and_then(|bundle| set.isolate(bundle)).map(Rc::clone);
        let entry = entry.ok_or_else(|| {
            let text = format!("the version set has no entry service {}", self.entry);
            CallError::host(Kind::NotFound, text)
        })?;
        Ok((set, entry))
    }

    /// The compiled set that a pin's root holds.
    pub(super) fn set_of(&self, pin: &Pin) -> Result<Rc<ShardSet>, CallError> {
        let roots = self.roots.borrow();
        let set = roots.get(pin.root).map(|root| Rc::clone(&root.set));
        set.ok_or_else(|| CallError::host(Kind::Evicted, "the request was evicted; send it again"))
    }

    /// Waits for an answer until the pin's deadline; past it, the root's calls are failed.
    pub(super) async fn by_deadline<T>(
        &self,
        pin: &Pin,
        answer: oneshot::Receiver<Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let deadline = tokio::time::Instant::from_std(pin.deadline);
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::host(
                Kind::Disconnected,
                "the isolate went away before it answered; try again",
            )),
            Err(_) => {
                let error = CallError::host(
                    Kind::DeadlineExceeded,
                    "no answer came before the deadline of the request",
                );
                self.expire(pin.root, Request::Open, &error);
                Err(error)
            }
        }
    }
}

/// Tells the service that nobody waits any more.
struct ExchangeGuard {
    isolate: Rc<Isolate>,
    exchange: Option<i32>,
}

impl Drop for ExchangeGuard {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange {
            self.isolate
                .abort_exchange(exchange, "the client is gone or the deadline passed");
        }
    }
}
