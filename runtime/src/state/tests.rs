use std::collections::BTreeSet;

use super::*;

fn head(epoch: u64) -> Head {
    Head {
        app: "shop".into(),
        epoch,
        pool: BTreeSet::from([Digest::of(b"a"), Digest::of(&epoch.to_le_bytes())]),
        declared: BTreeSet::from([Digest::of(b"a")]),
        at_ms: 7,
    }
}

fn entry(head: &Head) -> Entry {
    Entry {
        number: 0,
        at_ms: 1_000 + head.epoch,
        who: "ada".into(),
        action: "deploy a@1.0.0".into(),
        message: "because".into(),
        epoch: head.epoch,
        set: Digest::of(b"set").to_string(),
        bundles: vec!["a@1.0.0".into()],
        pool: head.pool.clone(),
    }
}

fn commit(store: &StateStore, epoch: u64) -> u64 {
    let head = head(epoch);
    let change = Change {
        head: &head,
        rollouts: &[],
        forgotten: &[],
        entry: Some(entry(&head)),
    };
    store.commit(change).unwrap()
}

#[test]
fn what_was_committed_is_there_after_opening_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let store = StateStore::open(&path).unwrap();
    assert!(store.load().unwrap().is_none());
    assert_eq!([commit(&store, 5), commit(&store, 6)], [1, 2]);
    drop(store);

    let store = StateStore::open(&path).unwrap();
    let remembered = store.load().unwrap().unwrap();
    assert_eq!(remembered.head, head(6));
    assert_eq!(remembered.known, &head(5).pool | &head(6).pool);
    assert_eq!((remembered.last.number, remembered.last.epoch), (2, 6));
    assert_eq!(store.entry(1).unwrap().unwrap().pool, head(5).pool);
    assert_eq!(store.entry(3).unwrap(), None);
    let numbers = |most| -> Vec<_> {
        let entries = store.history(most).unwrap();
        entries.iter().map(|entry| entry.number).collect()
    };
    assert_eq!((numbers(10), numbers(1)), (vec![2, 1], vec![2]));
}

#[test]
fn the_history_has_a_bound_and_its_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(&dir.path().join("state.redb")).unwrap();
    let fill = |database: &Database| {
        let transaction = database.begin_write()?;
        let mut history = transaction.open_table(HISTORY).unwrap();
        for number in 1..=MAX_HISTORY_ENTRIES {
            history.insert(number, &b"{}"[..]).unwrap();
        }
        drop(history);
        Ok(transaction.commit()?)
    };
    store.with(fill).unwrap();
    assert_eq!(commit(&store, 7), MAX_HISTORY_ENTRIES + 1);
    assert_eq!(store.entry(1).unwrap(), None);
    assert!(store.entry(2).is_err(), "the second one is kept");
}

#[test]
fn a_file_that_is_none_of_ours_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    for content in [&b"hello"[..], &[7; 100_000]] {
        std::fs::write(&path, content).unwrap();
        let error = StateStore::open(&path).map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains("state.redb is damaged, or no state file"),
            "{error}"
        );
        assert!(error.contains("move it away"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}

#[test]
fn a_file_of_a_later_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let store = StateStore::open(&path).unwrap();
    let change = |database: &Database| {
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert("format", &b"2"[..])?;
        Ok(transaction.commit()?)
    };
    store.with(change).unwrap();
    drop(store);
    let error = StateStore::open(&path).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("has format 2, and this version"), "{error}");
}

#[test]
fn damage_is_an_error_and_never_a_panic_nor_another_state() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let store = StateStore::open(&path).unwrap();
    for epoch in 1..20 {
        commit(&store, epoch);
    }
    // As a killed process leaves it, and as one that ended by itself.
    let killed = std::fs::read(&path).unwrap();
    drop(store);
    let ended = std::fs::read(&path).unwrap();
    let load = || {
        let store = StateStore::open(&path)?;
        Ok::<_, StateError>((store.load()?.unwrap(), store.history(usize::MAX)?))
    };
    let (expected, history) = load().unwrap();
    assert_eq!(expected.head, head(19));

    let mut random = fastrand::Rng::with_seed(4);
    let mut refused = 0;
    let rounds = 240;
    for round in 0..rounds {
        let mut bytes = if round % 2 == 0 { &killed } else { &ended }.clone();
        // Every page is hit sooner or later; a page of nothing shows nothing.
        let at = random.usize(..bytes.len());
        match round % 3 {
            0 => bytes[at] ^= 1 << random.u32(..8),
            1 => {
                let end = bytes.len().min(at + random.usize(1..5_000));
                bytes[at..end].fill_with(|| random.u8(..));
            }
            _ => {
                // Where text is, one of its letters: the values stay JSON.
                let from = bytes[at..].iter().position(u8::is_ascii_lowercase);
                bytes[at + from.unwrap_or(0)] ^= 1;
            }
        }
        if round % 20 == 0 {
            bytes.truncate(at);
        }
        std::fs::write(&path, bytes).unwrap();
        match load() {
            Ok((found, entries)) => {
                assert_eq!(
                    (found.head, entries),
                    (head(19), history.clone()),
                    "{round}"
                );
            }
            Err(error) => {
                refused += 1;
                let text = error.to_string();
                assert!(text.contains("state.redb"), "{text}");
                // Tried again, it is refused again.
                assert!(load().is_err(), "{round}: {text}");
            }
        }
    }
    assert!(refused > 30, "only {refused} of {rounds} were noticed");
}
