//! The swap of the routing table while shards admit requests, as threads do it.
//!
//! The protocol: a publisher wires the new sets on every shard, then swaps the table, then asks each
//! shard to sweep. A shard reads the table once per admission and takes the lease in the same turn;
//! between turns it sweeps, with a table that it reads for that. A set that was wired since it was
//! last in force is not swept: its publication is on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::sync::{Mutex, mpsc};
use shuttle::thread;

use super::{NEW, OLD, sets};
use crate::{BundleState, Combinations, RoutingTable, Use, VersionSet, is_admissible};

/// What a shard is asked.
enum Message {
    Wire(usize, mpsc::Sender<()>),
    Admit,
    /// The oldest request ends.
    End,
    Sweep,
    Stop,
}

/// A set on one shard.
#[derive(Default)]
struct Wired {
    /// Whether a table named it since it was wired.
    published: bool,
    leases: u64,
}

struct Shard {
    sets: [Arc<VersionSet>; 2],
    table: Arc<Mutex<Arc<RoutingTable>>>,
    wired: BTreeMap<usize, Wired>,
    requests: Vec<usize>,
    swept: Arc<AtomicUsize>,
    flaw: Flaw,
}

/// Ways to get the protocol wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    /// The table is published before the shards have the set.
    PublishFirst,
    /// A sweep takes what no table names, though its publication is on the way.
    SweepWired,
    /// A set that drains is not marked when it is wired again.
    KeepPublished,
    /// A sweep does not look at leases.
    SweepLeased,
    /// A shard that has requests under way when it is asked to sweep never sweeps again.
    SweepOnce,
}

impl Shard {
    fn run(mut self, inbox: &mpsc::Receiver<Message>) {
        while let Ok(message) = inbox.recv() {
            match message {
                Message::Wire(set, done) => {
                    let wired = self.wired.entry(set).or_default();
                    // A set that drains is about to be in force again.
                    wired.published &= self.flaw == Flaw::KeepPublished;
                    done.send(()).unwrap();
                }
                Message::Admit => self.admit(),
                Message::End if self.requests.is_empty() => {}
                Message::End => {
                    let set = self.requests.remove(0);
                    let wired = self.wired.get_mut(&set);
                    let wired = wired.expect("a set was unloaded under a request");
                    wired.leases = wired
                        .leases
                        .checked_sub(1)
                        .expect("a set was unloaded under a request");
                    if wired.leases == 0 && self.flaw != Flaw::SweepOnce {
                        self.sweep();
                    }
                }
                Message::Sweep => self.sweep(),
                Message::Stop => break,
            }
        }
        // All requests have ended; of the sets, those in force are left.
        assert!(self.requests.is_empty());
        let table = self.read();
        let left: Vec<_> = self
            .wired
            .keys()
            .map(|set| self.sets[*set].digest())
            .collect();
        let in_force: Vec<_> = table.sets().iter().map(|(set, _)| set.digest()).collect();
        assert_eq!(left, in_force, "what is loaded is not what is in force");
    }

    fn read(&self) -> Arc<RoutingTable> {
        Arc::clone(&self.table.lock().unwrap())
    }

    fn admit(&mut self) {
        let table = self.read();
        let admitted = table.admit(7, None).set;
        let set = self
            .sets
            .iter()
            .position(|set| set.digest() == admitted.digest());
        let set = set.unwrap();
        thread::yield_now();
        let wired = self
            .wired
            .get_mut(&set)
            .expect("a set in force is not wired");
        wired.published = true;
        wired.leases += 1;
        self.requests.push(set);
    }

    fn sweep(&mut self) {
        let table = self.read();
        let (sets, flaw, swept) = (&self.sets, self.flaw, &self.swept);
        self.wired.retain(|set, wired| {
            let used = Use {
                admissible: is_admissible(&table, sets[*set].bundles()[0].id.digest),
                leases: if flaw == Flaw::SweepLeased {
                    0
                } else {
                    wired.leases
                },
            };
            wired.published |= used.admissible || flaw == Flaw::SweepWired;
            let before = match wired.published {
                true => BundleState::Serving,
                false => BundleState::Deployed,
            };
            let unload = before.next(used).may_unload();
            swept.fetch_add(usize::from(unload), Ordering::SeqCst);
            !unload
        });
    }
}

/// One shard with requests that come and go, and a publisher that changes to the new set and back.
fn run(flaw: Flaw, swept: &Arc<AtomicUsize>) {
    let sets = sets();
    let table = RoutingTable::single(1, Arc::clone(&sets[OLD]));
    let table = Arc::new(Mutex::new(Arc::new(table)));
    let (outbox, inbox) = mpsc::channel();
    let shard = Shard {
        sets: sets.clone(),
        table: Arc::clone(&table),
        wired: BTreeMap::from([(
            OLD,
            Wired {
                published: true,
                leases: 0,
            },
        )]),
        requests: Vec::new(),
        swept: Arc::clone(swept),
        flaw,
    };
    let shard = thread::spawn(move || shard.run(&inbox));

    let client = outbox.clone();
    let client = thread::spawn(move || {
        for message in [Message::Admit, Message::Admit, Message::End, Message::Admit] {
            client.send(message).unwrap();
        }
        // More ends than requests do no harm.
        for _ in 0..3 {
            thread::yield_now();
            client.send(Message::End).unwrap();
        }
    });
    let publisher = outbox.clone();
    let publisher = thread::spawn(move || {
        for set in [NEW, OLD] {
            let wire = || {
                let (done, ready) = mpsc::channel();
                publisher.send(Message::Wire(set, done)).unwrap();
                ready.recv().unwrap();
            };
            if flaw != Flaw::PublishFirst {
                wire();
            }
            let next = {
                let now = Arc::clone(&table.lock().unwrap());
                let next = now.next(vec![], Combinations::single(Arc::clone(&sets[set])));
                Arc::new(next.unwrap())
            };
            *table.lock().unwrap() = next;
            if flaw == Flaw::PublishFirst {
                wire();
            }
            publisher.send(Message::Sweep).unwrap();
        }
    });
    client.join().unwrap();
    publisher.join().unwrap();
    outbox.send(Message::Stop).unwrap();
    shard.join().unwrap();
}

#[test]
fn no_interleaving_loses_a_set_that_a_request_is_admitted_to() {
    let swept = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&swept);
    let again = Arc::clone(&count);
    shuttle::check_random(move || run(Flaw::None, &count), 3_000);
    shuttle::check_pct(move || run(Flaw::None, &again), 3_000, 3);
    assert!(
        swept.load(Ordering::SeqCst) > 0,
        "nothing was ever unloaded"
    );
}

/// The model can fail: each wrong protocol does.
#[test]
fn each_wrong_protocol_is_found_out() {
    const GONE: &str = "a set in force is not wired";
    const UNDER: &str = "a set was unloaded under a request";
    const LEFT: &str = "what is loaded is not what is in force";
    for (flaw, outcomes) in [
        (Flaw::PublishFirst, vec![GONE]),
        (Flaw::SweepWired, vec![GONE, LEFT]),
        (Flaw::KeepPublished, vec![GONE, LEFT]),
        (Flaw::SweepLeased, vec![UNDER]),
        (Flaw::SweepOnce, vec![LEFT]),
    ] {
        let failed = std::panic::catch_unwind(|| {
            shuttle::check_pct(move || run(flaw, &Arc::new(AtomicUsize::new(0))), 3_000, 3);
        });
        let Err(reason) = failed else {
            panic!("{flaw:?} passed");
        };
        let text = reason
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| reason.downcast_ref::<&str>().copied());
        let text = text.unwrap_or_default();
        let found = outcomes.iter().any(|outcome| text.contains(outcome));
        assert!(found, "{flaw:?}: {text}");
    }
}
