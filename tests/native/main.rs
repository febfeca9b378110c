//! An `isolith` with a service of its own: a ledger, written in Rust.
//!
//! The tests serve it beside services in JavaScript; it is an example, too, of all that a native
//! service can do (docs/native-services.md).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;

use capnp::Error;
use isolith_runtime::Isolith;
use isolith_runtime::native::{self, Context, ErrorKind, NativeService};

/// What the build script generated of the schema.
#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::unwrap_used
)]
mod ledger_capnp {
    include!(concat!(env!("OUT_DIR"), "/ledger_capnp.rs"));
}
#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::unwrap_used
)]
mod rates_capnp {
    include!(concat!(env!("OUT_DIR"), "/rates_capnp.rs"));
}

use ledger_capnp::{account, ledger, lines};
use rates_capnp::rates;

/// The schema, compiled: callers' own copies are checked against it.
const SCHEMA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/native.request"));

fn main() -> ExitCode {
    let version = std::env::var("LEDGER_VERSION");
    let service = NativeService::new("ledger", version.as_deref().unwrap_or("1.4.0"), SCHEMA)
        .import::<rates::Client>("RATES", "rates", "^1")
        .export::<ledger::Client, _>("LEDGER", Ledger::new);
    Isolith::new().native(service).main()
}

/// The service, one on each shard.
struct Ledger {
    rates: rates::Client,
    balances: Balances,
    waits: Rc<Waits>,
}

type Balances = Rc<RefCell<BTreeMap<String, i64>>>;

/// One account of it.
struct Account {
    name: String,
    balances: Balances,
}

/// Calls that do not return.
#[derive(Default)]
struct Waits {
    begun: Cell<u32>,
    given_up: Cell<u32>,
}

/// Hands on what is written to it.
struct Journal(lines::Client);

impl Ledger {
    fn new(context: &Context) -> Self {
        Ledger {
            rates: context.import("RATES"),
            balances: Balances::default(),
            waits: Rc::default(),
        }
    }

    fn account(&self, name: &str) -> account::Client {
        capnp_rpc::new_client(Account {
            name: name.to_owned(),
            balances: Rc::clone(&self.balances),
        })
    }
}

impl ledger::Server for Ledger {
    async fn open(
        self: Rc<Self>,
        params: ledger::OpenParams,
        mut results: ledger::OpenResults,
    ) -> Result<(), Error> {
        let name = params.get()?.get_account()?.to_str()?;
        if name.is_empty() {
            return Err(native::error(ErrorKind::NotFound, "an account has a name"));
        }
        results.get().set_account(self.account(name));
        Ok(())
    }

    async fn audit(
        self: Rc<Self>,
        params: ledger::AuditParams,
        mut results: ledger::AuditResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let (accounts, auditor) = (params.get_accounts()?, params.get_auditor()?);
        let mut notes = results.get().init_notes(accounts.len());
        for (place, name) in (0..).zip(accounts) {
            let mut check = auditor.check_request();
            check.get().set_account(self.account(name?.to_str()?));
            let checked = check.send().promise.await?;
            notes.set(place, checked.get()?.get_note()?);
        }
        Ok(())
    }

    async fn convert(
        self: Rc<Self>,
        params: ledger::ConvertParams,
        mut results: ledger::ConvertResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let mut of = self.rates.of_request();
        of.get().set_currency(params.get_currency()?);
        let rate = of.send().promise.await?;
        let rate = rate.get()?;
        let name = params.get_account()?.to_str()?;
        let balance = self.balances.borrow().get(name).copied();
        let mut results = results.get();
        results.set_amount(balance.unwrap_or_default() as f64 * rate.get_rate());
        results.set_by(rate.get_by()?);
        Ok(())
    }

    async fn refuse(
        self: Rc<Self>,
        params: ledger::RefuseParams,
        _: ledger::RefuseResults,
    ) -> Result<(), Error> {
        match params.get()?.get_kind()?.to_str()? {
            "notFound" => Err(native::error(ErrorKind::NotFound, "there is no such thing")),
            // The kinds that Cap'n Proto itself has need no help.
            _ => Err(Error::overloaded("too much to do".into())),
        }
    }

    async fn panic(
        self: Rc<Self>,
        _: ledger::PanicParams,
        _: ledger::PanicResults,
    ) -> Result<(), Error> {
        #[allow(clippy::panic, reason = "it is what the method is for")]
        {
            panic!("a mistake in the ledger")
        }
    }

    async fn stamp(
        self: Rc<Self>,
        params: ledger::StampParams,
        mut results: ledger::StampResults,
    ) -> Result<(), Error> {
        let document = params.get()?.get_document()?;
        let mut results = results.get();
        results.set_length(document.len() as u64);
        // Written where the caller will read it.
        let stamped = results.init_document(document.len() as u32);
        for (to, from) in stamped.iter_mut().zip(document) {
            *to = from.wrapping_add(1);
        }
        Ok(())
    }

    async fn wait(
        self: Rc<Self>,
        _: ledger::WaitParams,
        _: ledger::WaitResults,
    ) -> Result<(), Error> {
        /// A call that is given up is dropped.
        struct Begun(Rc<Waits>);
        impl Drop for Begun {
            fn drop(&mut self) {
                self.0.given_up.set(self.0.given_up.get() + 1);
            }
        }
        self.waits.begun.set(self.waits.begun.get() + 1);
        let _begun = Begun(Rc::clone(&self.waits));
        std::future::pending().await
    }

    async fn waiting(
        self: Rc<Self>,
        _: ledger::WaitingParams,
        mut results: ledger::WaitingResults,
    ) -> Result<(), Error> {
        results.get().set_calls(self.waits.begun.get());
        results.get().set_given_up(self.waits.given_up.get());
        Ok(())
    }

    async fn journal(
        self: Rc<Self>,
        params: ledger::JournalParams,
        mut results: ledger::JournalResults,
    ) -> Result<(), Error> {
        let lines = params.get()?.get_lines()?;
        let journal: lines::Client = capnp_rpc::new_client(Journal(lines));
        results.get().set_lines(journal);
        Ok(())
    }
}

impl account::Server for Account {
    async fn name(
        self: Rc<Self>,
        _: account::NameParams,
        mut results: account::NameResults,
    ) -> Result<(), Error> {
        results.get().set_name(&self.name[..]);
        Ok(())
    }

    async fn balance(
        self: Rc<Self>,
        _: account::BalanceParams,
        mut results: account::BalanceResults,
    ) -> Result<(), Error> {
        let balance = self.balances.borrow().get(&self.name).copied();
        results.get().set_balance(balance.unwrap_or_default());
        Ok(())
    }

    async fn book(
        self: Rc<Self>,
        params: account::BookParams,
        mut results: account::BookResults,
    ) -> Result<(), Error> {
        let mut balances = self.balances.borrow_mut();
        let balance = balances.entry(self.name.clone()).or_default();
        *balance += params.get()?.get_amount();
        results.get().set_balance(*balance);
        Ok(())
    }

    async fn transfer(
        self: Rc<Self>,
        params: account::TransferParams,
        _: account::TransferResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let amount = params.get_amount();
        let mut book = params.get_to()?.book_request();
        book.get().set_amount(amount);
        book.send().promise.await?;
        let mut balances = self.balances.borrow_mut();
        *balances.entry(self.name.clone()).or_default() -= amount;
        Ok(())
    }
}

impl lines::Server for Journal {
    async fn write(self: Rc<Self>, params: lines::WriteParams) -> Result<(), Error> {
        let mut write = self.0.write_request();
        write.get().set_bytes(params.get()?.get_bytes()?);
        write.send().await
    }

    async fn end(self: Rc<Self>, _: lines::EndParams, _: lines::EndResults) -> Result<(), Error> {
        self.0.end_request().send().promise.await.map(drop)
    }
}
