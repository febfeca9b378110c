const chunks = (...list) => new ReadableStream({ start(c) { list.forEach((x) => c.enqueue(x)); c.close(); } });
// Pulling follows demand, and the high-water mark.
let pulls = 0;
const lazy = new ReadableStream({ pull(c) { pulls++; c.enqueue(pulls); if (pulls === 5) c.close(); } }, { highWaterMark: 2 });
await null; await null;
for (let i = 0; i < 5; i++) await null;
equal(pulls, 2, "two chunks ahead and no more");
equal(await collect(lazy), [1, 2, 3, 4, 5]);

// Readers, locks, release.
const s = chunks("a", "b");
const reader = s.getReader();
throws(() => s.getReader(), "TypeError", "locked");
equal(await reader.read(), { value: "a", done: false });
reader.releaseLock();
await rejects(reader.read(), "TypeError", "released");
await rejects(reader.closed, "TypeError", "released");
const second = s.getReader();
equal([await second.read(), await second.read()], [{ value: "b", done: false }, { value: undefined, done: true }]);
await second.closed;

// Errors and cancellation reach both ends.
let why;
const cancelable = new ReadableStream({ cancel(reason) { why = reason; } });
await cancelable.cancel("enough");
equal(why, "enough");
const failing = new ReadableStream({ start(c) { c.error(new RangeError("broken")); } });
await rejects(failing.getReader().read(), "RangeError", "broken");
const pullFails = new ReadableStream({ async pull() { throw new RangeError("pull"); } });
await rejects(collect(pullFails), "RangeError", "pull");
const early = new ReadableStream({ pull(c) { c.enqueue(1); }, cancel(r) { why = "left the loop"; } });
for await (const x of early) break;
equal([why, early.locked], ["left the loop", false]);
let c0;
new ReadableStream({ start(c) { c0 = c; } });
c0.close();
throws(() => c0.enqueue(1), "TypeError", "closed");
throws(() => new ReadableStream({ type: "other" }), "TypeError", "bytes");
throws(() => new ReadableStream({}, { highWaterMark: -1 }), "RangeError");

// tee, from.
const [left, right] = chunks(1, 2, 3).tee();
equal([await collect(left), await collect(right)], [[1, 2, 3], [1, 2, 3]]);
const [e1, e2] = new ReadableStream({ pull(c) { c.error(new RangeError("both")); } }).tee();
await rejects(collect(e1), "RangeError", "both");
await rejects(collect(e2), "RangeError", "both");
equal(await collect(ReadableStream.from((async function* () { yield 1; yield 2; })())), [1, 2]);
equal(await collect(ReadableStream.from(["x", Promise.resolve("y")])), ["x", "y"]);

// Byte streams: own buffers are filled across chunk borders.
const bytes = new ReadableStream({ type: "bytes", start(c) { c.enqueue(new Uint8Array([1, 2, 3])); c.enqueue(new Uint8Array([4, 5])); c.close(); } });
const byob = bytes.getReader({ mode: "byob" });
const first = await byob.read(new Uint8Array(4));
equal([first.value, first.done], [new Uint8Array([1, 2, 3, 4]), false]);
const rest = await byob.read(new Uint8Array(4));
equal(rest.value, new Uint8Array([5]));
const end = await byob.read(new Uint8Array(4));
equal([end.value.length, end.done], [0, true]);
throws(() => chunks(1).getReader({ mode: "byob" }), "TypeError", "bytes");

// Writable: order, backpressure, close, abort.
const log = [];
let open;
const w = new WritableStream({ write(x) { log.push(x); return new Promise((r) => { open = r; }); }, close() { log.push("close"); } }, { highWaterMark: 2 });
const writer = w.getWriter();
equal(writer.desiredSize, 2);
const writes = [writer.write(1), writer.write(2)];
equal(writer.desiredSize, 0);
let ready = false;
writer.ready.then(() => { ready = true; });
const closed = writer.close();
await null; await null;
open(); await writes[0];
open(); await writes[1]; await closed; await writer.closed;
equal(log, [1, 2, "close"]);
await rejects(writer.write(3), "TypeError", "clos");
let aborted;
const bad = new WritableStream({ write() { throw new RangeError("sink"); }, abort(r) { aborted = r; } });
const badWriter = bad.getWriter();
badWriter.closed.catch(() => {});
await rejects(badWriter.write(1), "RangeError", "sink");
await rejects(badWriter.closed, "RangeError", "sink");
const abortable = new WritableStream({ abort(r) { aborted = r; } });
await abortable.abort("no more");
equal(aborted, "no more");

// Pipes: data, errors both ways, signals, the prevent options.
const sink = (into, more = {}) => new WritableStream({ write(x) { into.push(x); }, close() { into.push("end"); }, abort(r) { into.push(["abort", `${r}`]); }, ...more });
const a = [];
await chunks(1, 2).pipeTo(sink(a));
equal(a, [1, 2, "end"]);
const b = [];
await rejects(new ReadableStream({ start(c) { c.enqueue(1); }, pull(c) { c.error(new RangeError("src")); } }).pipeTo(sink(b)), "RangeError", "src");
equal(b.at(-1), ["abort", "RangeError: src"]);
await rejects(new ReadableStream({ pull(c) { c.enqueue(1); }, cancel(r) { why = `canceled: ${r.message}`; } }).pipeTo(new WritableStream({ write() { throw new RangeError("dst"); } })), "RangeError", "dst");
equal(why, "canceled: dst");
const stop = new AbortController();
const d = [];
const piping = new ReadableStream({ cancel(r) { why = r; } }).pipeTo(sink(d), { signal: stop.signal });
stop.abort("stopped");
equal(await piping.catch((e) => e), "stopped");
equal([why, d], ["stopped", [["abort", "stopped"]]]);
const keep = [];
const target = sink(keep);
await chunks(1).pipeTo(target, { preventClose: true });
await chunks(2).pipeTo(target);
equal(keep, [1, 2, "end"]);

// Transforms.
const upper = () => new TransformStream({ transform(x, c) { c.enqueue(x.toUpperCase()); }, flush(c) { c.enqueue("!"); } });
equal(await collect(chunks("a", "b").pipeThrough(upper())), ["A", "B", "!"]);
await rejects(collect(chunks(1).pipeThrough(upper())), "TypeError", "toUpperCase");
equal(await collect(chunks("x").pipeThrough(new TransformStream())), ["x"]);
equal(await collect(chunks(1, 2, 3).pipeThrough(new TransformStream({ transform(x, c) { c.enqueue(x); if (x === 2) c.terminate(); } }))), [1, 2]);
const round = chunks("h\u00e9", "\ud83d", "\ude00").pipeThrough(new TextEncoderStream());
equal((await collect(round.pipeThrough(new TextDecoderStream()))).join(""), "h\u00e9\ud83d\ude00");
let flowing = 0;
const t = new TransformStream({ transform(x, c) { flowing++; c.enqueue(x); } });
const tw = t.writable.getWriter();
for (let i = 0; i < 3; i++) tw.write(i);
for (let i = 0; i < 10; i++) await null;
equal(flowing, 0, "a transform waits until its output is wanted");
equal((await t.readable.getReader().read()).value, 0);
