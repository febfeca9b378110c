//! V8's stub caches, whose memory goes back to the system while they are empty.
//!
//! Where code sees objects of many shapes, V8 finds a property in one of three hash tables. Together
//! they have 360 KiB in each isolate, a third of an idle one, for V8 writes every entry when it makes
//! an isolate, and in each full collection. An entry of zeros is as good: a look-up compares the name
//! first, which is never zero, and a store overwrites an entry that has no map. So the pages of the
//! tables are given back, and come again, zeroed, one by one as entries are stored.
//!
//! V8 tells nobody where the tables are. They are looked for once: an isolate holds the addresses of
//! its three tables side by side, each table ends with the address of its isolate, and all entries of
//! a new one are alike. If nothing looks exactly so, as it may with another V8, nothing is done.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{LazyLock, OnceLock};

use crate::platform;

const WORD_BYTES: usize = size_of::<usize>();
/// A name, a handler, a map.
const ENTRY_WORDS: usize = 3;
/// A table's entries, primary and secondary.
const TABLE_ENTRIES: usize = 4_096 + 1_024;
const TABLE_BYTES: usize = TABLE_ENTRIES * ENTRY_WORDS * WORD_BYTES;
/// As much of an isolate is searched for its tables.
const SEARCHED_BYTES: usize = 64 << 10;
const PAGE_BYTES: usize = 4 << 10;

type Tables = [usize; 3];

/// This process's memory as a file: reading an address that is not mapped is an error there.
static MEMORY: LazyLock<Option<File>> = LazyLock::new(|| File::open("/proc/self/mem").ok());

/// Gives back what the stub caches of an isolate hold. V8 fills them again. Some ten microseconds;
/// a few milliseconds the first time.
pub(super) fn give_back(isolate: &v8::Isolate) {
    for table in tables_of(platform::address_of(isolate))
        .into_iter()
        .flatten()
    {
        discard(table);
    }
}

/// Where the tables of the isolate at this address are. The first one that is asked for must be new.
fn tables_of(isolate: usize) -> Option<Tables> {
    static OFFSET: OnceLock<Option<usize>> = OnceLock::new();
    let offset = (*OFFSET.get_or_init(|| find(isolate)))?;
    let tables = *read::<3>(isolate + offset)?;
    let is_its_own = |table: &usize| owner(*table) == Some(isolate);
    tables.iter().all(is_its_own).then_some(tables)
}

/// How far behind its beginning the isolate at this address holds the addresses of its tables.
fn find(isolate: usize) -> Option<usize> {
    let words = read::<{ SEARCHED_BYTES / WORD_BYTES }>(isolate)?;
    let is_place = |place: &[usize]| {
        let is_table = |table: &usize| owner(*table) == Some(isolate) && is_empty(*table);
        place.iter().all(is_table)
    };
    let index = words.windows(3).position(is_place)?;
    Some(index * WORD_BYTES)
}

/// What stands behind the entries of a table, if there is one at this address.
fn owner(table: usize) -> Option<usize> {
    let is_pointer = table > PAGE_BYTES && table.is_multiple_of(WORD_BYTES);
    let behind = table.checked_add(TABLE_BYTES).filter(|_| is_pointer)?;
    let [owner] = *read::<1>(behind)?;
    Some(owner)
}

/// Whether all entries are alike and have no map.
fn is_empty(table: usize) -> bool {
    let entries = read::<{ TABLE_ENTRIES * ENTRY_WORDS }>(table);
    entries.is_some_and(|words| {
        let (entries, _) = words.as_chunks::<ENTRY_WORDS>();
        let first @ [name, handler, map] = entries.first().copied().unwrap_or_default();
        name != 0 && handler != 0 && map == 0 && entries.iter().all(|entry| *entry == first)
    })
}

/// The words at an address, if there is memory.
fn read<const N: usize>(address: usize) -> Option<Box<[usize; N]>> {
    let mut bytes = vec![0; N * WORD_BYTES];
    let file = MEMORY.as_ref()?;
    file.read_exact_at(&mut bytes, address as u64).ok()?;
    let (words, _) = bytes.as_chunks::<WORD_BYTES>();
    let words: Vec<usize> = words
        .iter()
        .map(|word| usize::from_ne_bytes(*word))
        .collect();
    words.try_into().ok()
}

/// Has the whole pages of a table read as zeros.
fn discard(table: usize) {
    let begin = table.next_multiple_of(PAGE_BYTES);
    let end = (table + TABLE_BYTES) / PAGE_BYTES * PAGE_BYTES;
    let pages = std::ptr::with_exposed_provenance_mut(begin);
    // SAFETY: the pages hold entries of a table and nothing else, and V8 takes zeros for empty ones.
    unsafe { libc::madvise(pages, end - begin, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::Blank;
    use crate::script::run_script;

    /// Loads and stores of 500 names on objects of 500 shapes, at places that see them all.
    const MEGAMORPHIC: &str = "
        const objects = Array.from({ length: 500 }, (_, i) => ({ ['own' + i]: i, shared: i }));
        const get = (object, name) => object[name], shared = (object) => object.shared;
        const set = (object, value) => { object.shared = value; };
        let sum = 0;
        for (let round = 0; round < 20; round++) {
          objects.forEach((object, i) => {
            sum += get(object, 'own' + i) + shared(object);
            set(object, shared(object) + 1);
          });
        }
        `${sum}`";

    #[test]
    fn what_v8_kept_may_be_lost_at_any_time() {
        let mut parts = Blank::new(64).unwrap().into_parts().unwrap();
        let address = platform::address_of(&parts.isolate);
        let tables = tables_of(address).expect("the tables of this V8 are found");
        let is_zero = |table: usize| {
            let words: Box<[usize; 512]> = read(table.next_multiple_of(PAGE_BYTES)).unwrap();
            words.iter().all(|word| *word == 0)
        };
        assert!(tables.into_iter().all(is_zero), "a new isolate holds them");
        // SAFETY: exited below.
        unsafe { parts.isolate.enter() };
        for _ in 0..3 {
            let text = {
                v8::scope!(let scope, &mut parts.isolate);
                let context = v8::Local::new(scope, &parts.context);
                let scope = &mut v8::ContextScope::new(scope, context);
                let source = format!("{{{MEGAMORPHIC}}}");
                run_script(scope, "test", &source).map(|sum| sum.to_rust_string_lossy(scope))
            };
            assert_eq!(text.as_deref(), Some("5085000"));
            assert!(!tables.into_iter().all(is_zero), "V8 stores entries");
            give_back(&parts.isolate);
            assert!(tables.into_iter().all(is_zero));
        }
        parts.isolate.low_memory_notification();
        assert!(tables.into_iter().all(is_zero), "a collection writes them");
        // SAFETY: entered above.
        unsafe { parts.isolate.exit() };
        parts.dispose();
    }
}
