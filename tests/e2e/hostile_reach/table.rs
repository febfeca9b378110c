//! The hostile bundles and what is to come of each.

/// A service that is called.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// What the main module does first.
    pub(super) module: &'static str,
    /// The body of its method.
    pub(super) run: &'static str,
    /// More lines of its manifest.
    pub(super) manifest: &'static str,
    pub(super) expect: Expect,
}

/// What its caller gets.
#[derive(Debug)]
pub(super) enum Expect {
    /// An error of this kind (empty: of any), with this in its message.
    Kind(&'static str, &'static str),
    /// A text that begins so.
    Text(&'static str),
    /// The caller's own request ends with this status.
    Status(u16),
}

use Expect::{Kind, Status, Text};

/// Its manifest has these imports, too: the good service, and itself through another name.
const OTHERS: &str = "[imports.OTHER]\nservice = \"good\"\nversion = \"^1\"\n\
     interface = \"schema/attack.capnp:Attack\"\n";
const SELF: &str = "[imports.SELF]\nservice = \"endless-calls-between-services\"\nversion = \"^1\"\n\
     interface = \"schema/attack.capnp:Attack\"\n";

const fn attack(
    name: &'static str,
    module: &'static str,
    run: &'static str,
    expect: Expect,
) -> Attack {
    Attack {
        name,
        module,
        run,
        manifest: "",
        expect,
    }
}

const fn calling(manifest: &'static str, attack: Attack) -> Attack {
    Attack { manifest, ..attack }
}

pub(super) const ATTACKS: &[Attack] = &[
    // Poisoned prototypes and patched built-ins. What they see of the glue is told as the answer.
    attack(
        "setters-on-object-prototype",
        "const seen = [];
         for (const key of ['rootLow', 'rootHigh', 'callLow', 'callHigh', 'frame', 'resolve', 'reject',
           'method', 'label', 'segments', 'buffer', 'base', 'end', '0', '1', 'kind', 'at', 'due']) {
           Object.defineProperty(Object.prototype, key, { configurable: true,
             set(value) { seen.push(key); Object.defineProperty(this, key, { value, writable: true, configurable: true }); } });
         }",
        "const mine = { text: '' }; mine.text = `saw ${seen.filter((key) => key.startsWith('root') || key.startsWith('call')).length}`; return mine;",
        Text("saw 0"),
    ),
    attack(
        "getters-on-object-prototype",
        "for (const key of ['text', 'number', 'then', 'value', 'done']) {
           Object.defineProperty(Object.prototype, key, { __proto__: null, configurable: true, get() { throw new Error('trap ' + key); } });
         }",
        "return Object.assign(Object.create(null), { text: 'still here' });",
        Text("still here"),
    ),
    attack(
        "then-on-object-prototype",
        "Object.prototype.then = function (resolve) { delete Object.prototype.then; resolve({ text: 'hijacked itself' }); };",
        "return { text: 'plain' };",
        Text(""),
    ),
    attack(
        "patched-array-prototype",
        "const seen = [];
         for (const key of ['push', 'pop', 'shift', 'map', 'forEach', 'slice', 'splice', 'join', 'indexOf', 'concat']) {
           const own = Array.prototype[key];
           Array.prototype[key] = function (...args) { seen.push(key); return own.apply(this, args); };
         }
         Object.defineProperty(Array.prototype, '0', { configurable: true, set(value) { Object.defineProperty(this, '0', { value, writable: true, configurable: true, enumerable: true }); } });
         Array.prototype[Symbol.iterator] = function* () { throw new Error('no iteration'); };",
        "return { text: 'arrays', items: ['a', 'b'] };",
        Text("arrays"),
    ),
    attack(
        "patched-promise",
        "const stolen = [];
         const then = Promise.prototype.then;
         Promise.prototype.then = function (a, b) { stolen.push(a, b); return then.call(this, a, b); };
         Promise.prototype.catch = Promise.prototype.finally = () => { throw new Error('no'); };
         Object.defineProperty(Promise, Symbol.species, { get() { throw new Error('no species'); } });
         Promise.resolve = Promise.reject = Promise.all = () => { throw new Error('no promises'); };",
        "return { text: 'promised' };",
        Text("promised"),
    ),
    attack(
        "promise-constructor-getter",
        "Object.defineProperty(Promise.prototype, 'constructor', { get() { throw new Error('who asks?'); } });",
        "return { text: 'never awaited' };",
        Text("never awaited"),
    ),
    attack(
        "patched-function-prototype",
        "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => { throw new Error('no calls'); };",
        "return { text: 'called' };",
        Text("called"),
    ),
    attack(
        "patched-text-and-numbers",
        "for (const key of Object.getOwnPropertyNames(String.prototype)) {
           if (typeof String.prototype[key] === 'function') String.prototype[key] = () => { throw new Error(key); };
         }
         Math.floor = Math.min = Math.max = Number.isInteger = BigInt.asIntN = () => { throw new Error('no numbers'); };
         globalThis.TextEncoder = globalThis.TextDecoder = undefined; JSON.stringify = JSON.parse = () => 'forged';",
        "return { text: 'texts', number: 7, big: 9n };",
        Text("texts"),
    ),
    attack(
        "patched-typed-arrays",
        "const TypedArray = Object.getPrototypeOf(Uint8Array);
         TypedArray.prototype.set = TypedArray.prototype.subarray = TypedArray.prototype.slice = () => { throw new Error('no bytes'); };
         for (const key of ['buffer', 'length', 'byteLength', 'byteOffset']) {
           Object.defineProperty(TypedArray.prototype, key, { get() { return 1e9; } });
         }
         DataView.prototype.getUint32 = DataView.prototype.setUint32 = () => { throw new Error('no views'); };",
        "return { text: 'bytes', data: params.data };",
        Text("bytes"),
    ),
    attack(
        "deleted-globals",
        "for (const key of Reflect.ownKeys(globalThis)) { try { delete globalThis[key]; } catch {} }",
        "return { text: 'bare' };",
        Text("bare"),
    ),
    attack(
        "frozen-everything",
        "for (const C of [Object, Array, Function, Promise, Error, Map, Uint8Array, ArrayBuffer]) {
           Object.freeze(C.prototype); Object.freeze(C);
         }
         Object.freeze(globalThis);",
        "return { text: 'frozen', items: ['a'] };",
        Text("frozen"),
    ),
    // Lies about values.
    attack(
        "throwing-proxy",
        "",
        "return new Proxy({}, { get() { throw new RangeError('trapped'); }, has() { throw new RangeError('trapped'); }, ownKeys() { throw new RangeError('trapped'); } });",
        Kind("failed", "trapped"),
    ),
    attack(
        "endless-proxy",
        "const endless = () => new Proxy({}, { get: (_, key) => (key === 'next' ? endless() : key === 'name' ? 'x' : undefined), ownKeys: () => ['name', 'next'],
           getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: 1 }) });",
        "return { text: 'deep', inner: endless() };",
        Kind("", ""),
    ),
    attack(
        "cyclic-value",
        "",
        "const inner = { name: 'x' }; inner.next = inner; return { text: 'cycle', inner };",
        Kind("", ""),
    ),
    attack(
        "getter-that-throws",
        "",
        "return { get text() { throw new Error('not readable'); } };",
        Kind("failed", "not readable"),
    ),
    attack(
        "getter-that-grows-its-list",
        "",
        "const items = ['a']; let n = 0;
         const list = new Proxy(items, { get(target, key) { if (key === 'length') return n++ % 2 ? 1e6 : 1; return target[key] ?? 'x'; } });
         return { text: 'grown', items: list };",
        Text("grown"),
    ),
    attack(
        "list-that-claims-to-be-endless",
        "",
        "return { text: 'long', items: { length: 4294967295 } };",
        Kind("", ""),
    ),
    attack(
        "thenable-result",
        "",
        "return { then(resolve) { resolve({ then(again) { again({ text: 'twice' }); } }); } };",
        Text("twice"),
    ),
    attack(
        "thenable-that-settles-often",
        "",
        "return { then(resolve, reject) { resolve({ text: 'first' }); reject(new Error('second')); resolve({ text: 'third' }); throw new Error('fourth'); } };",
        Text("first"),
    ),
    attack(
        "thenable-that-never-settles",
        "",
        "return { then() {} };",
        Status(504),
    ),
    attack(
        "proto-keys",
        "",
        "return JSON.parse('{\"text\": \"proto\", \"__proto__\": {\"number\": 666}, \"constructor\": 1}');",
        Kind("failed", "is not in struct"),
    ),
    attack(
        "wrong-types",
        "",
        "return { text: Symbol('text') };",
        Kind("failed", ""),
    ),
    attack(
        "numbers-out-of-range",
        "",
        "return { text: 'n', number: 2 ** 40 };",
        Kind("failed", "number"),
    ),
    attack(
        "subclassed-bytes",
        "class Lying extends Uint8Array {
           get length() { return 1e9; } get byteLength() { return 1e9; } get buffer() { return new ArrayBuffer(1e3); }
           static get [Symbol.species]() { throw new Error('species'); } subarray() { throw new Error('no'); }
         }",
        "return { text: 'subclass', data: new Lying([1, 2, 3]) };",
        Text("subclass"),
    ),
    attack(
        "bytes-that-shrink",
        "",
        "const buffer = new ArrayBuffer(65536, { maxByteLength: 65536 });
         return { get text() { buffer.resize(16); return 'shrunk'; }, data: new Uint8Array(buffer) };",
        Text("shrunk"),
    ),
    attack(
        "bytes-that-are-gone",
        "",
        "const bytes = new Uint8Array(32768); bytes.buffer.transfer(); return { text: 'gone', data: bytes };",
        Kind("failed", "were moved away"),
    ),
    attack(
        "bytes-that-are-none",
        "",
        "return { text: 'none', data: new Proxy(new Uint8Array(3), {}) };",
        Kind("failed", "data"),
    ),
    attack(
        "writes-into-what-it-received",
        "",
        "try { params.how = 'x'; } catch {} params.data.fill(9); params.data.buffer.transfer?.();
         return { text: 'scribbled ' + params.how };",
        Text("scribbled"),
    ),
    attack(
        "lone-surrogates",
        "",
        "return { text: 'half \\ud800 and \\udc00' };",
        Text("half"),
    ),
    attack(
        "a-text-past-the-bound",
        "",
        "return { text: 'x'.repeat(80 << 20) };",
        Kind("", ""),
    ),
    // Forged messages: everything of the glue that a service can hold in its hands.
    attack(
        "forged-context",
        "",
        "const forged = [];
         for (const make of [() => new ctx.constructor({ rootLow: 1, rootHigh: 1, callLow: 0, callHigh: 0 }),
           () => Reflect.construct(Object.getPrototypeOf(ctx).constructor, [{ rootLow: 1, rootHigh: 1 }])]) {
           try { const made = make(); if (typeof made.waitUntil === 'function') { made.waitUntil(Promise.resolve()); forged.push('context'); } } catch {}
         }
         try { Object.getPrototypeOf(ctx).waitUntil = () => {}; forged.push('prototype'); } catch {}
         try { Object.getPrototypeOf(ctx).waitUntil.call({ rootLow: 1 }, Promise.resolve()); forged.push('receiver'); } catch {}
         return { text: `forged ${forged.join(', ')}.` };",
        Text("forged ."),
    ),
    calling(OTHERS, attack(
        "forged-stubs",
        "",
        "const forged = []; const { env } = this;
         for (const change of [() => { env.X = 1; }, () => { env.OTHER.run = () => {}; }, () => Object.defineProperty(env, 'OTHER', { value: 1 }),
           () => Object.setPrototypeOf(env.OTHER, {}), () => { delete env.OTHER.run; }]) {
           try { change(); forged.push(`${change}`); } catch {}
         }
         return { text: `forged ${forged.join(', ')}.` };",
        Text("forged ."),
    )),
    calling(OTHERS, attack(
        "forged-error",
        "",
        "const made = Object.assign(new Error('blame'), { kind: 'cpuExceeded', service: 'good', version: '1.0.0', remoteMessage: 'x', remoteName: '' });
         try { await this.env.OTHER.run({ how: Symbol() }); } catch (error) {
           const proto = Object.getPrototypeOf(error);
           throw Object.setPrototypeOf(made, proto);
         }
         throw made;",
        Kind("failed", "blame"),
    )),
    attack(
        "forged-reader",
        "",
        "const forged = [];
         const Reader = Object.getPrototypeOf(params).constructor;
         try { const made = new Reader(params, 1e9, 1e9, 1e9, 1e9); forged.push(`${made.how}`); } catch {}
         try { const lie = Object.create(Object.getPrototypeOf(params)); forged.push(`${lie.how}`); } catch {}
         return { text: `read ${forged.filter((text) => text !== 'undefined' && text !== '').join(', ')}.` };",
        Text("read ."),
    ),
    calling(OTHERS, attack(
        "work-left-behind",
        "let left = 'nothing yet';",
        "const { env } = this; const told = left;
         setTimeout(() => env.OTHER.run({ how: 'later' }).then(() => { left = 'it was served'; }, (error) => { left = error.kind; }), 200);
         await new Promise((resolve) => setTimeout(resolve, 20));
         return { text: 'left ' + told };",
        Text("left "),
    )),
    // Errors that bite whoever looks at them.
    attack(
        "error-with-getters",
        "",
        "throw Object.defineProperties(new Error('x'), { stack: { get() { throw 1; } }, message: { get() { throw 2; } }, name: { get() { throw 3; } } });",
        Kind("failed", "cannot be described"),
    ),
    attack(
        "error-that-is-a-proxy",
        "",
        "throw new Proxy(new Error('x'), { get() { throw new Error('inner'); }, getPrototypeOf() { throw new Error('proto'); } });",
        Kind("failed", ""),
    ),
    attack("throws-nothing", "", "throw undefined;", Kind("failed", "not an Error")),
    attack(
        "throws-a-symbol",
        "",
        "throw { message: Symbol('m'), toString() { throw this; } };",
        Kind("failed", "cannot be described"),
    ),
    attack(
        "error-of-fifty-megabytes",
        "",
        "throw new Error('x'.repeat(50 << 20));",
        Kind("failed", "xxx"),
    ),
    attack(
        "stack-trace-hooks",
        "const sites = [];
         Error.stackTraceLimit = 1e6;
         Error.prepareStackTrace = (error, list) => { sites.push(...list); return list; };
         Object.defineProperty(Error, 'stackTraceLimit', { get() { return 1e9; }, set() { throw new Error('no limit'); } });",
        "const stack = new Error('x').stack; Error.captureStackTrace({}, Error);
         return { text: `${typeof stack} and ${sites.length} call sites` };",
        Text("undefined and 0 call sites"),
    ),
    attack(
        "stack-overflow",
        "const deeper = (n) => deeper(n + 1) + 1;",
        "return { text: `${deeper(0)}` };",
        Kind("failed", "Maximum call stack size exceeded"),
    ),
    attack(
        "stack-overflow-while-encoding",
        "const trap = () => { const p = new Proxy({}, { get: () => trap().text }); return p; };",
        "return trap();",
        Kind("failed", ""),
    ),
    attack(
        "stack-overflow-in-tojson",
        "const self = { toJSON() { return { again: self }; } };",
        "return { text: JSON.stringify(self) };",
        Kind("failed", "Maximum call stack size exceeded"),
    ),
    attack(
        "rejections-by-the-ten-thousand",
        "",
        "for (let i = 0; i < 20000; i++) Promise.reject(new Error('nobody listens ' + i)); return { text: 'rejected' };",
        Text("rejected"),
    ),
    calling(SELF, attack(
        "endless-calls-between-services",
        "",
        "return this.env.SELF.run({ how: 'again' });",
        Kind("overloaded", "nested_calls_per_request (128)"),
    )),
    // Floods.
    attack(
        "giant-logs",
        "const line = 'x'.repeat(12000); const knot = {}; knot.knot = knot; knot.get = new Proxy({}, { ownKeys() { throw new Error('no'); } });",
        "for (let i = 0; i < 3000; i++) console.log(line); console.log(knot); console.error(new Proxy(Error, {})); return { text: 'logged' };",
        Text("logged"),
    ),
    attack(
        "timers-by-the-million",
        "",
        "for (let i = 0; i < 1e6; i++) setTimeout(() => {}, 1e6); return { text: 'waiting' };",
        Kind("failed", "10000 timers"),
    ),
    attack(
        "abort-signal-storm",
        "const source = new AbortController();",
        "let fired = 0; const signals = [];
         for (let i = 0; i < 5000; i++) { const s = AbortSignal.any([source.signal]); s.onabort = () => { fired++; throw new Error('storm'); }; signals.push(s); }
         for (let i = 0; i < 12000; i++) { try { source.signal.addEventListener('abort', () => {}); } catch (error) { return { text: error.name }; } }
         return { text: `${fired}` };",
        Text("QuotaExceededError"),
    ),
    attack(
        "stream-that-never-ends",
        "",
        "let n = 0; const stream = new ReadableStream({ pull(c) { n++; c.enqueue(new Uint8Array(1024)); } });
         const reader = stream.getReader(); const until = performance.now() + 100;
         while (performance.now() < until) await reader.read();
         return { text: 'read ' + (n > 10) };",
        Text("read true"),
    ),
    attack(
        "structured-clone-bomb",
        "",
        "let deep = {}; for (let i = 0; i < 2e5; i++) deep = { deep };
         try { structuredClone(deep); return { text: 'cloned' }; } catch (error) { return { text: error.name }; }",
        Text("RangeError"),
    ),
    attack(
        "structured-clone-getters",
        "",
        "try { structuredClone({ get x() { throw new TypeError('no'); } }); } catch (error) { return { text: error.name }; }",
        Text("TypeError"),
    ),
    attack(
        "finalizers-that-throw",
        "const registry = new FinalizationRegistry(() => { throw new Error('finalized'); });",
        "for (let i = 0; i < 20000; i++) registry.register({ i }, i); return { text: 'registered' };",
        Text("registered"),
    ),
    attack(
        "key-derivation-without-end",
        "",
        "const key = await crypto.subtle.importKey('raw', new Uint8Array(8), 'PBKDF2', false, ['deriveBits']);
         await crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(8), iterations: 4e9 }, key, 256);",
        Kind("failed", "iterations"),
    ),
    attack(
        "random-without-end",
        "",
        "crypto.getRandomValues(new Uint8Array(1 << 20));",
        Kind("failed", "QuotaExceeded"),
    ),
    attack(
        "wait-until-never",
        "",
        "for (let i = 0; i < 1000; i++) ctx.waitUntil(new Promise(() => {})); return { text: 'held' };",
        Text("held"),
    ),
];

/// Name, main module, and how the status line and body of its answer begin.
pub(super) const HANDLERS: &[(&str, &str, &str)] = &[
    (
        "response-splitting",
        "export default { fetch() { return new Response('x', { headers: { 'x-a': 'b\\r\\nset-cookie: stolen=1' } }); } };",
        "500 ",
    ),
    (
        "header-name-splitting",
        "export default { fetch() { const h = new Headers(); h.append('x\\r\\ny', '1'); return new Response('x', { headers: h }); } };",
        "500 ",
    ),
    (
        "header-bomb",
        "export default { fetch() { const h = new Headers(); for (let i = 0; i < 1e5; i++) h.append('x-' + i, 'y'); return new Response('x', { headers: h }); } };",
        "500 ",
    ),
    (
        "cookie-bomb",
        "export default { fetch() { const h = new Headers(); for (let i = 0; i < 1e4; i++) h.append('set-cookie', 'a' + i + '=b'); return new Response('x', { headers: h }); } };",
        "500 ",
    ),
    (
        "lies-about-its-length",
        "export default { fetch() { return new Response('abc', { headers: { 'content-length': '99', 'transfer-encoding': 'chunked', connection: 'close' } }); } };",
        "200 3 bytes",
    ),
    (
        "forges-the-hosts-headers",
        "export default { fetch() { return new Response('abc', { headers: { 'isolith-set': 'forged', 'isolith-epoch': '999', 'isolith-request': 'forged' } }); } };",
        "200 3 bytes, own set",
    ),
    (
        "status-out-of-range",
        "export default { fetch() { return new Response('x', { status: 99 }); } };",
        "500 ",
    ),
    (
        "response-that-is-none",
        "export default { fetch() { return { status: 200, headers: new Headers(), body: 'x', constructor: Response, __proto__: Response.prototype }; } };",
        "500 ",
    ),
    (
        "response-that-is-a-proxy",
        "export default { fetch() { return new Proxy(new Response('x'), { get() { throw new Error('trap'); } }); } };",
        "500 ",
    ),
    (
        "response-used-twice",
        "const once = new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('x')); c.close(); } })); let used = false;
         export default { async fetch() { if (!used) { used = true; await once.text(); } return once; } };",
        "500 ",
    ),
    (
        "response-subclass-with-traps",
        "class Evil extends Response { get status() { throw new Error('status'); } get body() { throw new Error('body'); } get headers() { throw new Error('headers'); } }
         export default { fetch() { return new Evil('inner'); } };",
        "200 5 bytes",
    ),
    (
        "body-of-wrong-chunks",
        "export default { fetch() { return new Response(new ReadableStream({ pull(c) { c.enqueue({ length: 5 }); } })); } };",
        "cut at the head",
    ),
    (
        "body-that-breaks-off",
        "export default { fetch() { let n = 0; return new Response(new ReadableStream({ pull(c) { if (n++ > 3) c.error(new Error('enough')); else c.enqueue(new Uint8Array(1000)); } })); } };",
        "cut",
    ),
    (
        "json-without-end",
        "const knot = { toJSON() { return { knot }; } }; export default { fetch() { return Response.json(knot); } };",
        "500 ",
    ),
    (
        "patched-response-and-headers",
        "Response.prototype.clone = Headers.prototype.get = Headers.prototype.append = () => { throw new Error('no'); };
         Headers.prototype[Symbol.iterator] = () => { throw new Error('no'); };
         globalThis.Response = class { }; globalThis.Headers = undefined; globalThis.AbortController = undefined;
         const Own = Object.getPrototypeOf(fetch).constructor;
         export default { fetch(request) { return request.headers.constructor && new globalThis.Response(); } };",
        "500 ",
    ),
    (
        "never-answers",
        "export default { fetch() { return new Promise(() => { setInterval(() => {}, 1000); }); } };",
        "504 ",
    ),
    (
        "throws-while-aborted",
        "export default { fetch(request) { request.signal.addEventListener('abort', () => { throw new Error('storm'); }); return new Promise(() => {}); } };",
        "504 ",
    ),
];
