// structuredClone
const date = new Date(5);
const source = { n: 1n, d: date, m: new Map([[{ k: 1 }, new Set([1])]]), r: /x/gi, b: new Uint8Array([1, 2]), e: new RangeError("m"), u: undefined, h: [, 1] };
source.self = source;
const copy = structuredClone(source);
assert(copy !== source && copy.self === copy && copy.d !== date && copy.d.getTime() === 5 && copy.n === 1n);
assert(copy.m instanceof Map && [...copy.m.keys()][0].k === 1 && copy.r.flags === "gi" && copy.e instanceof RangeError && "u" in copy && !(0 in copy.h));
copy.b[0] = 9;
equal(source.b[0], 1);
const buffer = new Uint8Array([7, 8]).buffer;
const moved = structuredClone({ a: buffer, b: buffer }, { transfer: [buffer] });
equal([buffer.byteLength, buffer.detached, moved.a === moved.b, new Uint8Array(moved.a)], [0, true, true, new Uint8Array([7, 8])]);
throws(() => structuredClone(() => {}), "DataCloneError", "could not be cloned");
throws(() => structuredClone({ s: Symbol("x") }), "DataCloneError");
throws(() => structuredClone(1, { transfer: [{}] }), "DataCloneError", "ArrayBuffer");
throws(() => structuredClone(1, { transfer: [buffer] }), "DataCloneError", "detached");
throws(() => structuredClone({ get x() { throw new RangeError("mine"); } }), "RangeError", "mine");
throws(() => structuredClone(new Headers()), "DataCloneError");
throws(() => structuredClone(), "TypeError");

// The surface
equal([navigator.userAgent, self === globalThis, typeof SharedArrayBuffer, typeof process, typeof Buffer, typeof require], ["Isolith", true, "undefined", "undefined", "undefined", "undefined"]);
const t0 = performance.now();
assert(t0 >= 0 && Math.abs(t0 * 10 - Math.round(t0 * 10)) < 1e-6, `time is coarse: ${t0}`);
assert(Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 1000, "timeOrigin");
equal(Object.keys(globalThis), [], "nothing enumerable");
assert(!("__isolith_internals" in globalThis) && !("host" in globalThis));
// No native function is reachable from the classes.
for (const name of Object.getOwnPropertyNames(globalThis)) {
  const value = globalThis[name];
  assert(typeof value !== "function" || value.name === name || name === "globalThis", `${name} is named ${value?.name}`);
}

// Immutable buffers (V8 adds them when it makes the context) stay so.
const sealed = new Uint8Array([1, 2, 3, 4]).buffer.transferToImmutable();
const frozen = new Uint8Array(sealed);
throws(() => new TextEncoder().encodeInto("ab", frozen), "TypeError");
throws(() => crypto.getRandomValues(frozen), "TypeError");
throws(() => structuredClone(sealed, { transfer: [sealed] }), "DataCloneError");
equal([...frozen], [1, 2, 3, 4]);
equal(await new Response(frozen).bytes(), new Uint8Array([1, 2, 3, 4]));
throws(() => structuredClone(1, { transfer: [new WebAssembly.Memory({ initial: 1 }).buffer] }), "DataCloneError", "cannot be transferred");

// TypedArray.prototype.set takes an immutable source, and says what it says of a bad one.
const fixed = new Uint8Array(new Uint8Array([1, 2, 3]).buffer.transferToImmutable());
const whole = new Uint8Array(4);
whole.set(fixed, 1);
equal(whole, new Uint8Array([0, 1, 2, 3]));
throws(() => whole.set(fixed, 2), "RangeError");
throws(() => fixed.set([1]), "TypeError", "immutable");
throws(() => whole.set(new BigInt64Array(1)), "TypeError");
equal([Uint8Array.prototype.set.length, Uint8Array.prototype.set.name], [1, "set"]);
