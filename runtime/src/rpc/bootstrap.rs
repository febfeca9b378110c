//! The interface `Isolith`, for one client, and a session's end on its shard.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use isolith_capnp::rpc_capnp::isolith;
use isolith_versions::{RequestHead, sticky_key};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};

use super::session::Session;
use super::{Connection, Settings, errors};
use crate::config::Exported;
use crate::error::{CallError, ErrorKind};
use crate::http::RequestId;
use crate::ingress::admission::{self, Admitted, Asked, Refusal};
use crate::shard::outside::{Ask, Callee, Outside, Told};
use crate::shard::{Arrival, Shard};

/// How often a session of a shard that drains looks whether its calls are done.
const DRAIN_LOOK: std::time::Duration = std::time::Duration::from_millis(20);

pub(super) struct Bootstrap(pub(super) Rc<Connection>);

/// A session that is to be admitted.
struct Opening {
    settings: Arc<Settings>,
    exported: Exported,
    request: RequestId,
    is_loopback: bool,
    sticky_key: String,
    overrides: String,
    token: String,
    asks: UnboundedReceiver<Ask>,
    to_session: UnboundedSender<Told>,
    reply: oneshot::Sender<Result<Opened, capnp::Error>>,
}

/// A session that was admitted.
struct Opened {
    callee: Callee,
    token: String,
    version: String,
    set: String,
    epoch: u64,
}

impl isolith::Server for Bootstrap {
    async fn open(
        self: Rc<Self>,
        params: isolith::OpenParams,
        mut results: isolith::OpenResults,
    ) -> Result<(), capnp::Error> {
        let connection = &self.0;
        let asked = params.get()?;
        let (service, export) = (
            asked.get_service()?.to_str()?,
            asked.get_export()?.to_str()?,
        );
        let exported = exported(&connection.settings.rpc.exports, service, export)?;
        let max = connection.settings.rpc.sessions_per_connection;
        if connection.sessions() >= max {
            let text = format!("overloaded: the bound sessions_per_connection ({max}) is reached");
            return Err(capnp::Error::overloaded(text));
        }
        let (to_shard, asks) = unbounded_channel();
        let (to_session, told) = unbounded_channel();
        let (reply, answer) = oneshot::channel();
        let request = RequestId::random();
        let opening = Opening {
            settings: Arc::clone(&connection.settings),
            exported,
            request,
            is_loopback: connection.is_loopback,
            sticky_key: asked.get_sticky_key()?.to_string()?,
            overrides: asked.get_override()?.to_string()?,
            token: asked.get_pin_token()?.to_string()?,
            asks,
            to_session,
            reply,
        };
        // It counts from now on.
        let session = Session::begin(connection, request, to_shard, told);
        let task = Box::new(move |shard, drain| Box::pin(run(shard, drain, opening)) as _);
        let sent = connection.shard.run(task);
        sent.map_err(|error| session.to_client(&error))?;
        let opened = tokio::select! {
            opened = answer => opened,
            () = connection.shard.lost() => Ok(Err(gone())),
        };
        let opened = match opened.unwrap_or_else(|_| Err(gone())) {
            Ok(opened) => opened,
            Err(error) => {
                session.end(CallError::host(
                    ErrorKind::Disconnected,
                    "it was not admitted",
                ));
                return Err(error);
            }
        };
        let mut results = results.get();
        results.set_pin_token(&opened.token[..]);
        results.set_version(&opened.version[..]);
        results.set_set(&opened.set[..]);
        results.set_epoch(opened.epoch);
        results.set_session(&request.to_string()[..]);
        let stub = session.stub(opened.callee, 0);
        results.init_capability().set_as_capability(stub.hook());
        Ok(())
    }
}

fn exported(exports: &[Exported], service: &str, export: &str) -> Result<Exported, capnp::Error> {
    let named = |one: &&Exported| {
        one.service.as_str() == service && (export.is_empty() || one.export == export)
    };
    let mut fitting = exports.iter().filter(named);
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one.clone()),
        (Some(_), Some(_)) => Err(capnp::Error::failed(format!(
            "not-found: several exports of {service} may be opened: name one"
        ))),
        (None, _) => Err(capnp::Error::failed(format!(
            "not-found: {service}.{export} may not be opened here: it is not among `exports` under \
             [rpc] of the application file"
        ))),
    }
}

fn gone() -> capnp::Error {
    capnp::Error::disconnected("disconnected: the shard is gone; try again".into())
}

/// What rules of the routing table see of a session.
struct Head(String);

impl RequestHead for Head {
    fn method(&self) -> &str {
        "RPC"
    }

    fn path(&self) -> &str {
        &self.0
    }

    fn header(&self, _: &str) -> Option<&str> {
        None
    }
}

/// A session, on its shard: admits it, then does what it asks until it is over.
async fn run(shard: Rc<Shard>, drain: watch::Receiver<bool>, opening: Opening) {
    let now = Instant::now();
    let arrival = Arrival {
        id: opening.request,
        now,
        deadline: now + opening.settings.rpc.session_timeout,
    };
    let Admitted { mut pin, token } = match admit(&shard, &opening, arrival).await {
        Ok(admitted) => admitted,
        Err(error) => {
            // The client may be gone.
            let _ = opening.reply.send(Err(error));
            return;
        }
    };
    let Exported { service, export } = &opening.exported;
    let Some((callee, bundle)) = shard.exported(&pin, service.as_str(), export) else {
        let text = format!(
            "not-found: set {} has no {service} with an export {export}; `isolith status` lists \
             what there is",
            pin.set().digest().short()
        );
        let _ = opening.reply.send(Err(capnp::Error::failed(text)));
        return;
    };
    pin.is_session();
    let message_bytes = opening.settings.rpc.message_bytes;
    let outside = shard.open_session(&pin, opening.to_session, message_bytes);
    let opened = Opened {
        callee,
        token: token.unwrap_or_default(),
        version: bundle.version.to_string(),
        set: pin.set().digest().short(),
        epoch: pin.epoch(),
    };
    tracing::debug!(session = %opening.request, %bundle, "a session was opened");
    let error = match opening.reply.send(Ok(opened)) {
        Ok(()) => serve(&shard, &outside, opening.asks, drain, arrival.deadline).await,
        Err(_) => CallError::host(ErrorKind::Disconnected, "the client is gone"),
    };
    shard.end_session(&outside, error);
}

async fn admit(
    shard: &Rc<Shard>,
    opening: &Opening,
    arrival: Arrival,
) -> Result<Admitted, capnp::Error> {
    let given = |text: &'_ str| (!text.is_empty()).then_some(());
    let head = Head(format!(
        "/{}/{}",
        opening.exported.service, opening.exported.export
    ));
    let asked = Asked {
        token: given(&opening.token).map(|()| opening.token.as_bytes()),
        overrides: given(&opening.overrides)
            .map(|()| opening.overrides.as_bytes())
            .into_iter()
            .collect(),
        key: given(&opening.sticky_key).map_or_else(
            || fastrand::u64(..),
            |()| sticky_key(opening.sticky_key.as_bytes()),
        ),
        head: &head,
        is_loopback: opening.is_loopback,
    };
    let admissions = &opening.settings.admissions;
    let admitted = admission::admit(shard, admissions, asked, arrival).await;
    admitted.map_err(|refusal| match refusal {
        Refusal::Asked(problem) => errors::refusal(&problem),
        Refusal::Failed(error) => errors::to_client(&error, false, opening.request),
    })
}

/// Does what a session asks until it is over, and returns why.
async fn serve(
    shard: &Rc<Shard>,
    outside: &Rc<Outside>,
    mut asks: UnboundedReceiver<Ask>,
    mut drain: watch::Receiver<bool>,
    deadline: Instant,
) -> CallError {
    let mut time_is_up = std::pin::pin!(tokio::time::sleep_until(deadline.into()));
    let mut stopping = std::pin::pin!(async move {
        // An error means that the shard's handles are gone: it ends, too.
        let _ = drain.wait_for(|drain| *drain).await;
        while shard.is_calling(outside) {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    });
    loop {
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => shard.ask(outside, ask),
                None => return CallError::host(ErrorKind::RequestEnded, "the session is over"),
            },
            () = outside.ended.notified() => {
                return CallError::host(ErrorKind::Evicted, "the session was evicted");
            }
            () = &mut time_is_up => {
                let text = "the session has lasted session_timeout_ms; open the export again";
                let error = CallError::host(ErrorKind::DeadlineExceeded, text);
                shard.expire_session(outside, &error);
                return error;
            }
            () = &mut stopping => {
                return CallError::host(ErrorKind::Disconnected, "the process is stopping");
            }
        }
    }
}
