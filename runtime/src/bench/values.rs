//! Messages beside JSON: an object of five fields, one of them a Text, written and read in one
//! isolate by the code that services run.

use std::time::Instant;

use isolith_capnp::MESSAGE_JS;
use isolith_capnp::{javascript, model::Schema, schema};

type Error = Box<dyn std::error::Error>;

const SCHEMA: &str = "
@0xc0f1d2c3a4958671;
interface Users { keep @0 (id :UInt32, name :Text, active :Bool, score :Float64, visits :Int32); }
";

/// `(rt, generated)` to `(what, count)`, which returns a sum so that nothing is left out. 64 values
/// take turns, so that no result of a round can be used in the next.
const ROUNDS_JS: &str = "
(function (rt, generated) {
  'use strict';
  const method = Object.values(generated.interfaces)[0].methods[0];
  const COUNT = 64;
  const buffer = new ArrayBuffer(16384);
  const builder = new rt.Builder(buffer, 16384);
  const values = [], texts = [], ends = [], readers = [];
  const chunk = new rt.Chunk(buffer);
  for (let i = 0; i < COUNT; i++) {
    const value = { id: 1000 + i, name: `user-${i}-0123456789`, active: true, score: i + 0.5, visits: -i };
    values.push(value);
    texts.push(JSON.stringify(value));
    builder.begin(i * 128);
    method.encodeParams(builder, value);
    ends.push(i * 128 + builder.end());
    readers.push(method.readParams(rt.Message(chunk, i * 128, ends[i], null)));
  }
  const sum = (v) => v.id + v.name.length + (v.active ? 1 : 0) + v.score + v.visits;
  return {
    read(count) {
      let total = 0;
      for (let i = 0; i < count; i++) total += readers[i & 63].id;
      return total;
    },
    encode(count) {
      let total = 0;
      for (let i = 0; i < count; i++) {
        builder.begin(8192);
        method.encodeParams(builder, values[i & 63]);
        total += builder.end();
      }
      return total;
    },
    decode(count) {
      let total = 0;
      for (let i = 0; i < count; i++) {
        const at = i & 63;
        total += sum(method.readParams(rt.Message(chunk, at * 128, ends[at], null)));
      }
      return total;
    },
    stringify(count) {
      let total = 0;
      for (let i = 0; i < count; i++) total += JSON.stringify(values[i & 63]).length;
      return total;
    },
    parse(count) {
      let total = 0;
      for (let i = 0; i < count; i++) total += sum(JSON.parse(texts[i & 63]));
      return total;
    },
  };
})";

/// Nanoseconds each.
#[derive(Clone, Copy, Default)]
pub(super) struct Values {
    /// A field of a reader.
    pub(super) read_scalar_ns: f64,
    /// An object into a message.
    pub(super) encode_small_ns: f64,
    /// A message into a reader, all fields read.
    pub(super) decode_small_ns: f64,
    pub(super) json_stringify_small_ns: f64,
    /// All fields read.
    pub(super) json_parse_small_ns: f64,
}

/// An isolate with the loops, compiled by V8 as the first rounds go on.
pub(super) struct Loops {
    context: v8::Global<v8::Context>,
    loops: v8::Global<v8::Object>,
    isolate: v8::OwnedIsolate,
}

impl Loops {
    pub(super) fn new() -> Result<Self, Error> {
        crate::platform::init_once();
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("users.capnp"), SCHEMA)?;
        let bytes = schema::compile(folder.path(), &["users.capnp"], &[] as &[&str])?;
        let schema = Schema::read(&bytes)?;
        let ids: Vec<u64> = schema.interfaces().map(|(node, _)| node.id).collect();
        let generated = javascript::generate(&schema, &ids)?;
        // Short ASCII texts and no blobs: nothing of the host is needed.
        let source = format!(
            "(() => {{ const rt = ({MESSAGE_JS})({{}}); return ({ROUNDS_JS})(rt, ({generated})(rt)); }})()"
        );
        let mut isolate = v8::Isolate::new(v8::CreateParams::default());
        let made = {
            v8::scope!(let scope, &mut isolate);
            let context = v8::Context::new(scope, v8::ContextOptions::default());
            let scope = &mut v8::ContextScope::new(scope, context);
            v8::String::new(scope, &source)
                .and_then(|source| v8::Script::compile(scope, source, None))
                .and_then(|script| script.run(scope))
                .and_then(|loops| loops.to_object(scope))
                .map(|loops| {
                    (
                        v8::Global::new(scope, context),
                        v8::Global::new(scope, loops),
                    )
                })
        };
        // SAFETY: entered again in `run` and before it is dropped.
        unsafe { isolate.exit() };
        let (context, loops) = made.ok_or("the loops over messages and JSON do not run")?;
        Ok(Self {
            isolate,
            context,
            loops,
        })
    }

    /// One round of each.
    pub(super) fn round(&mut self, count: u32) -> Result<Values, Error> {
        Ok(Values {
            read_scalar_ns: self.run("read", count)?,
            encode_small_ns: self.run("encode", count)?,
            json_stringify_small_ns: self.run("stringify", count)?,
            decode_small_ns: self.run("decode", count)?,
            json_parse_small_ns: self.run("parse", count)?,
        })
    }

    fn run(&mut self, name: &str, count: u32) -> Result<f64, Error> {
        // SAFETY: exited below.
        unsafe { self.isolate.enter() };
        let elapsed = {
            v8::scope!(let scope, &mut self.isolate);
            let context = v8::Local::new(scope, &self.context);
            let scope = &mut v8::ContextScope::new(scope, context);
            let loops = v8::Local::new(scope, &self.loops);
            let count = v8::Integer::new_from_unsigned(scope, count).into();
            v8::String::new(scope, name)
                .and_then(|name| loops.get(scope, name.into()))
                .and_then(|found| v8::Local::<v8::Function>::try_from(found).ok())
                .and_then(|function| {
                    let start = Instant::now();
                    function.call(scope, loops.into(), &[count])?;
                    Some(start.elapsed())
                })
        };
        // SAFETY: entered above.
        unsafe { self.isolate.exit() };
        let elapsed = elapsed.ok_or_else(|| format!("the loop `{name}` failed"))?;
        Ok(elapsed.as_nanos() as f64 / f64::from(count))
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        // SAFETY: an isolate must be the entered one when it is dropped; dropping exits it.
        unsafe { self.isolate.enter() };
    }
}
