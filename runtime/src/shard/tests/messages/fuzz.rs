//! Hostile messages: JavaScript's reader and that of the `capnp` crate see the same, or both refuse.
//!
//! What showed something new is kept as corpus, `messages/corpus.txt`: a line for each message, its
//! method and its segments in hex. The test replays it; `make fuzz` looks for more.
//!
//! libFuzzer would count the branches of the crate's reader alone, for V8 compiles the other one
//! while it runs. So what is new is judged by what was read: an error, or a kind of value in a field,
//! that no message before it gave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use capnp::Word;
use capnp::message::{Reader, SegmentArray};
use isolith_capnp::model::{Brand, Schema, Struct};
use isolith_capnp::{fixtures, javascript};
use serde_json::json;

use super::random::Random;
use super::reader::{RawStruct, dump_struct};
use super::{hex, isolate, limits, script, unhex};
use crate::isolate::Isolate;
use crate::shard::tests::on_shard;

/// Results of these methods of the fixture are read: every kind of field, lists that evolved, types
/// that are left open.
const METHODS: [&str; 4] = [
    "Fixture.kinds",
    "Fixture.evolve",
    "Fixture.small",
    "Open.open",
];
const BATCH: usize = 100;
const CORPUS_MESSAGES: usize = 250;
const CORPUS_MESSAGE_BYTES: usize = 600;

/// Less than messages are read with otherwise, for here all of each is decoded.
const TRAVERSAL_LIMIT_WORDS: usize = 1 << 10;

/// What is refused by one reader alone.
const ONE_REFUSES: [&str; 4] = [
    // Other implementations take the lowest bit of each number.
    "expected a list of bits",
    // The C++ library does as well; the `capnp` crate does not look.
    "a double-far landing pad is not a far pointer",
    // The readers count alike, but do not read in the same order, or as often.
    "read more than 1024 words",
    "Read limit exceeded",
];

#[derive(Clone)]
struct Message {
    method: usize,
    segments: Vec<Vec<u8>>,
}

/// One message for each pair of what the two readers said.
type Disagreements = BTreeMap<(String, String), String>;

struct Readers<'a> {
    isolate: &'a Isolate,
    schema: Schema,
}

impl<'a> Readers<'a> {
    fn new(isolate: &'a Isolate) -> Self {
        let schema = Schema::read(&fixtures::compile_fixture().unwrap()).unwrap();
        let id = |name| schema.interface(name).unwrap().0.id;
        let interfaces = [id("fixture.capnp:Fixture"), id("fixture.capnp:Open")];
        let generated = javascript::generate(&schema, &interfaces).unwrap();
        let dump = script("dump.js");
        let user = schema.nodes().find(|node| node.short == "User").unwrap().id;
        let keep = format!(
            "(rt, generated) => {{ globalThis.dump = ({dump})(rt, generated, '{user:016x}'); }}"
        );
        isolate.try_messages(&generated, &keep).unwrap();
        Self { isolate, schema }
    }

    fn results(&self, method: usize) -> &Struct {
        let (interface, name) = METHODS[method].split_once('.').unwrap();
        let interface = format!("fixture.capnp:{interface}");
        let (_, interface) = self.schema.interface(&interface).unwrap();
        let method = interface.methods.iter().find(|m| m.name == name).unwrap();
        self.schema.struct_by_id(method.results).unwrap().1
    }

    /// What JavaScript says of messages of one method.
    fn javascript(&self, method: usize, messages: &[Message]) -> Vec<String> {
        let list: Vec<Vec<String>> = messages
            .iter()
            .map(|message| {
                message
                    .segments
                    .iter()
                    .map(|segment| hex(segment))
                    .collect()
            })
            .collect();
        let input = json!([METHODS[method], list, TRAVERSAL_LIMIT_WORDS]).to_string();
        let found = self.isolate.try_call("dump", &input).unwrap();
        serde_json::from_str(&found).unwrap()
    }

    fn rust(&self, message: &Message) -> String {
        let aligned: Vec<Vec<Word>> = message.segments.iter().map(|s| words(s)).collect();
        let slices: Vec<&[u8]> = aligned.iter().map(|s| Word::words_to_bytes(s)).collect();
        let mut options = limits();
        options.traversal_limit_in_words(Some(TRAVERSAL_LIMIT_WORDS));
        let reader = Reader::new(SegmentArray::new(&slices), options);
        let found = reader.get_root::<RawStruct<'_>>().and_then(|root| {
            let layout = self.results(message.method);
            dump_struct(&self.schema, layout, &Brand::default(), &root.0)
        });
        found.unwrap_or_else(|error| format!("! {error}"))
    }

    /// Reads them both ways; returns what was found in each.
    fn compare(&self, messages: &[Message], disagreements: &mut Disagreements) -> Vec<String> {
        let mut all = vec![String::new(); messages.len()];
        for method in 0..METHODS.len() {
            let places: Vec<usize> = (0..messages.len())
                .filter(|place| messages[*place].method == method)
                .collect();
            if places.is_empty() {
                continue;
            }
            let some: Vec<Message> = places
                .iter()
                .map(|place| messages[*place].clone())
                .collect();
            for (place, ours) in places.into_iter().zip(self.javascript(method, &some)) {
                let message = &messages[place];
                let theirs = self.rust(message);
                let refused = ours.starts_with('!') && theirs.starts_with('!');
                let by_one = |error| ours.contains(error) || theirs.contains(error);
                let agree = ours == theirs || refused || ONE_REFUSES.into_iter().any(by_one);
                if !agree {
                    let text = format!("{}\nours   {ours}\ntheirs {theirs}", line(message));
                    let error = |found: &str| match found.starts_with('!') {
                        true => found.to_owned(),
                        false => String::new(),
                    };
                    disagreements.insert((error(&ours), error(&theirs)), text);
                }
                all[place] = ours;
            }
        }
        all
    }

    /// The message with as many words as possible set to 0 or left out, if the same is new about it.
    fn minimise(&self, mut message: Message, new: &BTreeSet<String>) -> Message {
        let is_still_new = |message: &Message| {
            let found = self.compare(std::slice::from_ref(message), &mut Disagreements::new());
            let features = features(message.method, &found[0]);
            new.iter().all(|feature| features.contains(feature))
        };
        for which in (0..message.segments.len()).rev() {
            for at in (0..message.segments[which].len()).step_by(8).rev() {
                let is_last = at + 8 == message.segments[which].len();
                let mut smaller = message.clone();
                smaller.segments[which][at..at + 8].fill(0);
                if smaller.segments == message.segments && !is_last {
                    continue;
                }
                if is_last && (which, at) != (0, 0) {
                    smaller.segments[which].truncate(at);
                    if at == 0 && which + 1 == smaller.segments.len() {
                        smaller.segments.pop();
                    }
                }
                if is_still_new(&smaller) {
                    message = smaller;
                }
            }
        }
        message
    }
}

fn words(segment: &[u8]) -> Vec<Word> {
    let mut words = Word::allocate_zeroed_vec(segment.len() / 8);
    Word::words_to_bytes_mut(&mut words).copy_from_slice(segment);
    words
}

fn line(message: &Message) -> String {
    let segments: Vec<String> = message
        .segments
        .iter()
        .map(|segment| hex(segment))
        .collect();
    format!("{} {}", METHODS[message.method], segments.join(" "))
}

fn parse(line: &str) -> Message {
    let mut words = line.split(' ');
    let name = words.next().unwrap();
    Message {
        method: METHODS.iter().position(|method| *method == name).unwrap(),
        segments: words.map(unhex).collect(),
    }
}

fn corpus() -> Vec<Message> {
    script("corpus.txt").lines().map(parse).collect()
}

#[test]
fn both_readers_agree_on_the_corpus_of_hostile_messages() {
    on_shard(|| async {
        let isolate = isolate().await;
        let readers = Readers::new(&isolate);
        let corpus = corpus();
        let mut disagreements = Disagreements::new();
        let found = readers.compare(&corpus, &mut disagreements);
        let refused = found.iter().filter(|found| found.starts_with('!')).count();
        assert!(
            refused > 10 && refused < found.len(),
            "{refused} of {}",
            found.len()
        );
        // Each message with each of its words damaged in turn.
        let random = &mut Random(0x5eed_5eed_5eed_5eed);
        for message in corpus.iter().step_by(1 + corpus.len() / 40) {
            let damaged: Vec<Message> = (0..40).map(|_| mutate(message, &corpus, random)).collect();
            readers.compare(&damaged, &mut disagreements);
        }
        agreed(&disagreements);
    });
}

/// For as many seconds as ISOLITH_FUZZ_SECONDS says. New finds go to the corpus.
#[test]
#[ignore = "runs for minutes, by hand: make fuzz"]
fn fuzz() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(number("ISOLITH_FUZZ_SECONDS").unwrap_or(600));
    let random = &mut Random(number("ISOLITH_SEED").unwrap_or(0x9e37_79b9_7f4a_7c15));
    on_shard(|| async move {
        let isolate = isolate().await;
        let readers = Readers::new(&isolate);
        let mut corpus = corpus();
        let mut seen = BTreeSet::new();
        let mut disagreements = Disagreements::new();
        let found = readers.compare(&corpus, &mut disagreements);
        for (message, found) in corpus.iter().zip(found) {
            seen.extend(features(message.method, &found));
        }
        let (mut tried, mut refused) = (0, 0);
        while Instant::now() < end {
            let method = random.below(METHODS.len());
            let parents: Vec<&Message> = corpus.iter().filter(|m| m.method == method).collect();
            let batch: Vec<Message> = (0..BATCH)
                .map(|_| mutate(parents[random.below(parents.len())], &corpus, random))
                .collect();
            let found = readers.compare(&batch, &mut disagreements);
            tried += batch.len();
            refused += found.iter().filter(|found| found.starts_with('!')).count();
            for (message, found) in batch.into_iter().zip(found) {
                let size: usize = message.segments.iter().map(Vec::len).sum();
                if size > CORPUS_MESSAGE_BYTES || corpus.len() >= CORPUS_MESSAGES {
                    continue;
                }
                let new: BTreeSet<String> = features(method, &found)
                    .difference(&seen)
                    .cloned()
                    .collect();
                if !new.is_empty() {
                    seen.extend(new.iter().cloned());
                    corpus.push(readers.minimise(message, &new));
                }
            }
        }
        agreed(&disagreements);
        let mut lines: Vec<String> = corpus.iter().map(line).collect();
        lines.sort();
        std::fs::write(super::path("corpus.txt"), lines.join("\n") + "\n").unwrap();
        println!(
            "{tried} messages, {refused} of them refused, no disagreement; corpus of {}",
            corpus.len()
        );
    });
}

fn agreed(disagreements: &Disagreements) {
    let texts: Vec<&str> = disagreements.values().map(String::as_str).collect();
    assert!(texts.is_empty(), "{}", texts.join("\n\n"));
}

/// What can be new about a find: an error, or in one of the fields a kind of value.
fn features(method: usize, found: &str) -> BTreeSet<String> {
    if found.starts_with('!') {
        return BTreeSet::from([found.replace(|c: char| c.is_ascii_digit(), "")]);
    }
    let mut field = "";
    let mut features = BTreeSet::new();
    for token in found.split_inclusive(['{', '}', '[', ']', ',', ':']) {
        let (value, delimiter) = token.split_at(token.len() - 1);
        if delimiter == ":" {
            field = value;
            continue;
        }
        let kind = match value {
            "" | "true" | "false" | "null" | "nan" | "\"\"" | "x" => value,
            _ if value.starts_with('"') => "\"..\"",
            _ if value.starts_with('x') => "x..",
            _ if value.starts_with('<') => value,
            _ => "0",
        };
        features.insert(format!("{method} {field} {kind}{delimiter}"));
    }
    features
}

/// One to four changes: bits, words, pointers of each kind, words from other messages, sizes.
fn mutate(parent: &Message, corpus: &[Message], random: &mut Random) -> Message {
    let mut message = parent.clone();
    for _ in 0..1 + random.below(4) {
        let count = message.segments.len();
        let which = random.below(count);
        let words = message.segments[which].len() / 8;
        if words == 0 {
            continue;
        }
        let at = random.below(words) * 8;
        let word = match random.below(9) {
            0 => {
                u64::from_le_bytes(message.segments[which][at..at + 8].try_into().unwrap())
                    ^ (1 << random.below(64))
            }
            1 => 0,
            2 => u64::MAX << random.below(64),
            // A struct, a list, a far pointer, a tag, near what is there.
            3 => {
                offset(random, words)
                    | u64_of(random.below(6)) << 32
                    | u64_of(random.below(6)) << 48
            }
            4 => {
                let count = [0, 1, 2, 7, 64, 0x1fff_ffff][random.below(6)];
                offset(random, words) | 1 | u64_of(random.below(8)) << 32 | count << 35
            }
            5 => {
                let double = u64_of(random.below(2)) << 2;
                2 | double
                    | u64_of(random.below(words)) << 3
                    | u64_of(random.below(count + 1)) << 32
            }
            6 => {
                let other = &corpus[random.below(corpus.len())].segments[0];
                if other.is_empty() {
                    continue;
                }
                let from = random.below(other.len() / 8) * 8;
                u64::from_le_bytes(other[from..from + 8].try_into().unwrap())
            }
            7 => {
                message.segments[which].truncate(at);
                continue;
            }
            _ => {
                let tail = message.segments[which].split_off(at);
                message.segments.push(tail);
                continue;
            }
        };
        message.segments[which][at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    message
}

fn offset(random: &mut Random, words: usize) -> u64 {
    let far = i32::try_from(random.below(2 * words + 2)).unwrap() - i32::try_from(words).unwrap();
    u64::from((far << 2).cast_unsigned())
}

fn u64_of(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}
