// A service that breaks every built-in in reach breaks itself, not the plumbing of its requests.
const bytes = new TextEncoder().encode("body");
const pieces = [bytes.slice(0, 2), bytes.slice(2), null];
const stream = new ReadableStream({ start(c) { c.enqueue(bytes.slice(0, 2)); c.enqueue(bytes.slice(2)); c.close(); } });
const { Response: R } = globalThis;
const defineProperty = Object.defineProperty;
const headerOf = Function.prototype.call.bind(Headers.prototype.get);
const lengthOf = internals.primordials.TypedArrayPrototypeGetLength;
const parameterOf = Function.prototype.call.bind(URLSearchParams.prototype.get);
const targets = [];
for (const proto of [Array.prototype, String.prototype, Map.prototype, Set.prototype, WeakMap.prototype, RegExp.prototype, Function.prototype, Promise.prototype, Object.getPrototypeOf(Uint8Array.prototype), Uint8Array.prototype, Headers.prototype, ReadableStream.prototype, URLSearchParams.prototype, TextDecoder.prototype, ReadableStreamDefaultReader.prototype, JSON, Object, Reflect, Math, Object.getPrototypeOf([][Symbol.iterator]()), Date, Symbol, Number, ArrayBuffer.prototype]) {
  for (const key of Reflect.ownKeys(proto)) {
    const d = Object.getOwnPropertyDescriptor(proto, key);
    if (!d.configurable || (key === "constructor" && proto !== Uint8Array.prototype) || typeof d.value !== "function" && !d.get) continue;
    targets.push([proto, key, d]);
  }
}
const length = targets.length;
const broken = () => { throw new Error("a patched built-in was used"); };
for (let i = 0; i < length; i++) defineProperty(targets[i][0], targets[i][1], { configurable: true, get() { return broken; } });
defineProperty(Object.prototype, "then", { configurable: true, get() { throw new Error("Object.prototype.then was asked for"); } });
let failure = null;
let sent = "";
let got = "";
let heads = [];
let state = 0;
try {
  const request = internals.createRequest("POST", "http://h/x", ["a", "1", "b", "2"], internals.createBodyStream((i) => undefined, () => undefined), null);
  heads[0] = request.url; heads[1] = headerOf(request.headers, "A");
  const head = internals.readResponse(new R("text", { status: 201 }));
  heads[2] = head.status; heads[3] = head.headers[1]; heads[4] = lengthOf(head.body);
  const json = internals.readResponse(R.json({ a: 1 }));
  heads[5] = lengthOf(json.body);
  const streamed = internals.readResponse(new R(stream));
  const pump = internals.pumpBody(streamed.body, (chunk) => { sent += "."; pump.pull(); }, () => { state = 1; }, (error) => { failure = error; });
  pump.pull();
  setTimeout(() => { state += 10; }, 1);
  console.log("still here", { a: [1] }, heads);
  heads[6] = parameterOf(new URL("/p?q=1", "http://h").searchParams, "q");
} catch (error) {
  failure = error;
}
delete Object.prototype.then;
for (let i = 0; i < length; i++) defineProperty(targets[i][0], targets[i][1], targets[i][2]);
if (failure !== null) throw failure;
equal(heads, ["http://h/x", "1", 201, "text/plain;charset=UTF-8", 4, 7, "1"]);
await new Promise((resolve) => setTimeout(resolve, 5));
equal([sent, state], ["..", 11]);
