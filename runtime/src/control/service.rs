//! The interface `Control`, for one client.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use capnp::text;
use isolith_capnp::control_capnp::{change_result, control};
use isolith_services::bundle::Bundle;
use isolith_versions::{RolloutName, Version};

use super::history::write_entry;
use super::holders::BundleHolders;
use super::rollouts::{RolloutSpec, Rollouts, read_steering};
use crate::deployment::{Accepted, Declared, DeclaredRollout, Deployment, Refused};
use crate::error::{CallError, ErrorKind};
use crate::shard::JsonReply;
use crate::state::Author;

/// What the control plane acts on.
pub(crate) struct Service {
    pub(crate) deployment: Rc<Deployment>,
    pub(crate) app: String,
    pub(crate) entry: String,
    pub(crate) listen: SocketAddr,
    pub(crate) started: Instant,
    /// How long a call may take.
    pub(crate) call_timeout: Duration,
}

/// The service, as one client has it.
pub(super) struct Session {
    service: Rc<Service>,
    /// The user whom the client runs as, or the certificate that it showed.
    who: String,
}

impl Session {
    pub(super) fn new(service: &Rc<Service>, who: String) -> Self {
        Session {
            service: Rc::clone(service),
            who,
        }
    }

    fn author(&self, message: text::Reader<'_>) -> Result<Author, capnp::Error> {
        Ok(Author {
            who: self.who.clone(),
            message: message.to_string()?,
        })
    }

    /// Carries a change out and says what became of it.
    async fn change(
        &self,
        change: impl AsyncFnOnce(&Deployment) -> Result<Accepted, Refused> + 'static,
        result: change_result::Builder<'_>,
    ) -> Result<(), capnp::Error> {
        let deployment = Rc::clone(&self.service.deployment);
        // A task of its own: a client that goes away does not stop a change halfway.
        let task = tokio::task::spawn_local(async move { change(&deployment).await });
        let outcome = task.await;
        match outcome.map_err(|error| capnp::Error::failed(error.to_string()))? {
            Ok(accepted) => write_accepted(&accepted, result),
            Err(Refused(reason)) => {
                tracing::warn!(who = self.who, "a change was refused:\n{reason}");
                result.init_refused().set_reason(&reason[..]);
            }
        }
        Ok(())
    }
}

impl control::Server for Session {
    async fn deploy(
        self: Rc<Self>,
        params: control::DeployParams,
        mut results: control::DeployResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let files = copied(params.get_bundles()?)?;
        let author = self.author(params.get_message()?)?;
        let change = async move |deployment: &Deployment| {
            deployment.deploy(read(files).await?, author).await
        };
        self.change(change, results.get().init_result()).await
    }

    async fn status(
        self: Rc<Self>,
        _: control::StatusParams,
        mut results: control::StatusResults,
    ) -> Result<(), capnp::Error> {
        let snapshot = self.service.deployment.snapshot().await;
        let status = self.service.describe(&snapshot);
        status.write(results.get().init_status());
        Ok(())
    }

    async fn call(
        self: Rc<Self>,
        params: control::CallParams,
        mut results: control::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let service = params.get_service()?.to_string()?;
        let version = params.get_version()?.to_string()?;
        let method = params.get_method()?.to_string()?;
        let argument = params.get_argument()?.to_string()?;
        let call = self.service.run(service, &version, &method, argument);
        let outcome = call.await;
        let mut reply = results.get().init_reply();
        match outcome {
            Ok(answer) => {
                let mut ok = reply.init_ok();
                ok.set_json(&answer.json[..]);
                ok.set_bundle(&answer.bundle.to_string()[..]);
                ok.set_set_digest(&answer.set.0);
            }
            Err(error) => error.write(reply.reborrow().init_error()),
        }
        Ok(())
    }

    async fn history(
        self: Rc<Self>,
        params: control::HistoryParams,
        mut results: control::HistoryResults,
    ) -> Result<(), capnp::Error> {
        let most = usize::try_from(params.get()?.get_most()).unwrap_or(usize::MAX);
        let entries = self.service.deployment.history(most).await;
        let entries = entries.map_err(|Refused(reason)| capnp::Error::failed(reason))?;
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_entries(count);
        for (place, entry) in (0..).zip(&entries) {
            write_entry(entry, list.reborrow().get(place));
        }
        Ok(())
    }

    async fn rollback(
        self: Rc<Self>,
        params: control::RollbackParams,
        mut results: control::RollbackResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let number = params.get_number();
        let author = self.author(params.get_message()?)?;
        let change = async move |deployment: &Deployment| deployment.rollback(number, author).await;
        self.change(change, results.get().init_result()).await
    }

    async fn start_rollout(
        self: Rc<Self>,
        params: control::StartRolloutParams,
        mut results: control::StartRolloutResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let spec = RolloutSpec::read(params.get_spec()?)?;
        let author = self.author(params.get_message()?)?;
        let change = async move |deployment: &Deployment| {
            let (name, settings) = (named(&spec.name)?, spec.settings);
            let bundles = read(spec.bundles).await?;
            deployment
                .start_rollout(name, settings, bundles, author)
                .await
        };
        self.change(change, results.get().init_result()).await
    }

    async fn steer_rollout(
        self: Rc<Self>,
        params: control::SteerRolloutParams,
        mut results: control::SteerRolloutResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let name = params.get_name()?.to_string()?;
        let author = self.author(params.get_message()?)?;
        let reason = match author.message.is_empty() {
            true => format!("{} asked for it", author.who),
            false => author.message.clone(),
        };
        let steer = read_steering(params.get_steering()?, reason)?;
        let change = async move |deployment: &Deployment| {
            deployment.steer(&named(&name)?, steer, author).await
        };
        self.change(change, results.get().init_result()).await
    }

    async fn rollouts(
        self: Rc<Self>,
        _: control::RolloutsParams,
        mut results: control::RolloutsResults,
    ) -> Result<(), capnp::Error> {
        let snapshot = self.service.deployment.snapshot().await;
        let Rollouts { rollouts, unsolved } = Rollouts::of(&snapshot);
        let length = |length| u32::try_from(length).unwrap_or(u32::MAX);
        let mut list = results.get().init_rollouts(length(rollouts.len()));
        for (place, rollout) in (0..).zip(&rollouts) {
            rollout.write(list.reborrow().get(place));
        }
        let mut list = results.get().init_unsolved(length(unsolved.len()));
        for (place, unsolved) in (0..).zip(&unsolved) {
            unsolved.write(list.reborrow().get(place));
        }
        Ok(())
    }

    async fn apply(
        self: Rc<Self>,
        params: control::ApplyParams,
        mut results: control::ApplyResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let app = params.get_app()?.to_string()?;
        let files = copied(params.get_bundles()?)?;
        let specs = params.get_rollouts()?.iter().map(RolloutSpec::read);
        let specs = specs.collect::<Result<Vec<_>, _>>()?;
        let dry_run = params.get_dry_run();
        let author = self.author(params.get_message()?)?;
        let change = async move |deployment: &Deployment| {
            let bundles = read(files).await?;
            let mut rollouts = Vec::new();
            for spec in specs {
                rollouts.push(DeclaredRollout {
                    name: named(&spec.name)?,
                    settings: spec.settings,
                    bundles: read(spec.bundles).await?,
                });
            }
            let declared = Declared {
                app,
                bundles,
                rollouts,
            };
            deployment.apply(declared, dry_run, author).await
        };
        self.change(change, results.get().init_result()).await
    }

    async fn holders(
        self: Rc<Self>,
        params: control::HoldersParams,
        mut results: control::HoldersResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let service = params.get_service()?.to_string()?;
        let version = version(params.get_version()?.to_str()?).map_err(failed)?;
        let asked = self.service.deployment.holders(&service, version.as_ref());
        let found = asked.await.map_err(failed)?;
        let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_bundles(count);
        for (place, bundle) in (0..).zip(&found) {
            BundleHolders::of(bundle).write(list.reborrow().get(place));
        }
        Ok(())
    }

    async fn evict(
        self: Rc<Self>,
        params: control::EvictParams,
        mut results: control::EvictResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let service = params.get_service()?.to_string()?;
        let version = version(params.get_version()?.to_str()?).map_err(failed)?;
        let version = version.ok_or_else(|| failed("name the version, as in auth@1.4.0"))?;
        let reason = params.get_reason()?.to_string()?;
        let asked = self.service.deployment.evict(&service, &version, &reason);
        let (count, in_force) = asked.await.map_err(failed)?;
        let mut results = results.get();
        results.set_count(u64::try_from(count).unwrap_or(u64::MAX));
        results.set_in_force(in_force);
        Ok(())
    }
}

impl Service {
    async fn run(
        &self,
        service: String,
        version: &str,
        method: &str,
        argument: String,
    ) -> Result<JsonReply, CallError> {
        let version = self::version(version)
            .map_err(|message| CallError::host(ErrorKind::BadArgument, message))?;
        let (export, method) = match method.split_once('.') {
            Some((export, method)) => (Some(export.to_owned()), method.to_owned()),
            None => (None, method.to_owned()),
        };
        let deadline = Instant::now() + self.call_timeout;
        let (callee, target) = ((service, version), (export, method));
        self.deployment
            .call(callee, target, argument, deadline)
            .await
    }
}

/// A version; none for an empty text.
fn version(text: &str) -> Result<Option<Version>, String> {
    match text {
        "" => Ok(None),
        text => Version::parse(text)
            .map(Some)
            .map_err(|error| format!("`{text}` is not a version: {error}; write `1.4.0`")),
    }
}

fn failed(error: impl std::fmt::Display) -> capnp::Error {
    capnp::Error::failed(error.to_string())
}

/// The name of a user, or the number if there is no name.
pub(crate) fn user_name(user: u32) -> String {
    let known = uzers::get_user_by_uid(user);
    known.map_or_else(
        || format!("uid {user}"),
        |known| known.name().to_string_lossy().into_owned(),
    )
}

/// The bundle files of a request, within bounds.
pub(super) fn copied(files: capnp::data_list::Reader<'_>) -> Result<Vec<Vec<u8>>, capnp::Error> {
    let most = super::MAX_DEPLOY_BUNDLES;
    if files.len() > most {
        let count = files.len();
        let message = format!("{count} bundles at once; {most} are the most");
        return Err(capnp::Error::failed(message));
    }
    files.iter().map(|file| Ok(file?.to_vec())).collect()
}

fn named(name: &str) -> Result<RolloutName, Refused> {
    name.parse().map_err(|error| Refused(format!("{error}")))
}

async fn read(files: Vec<Vec<u8>>) -> Result<Vec<Bundle>, Refused> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bundles = Vec::with_capacity(files.len());
        for (place, file) in files.iter().enumerate() {
            let bundle = Bundle::read(file);
            bundles.push(bundle.map_err(|error| Refused(format!("file {}: {error}", place + 1)))?);
        }
        Ok(bundles)
    });
    read.await
        .unwrap_or_else(|error| Err(Refused(error.to_string())))
}

fn write_accepted(accepted: &Accepted, result: change_result::Builder<'_>) {
    let mut to = result.init_accepted();
    to.set_number(accepted.number);
    to.set_epoch(accepted.epoch);
    to.set_set_digest(&accepted.set.0);
    let count = u32::try_from(accepted.lines.len()).unwrap_or(u32::MAX);
    let mut lines = to.init_wiring(count);
    for (place, line) in (0..).zip(&accepted.lines) {
        lines.set(place, &line[..]);
    }
}
