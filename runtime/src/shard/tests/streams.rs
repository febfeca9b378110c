//! Streaming methods: windows, errors, the web's streams, cancellation.

use super::*;

const SCHEMA: &str = "
@0x9f4f2f1d7d1c4a11;
interface Driver { run @0 (what :Text, count :UInt32) -> (lines :List(Text)); }
interface Sink { write @0 (bytes :Data) -> stream; end @1 (); }
interface Source { pipe @0 (into :Sink) -> (); }
interface Store {
  put @0 (slowMs :UInt32, failAt :UInt32) -> (into :Sink);
  putWeb @1 () -> (into :Sink);
  get @2 (chunks :UInt32) -> (source :Source);
  seen @3 () -> (chunks :UInt32, bytes :Float64, atOnce :UInt32, events :List(Text));
}
";

const STORE: Sample<'_> = Sample {
    service: "store",
    version: "1.0.0",
    source: "
let seen = { chunks: 0, bytes: 0, atOnce: 0, events: [] };
let running = 0;
class Sink {
  constructor(slowMs, failAt) { Object.assign(this, { slowMs, failAt }); }
  async write({ bytes }) {
    seen.atOnce = Math.max(seen.atOnce, ++running);
    if (this.slowMs > 0) await new Promise((done) => setTimeout(done, this.slowMs));
    else await null;
    running--;
    seen.chunks++;
    seen.bytes += bytes.length;
    if (seen.chunks === this.failAt) throw new Error('the disk is full');
  }
  end() { seen.events.push('end'); }
}
export class StoreService {
  put({ slowMs, failAt }) {
    seen = { chunks: 0, bytes: 0, atOnce: 0, events: [] };
    return { into: new Sink(slowMs, failAt) };
  }
  putWeb() {
    seen = { chunks: 0, bytes: 0, atOnce: 0, events: [] };
    return { into: new WritableStream({
      write(bytes) { seen.chunks++; seen.bytes += bytes.length; },
      close() { seen.events.push('close'); },
      abort(reason) { seen.events.push(`abort: ${reason.message}`); },
    }) };
  }
  get({ chunks }) {
    seen = { chunks: 0, bytes: 0, atOnce: 0, events: [] };
    let left = chunks;
    return { source: new ReadableStream({
      pull(controller) {
        if (left-- === 0) return controller.close();
        seen.chunks++;
        controller.enqueue(new Uint8Array(20_000).fill(left & 0xff));
      },
      cancel() { seen.events.push('cancel'); },
    }) };
  }
  seen() { return seen; }
}",
    exports: &[("STORE", "Store", "StoreService")],
    imports: &[],
    http: false,
};

const DRIVER: Sample<'_> = Sample {
    service: "driver",
    version: "1.0.0",
    source: "
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const failure = (promise) => promise.then(() => 'no error', (error) => error.message);
const lines = async (STORE) => {
  const { chunks, bytes, atOnce, events } = await STORE.seen();
  return [chunks, bytes, atOnce, ...events.toArray()].map(String);
};
const cases = {
  async push({ STORE }, count) {
    const { into } = await STORE.put();
    for (let i = 0; i < count; i++) await into.write({ bytes: new Uint8Array(65_536) });
    await into.end();
    return lines(STORE);
  },
  async lag({ STORE }, count) {
    const { into } = await STORE.put({ slowMs: 1 });
    let lag = 0;
    for (let i = 1; i <= count; i++) {
      await into.write({ bytes: new Uint8Array(10_000) });
      lag = Math.max(lag, i * 10_000 - (await STORE.seen()).bytes);
    }
    await into.end();
    return [String(lag), ...await lines(STORE)];
  },
  async failing({ STORE }) {
    const { into } = await STORE.put({ failAt: 3 });
    let written = 0;
    const error = await failure((async () => {
      for (; written < 1000; written++) await into.write({ bytes: new Uint8Array(10_000) });
    })());
    return [error, await failure(into.end()), String(written < 1000)];
  },
  async readable({ STORE }, count) {
    const { source } = await STORE.get({ chunks: count });
    let bytes = 0;
    let last = -1;
    for await (const chunk of source.readable()) {
      bytes += chunk.length;
      last = chunk[chunk.length - 1];
    }
    return [String(bytes), String(last)];
  },
  async writable({ STORE }, count) {
    let left = count;
    const from = new ReadableStream({ pull(controller) {
      if (left-- === 0) return controller.close();
      controller.enqueue(new Uint8Array(20_000));
    } });
    await from.pipeTo((await STORE.putWeb()).into.writable());
    return lines(STORE);
  },
  async early({ STORE }) {
    let bytes = 0;
    for await (const chunk of STORE.get({ chunks: 5 }).readable()) bytes += chunk.length;
    return [String(bytes)];
  },
  async cancel({ STORE }) {
    const { source } = await STORE.get({ chunks: 1000 });
    const reader = source.readable().getReader();
    await reader.read();
    await reader.cancel(new Error('enough'));
    await sleep(20);
    const { chunks, events } = await STORE.seen();
    return [String(chunks < 1000), ...events];
  },
  async abort({ STORE }) {
    const writer = (await STORE.putWeb()).into.writable().getWriter();
    await writer.write(new Uint8Array(10));
    await writer.abort(new Error('enough'));
    await sleep(20);
    return lines(STORE);
  },
};
export class DriverService {
  constructor(env) { this.env = env; }
  async run({ what, count }) { return { lines: await cases[what](this.env, count) }; }
}",
    exports: &[("DRIVER", "Driver", "DriverService")],
    imports: &[("STORE", "store", "^1", "Store")],
    http: false,
};

const WINDOW_BYTES: usize = 100_000;

async fn world() -> Rc<World> {
    let limits = Limits {
        stream_window_bytes: WINDOW_BYTES,
        cpu_ms_per_request: 60_000,
        ..Limits::ample()
    };
    let schema = SampleSchema::new(SCHEMA).unwrap();
    let programs = programs(&schema, &[STORE, DRIVER]);
    let set = solve_samples(&programs, "driver").unwrap();
    let (shard, routing) = serve_samples(&programs, &set, "driver", limits)
        .await
        .unwrap();
    tokio::task::spawn_local(Rc::clone(&shard).pump());
    Rc::new(World { shard, routing })
}

#[test]
fn a_fast_producer_is_held_to_the_window() {
    on_shard(|| async {
        let world = world().await;
        let lines = world.lines("lag", 100).await;
        let lag: usize = lines[0].parse().unwrap();
        assert!(lag > 20_000 && lag <= WINDOW_BYTES + 10_000, "{lag}");
        // Everything arrived, one write at a time, and the end after the last.
        assert_eq!(lines[1..], ["100", "1000000", "1", "end"]);
    });
}

#[test]
fn an_error_surfaces_at_a_later_write_and_at_the_end() {
    on_shard(|| async {
        let lines = world().await.lines("failing", 0).await;
        assert!(lines[0].contains("the disk is full"), "{}", lines[0]);
        assert!(lines[1].contains("the disk is full"), "{}", lines[1]);
        assert_eq!(lines[2], "true");
    });
}

#[test]
fn the_web_s_streams_pass_as_capabilities() {
    on_shard(|| async {
        let world = world().await;
        assert_eq!(world.lines("readable", 50).await, ["1000000", "0"]);
        assert_eq!(world.lines("early", 0).await, ["100000"]);
        let written = ["50", "1000000", "0", "close"];
        assert_eq!(world.lines("writable", 50).await, written);
        assert_eq!(world.lines("cancel", 0).await, ["true", "cancel"]);
        let aborted = "abort: the sender let go of the stream before its end";
        assert_eq!(world.lines("abort", 0).await, ["1", "10", "0", aborted]);
        world.assert_nothing_is_held();
    });
}

/// 1 GiB from one service to another: what both isolates hold besides their heaps stays within
/// the window and what may gather before it is collected. V8 counts a dead chunk until the
/// collection after the one that found it.
#[test]
fn a_long_stream_keeps_memory_flat() {
    on_shard(|| async {
        let world = world().await;
        let sent = {
            let world = Rc::clone(&world);
            tokio::task::spawn_local(async move { world.lines("push", 16_384).await })
        };
        let mut most = 0;
        while !sent.is_finished() {
            let stats = world.shard.stats();
            let now: u64 = stats.isolates.iter().map(|one| one.external_bytes).sum();
            most = most.max(now);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let lines = sent.await.unwrap();
        assert_eq!(lines, ["16384", "1073741824", "1", "end"]);
        println!("at most {most} bytes outside the heaps");
        assert!(most < 96 << 20, "{most}");
    });
}
