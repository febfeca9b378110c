// Tries every way out of an isolate that is known, and reports what came of each: "GOT ..." if it
// led somewhere, else how it was refused.
const ways = {};

const names = (list) => {
  for (const name of list.split(" ")) ways[`global ${name}`] = () => globalThis[name];
};
names("process require module exports __dirname Buffer setImmediate Deno Bun Node os fs load read print quit");
names("Worker SharedWorker ServiceWorker MessageChannel BroadcastChannel SharedArrayBuffer WebAssembly");
names("XMLHttpRequest WebSocket EventSource indexedDB localStorage caches importScripts open");
names("host internals primordials __isolith_internals isolith gc d8 Realm ShadowRealm AsyncContext chrome inspector");
names("getContinuationPreservedEmbedderData setContinuationPreservedEmbedderData %GetOptimizationStatus");

// Out of the bundler's sight, which would look for a module when it builds.
const bring = (specifier) => import(specifier);

const AsyncFunction = (async () => {}).constructor;
const GeneratorFunction = (function* () {}).constructor;
const AsyncGeneratorFunction = (async function* () {}).constructor;
Object.assign(ways, {
  "eval": () => eval("1 + 1"),
  "indirect eval": () => (0, eval)("1 + 1"),
  "new Function": () => new Function("return 1")(),
  "Function without new": () => Function("return 1")(),
  "constructor of a function": () => (() => {}).constructor("return 1")(),
  "AsyncFunction": () => new AsyncFunction("return 1"),
  "GeneratorFunction": () => new GeneratorFunction("yield 1"),
  "AsyncGeneratorFunction": () => new AsyncGeneratorFunction("yield 1"),
  "constructor of a host function": () => setTimeout.constructor("return 1")(),
  "Reflect.construct Function": () => Reflect.construct(Function, ["return 1"])(),
  "Function.prototype.constructor of a class": () => (class {}).constructor("return 1")(),
  "setTimeout with a text": () => setTimeout("globalThis.leak = 1", 0),
  "setInterval with a text": () => setInterval("globalThis.leak = 1", 10),
  "import a file": () => bring("file:///etc/passwd"),
  "import node:fs": () => bring("node" + ":fs"),
  "import a URL": () => bring("https://example.com/x.js"),
  "import data": () => bring("data:text/javascript,export default 1"),
  "import of the glue": () => bring("isolith:glue"),
  "import of the message library": () => bring("isolith:message"),
  "import.meta": () => Object.keys(import.meta).filter((key) => key !== "url").length > 0 || undefined,
  "import.meta.url": () => import.meta.url,
  "fetch": () => fetch("https://example.com/"),
  "fetch of a file": () => fetch("file:///etc/passwd"),
  "fetch of loopback": () => fetch("http://127.0.0.1:80/"),
  "binding: another host": (env) => env.WEB.fetch("https://example.org/"),
  "binding: loopback": (env) => env.WEB.fetch("http://127.0.0.1/"),
  "binding: metadata service": (env) => env.WEB.fetch("http://169.254.169.254/latest/meta-data/"),
  "binding: another scheme": (env) => env.WEB.fetch("http://127.0.0.1:9/"),
  "binding: another port": (env) => env.WEB.fetch("https://127.0.0.1:22/"),
  "binding: host in user name": (env) => env.WEB.fetch("https://127.0.0.1:9@127.0.0.1/"),
  "binding: a file": (env) => env.WEB.fetch("file:///etc/passwd"),
  "binding: a lying URL object": (env) => {
    let n = 0;
    return env.WEB.fetch({ toString: () => (n++ === 0 ? "https://127.0.0.1:9/" : "http://127.0.0.1/"), url: "http://127.0.0.1/" })
      .then(() => undefined, (error) => (n > 1 ? "asked twice" : Promise.reject(error)));
  },
  "binding: patched URL": (env) => {
    const own = URL.prototype.toString;
    URL.prototype.toString = () => "https://127.0.0.1:9/";
    const asked = env.WEB.fetch(new URL("http://127.0.0.1/"));
    URL.prototype.toString = own;
    return asked;
  },
  "binding: patched Request": (env) => {
    const request = new Request("http://127.0.0.1/");
    Object.defineProperty(request, "url", { value: "https://127.0.0.1:9/" });
    return env.WEB.fetch(request);
  },
  "env beyond the manifest": (env) => Object.getOwnPropertyNames(env).filter((name) => name !== "WEB").join() || undefined,
  "environment variables": () => globalThis.process?.env?.ISOLITH_CANARY ?? globalThis.ISOLITH_CANARY,
  "Atomics.wait": () => Atomics.wait(new Int32Array(new ArrayBuffer(8)), 0, 0, 0),
  "shared memory by clone": () => structuredClone(new Int32Array(4).buffer, { shared: true }) instanceof (globalThis.SharedArrayBuffer ?? class {}) || undefined,
  "caller": () => { function inner() { return inner.caller; } return inner(); },
  "arguments.callee.caller": () => setTimeoutCaller(),
  "caller of a strict function": (env) => env.WEB.fetch.caller,
  "arguments of a host function": () => setTimeout.arguments,
  "stack hook": () => {
    let sites;
    Error.prepareStackTrace = (_, list) => { sites = list; return ""; };
    void new Error("x").stack;
    return sites?.[0]?.getFunction?.() ?? sites?.map((site) => site.getThis());
  },
  "stack of a host function": () => {
    try { new URL("no url"); } catch (error) { return /isolith:|host\/|\.rs/.test(error.stack) ? error.stack : undefined; }
  },
  "captureStackTrace on env": (env) => { const holder = {}; Error.captureStackTrace(holder, env.WEB.fetch); return /isolith:/.test(holder.stack) || undefined; },
  "source of the glue": (env) => { const text = `${env.WEB.fetch}`; return text.includes("host.") ? text : undefined; },
  "constructor of the context": (_, ctx) => { const made = ctx.constructor; return made === Object ? undefined : made; },
  "private state of the context": (_, ctx) => Reflect.ownKeys(ctx).length > 0 ? Reflect.ownKeys(ctx) : undefined,
  "symbols of the global object": () => Object.getOwnPropertySymbols(globalThis).filter((s) => s !== Symbol.toStringTag).map(String).join() || undefined,
  "host internals by name": () => Object.getOwnPropertyNames(globalThis).filter((name) => /intern|host|primord|isolith|glue/i.test(name)).join() || undefined,
  "secret constructors": () => new AbortSignal(),
  "finer clock: performance.now": () => { const seen = new Set(); for (let i = 0; i < 2e5; i++) seen.add(Math.round((performance.now() * 1e4) % 1000)); return [...seen].some((part) => part !== 0 && part !== 1000) || undefined; },
  "finer clock: Date": () => (Number.isInteger(Date.now()) ? undefined : Date.now()),
  "finer clock: Event.timeStamp": () => { const part = (new Event("x").timeStamp * 10) % 1; return Math.min(part, 1 - part) > 1e-6 ? part : undefined; },
  "files by response": () => new Response(new URL("file:///etc/passwd")).text().then((text) => (text.includes("root:") ? text : undefined)),
  "require of createRequire": () => globalThis.createRequire?.("/")("fs"),
});

// A sloppy function that asks who called it; modules have none, so it is made of what there is.
function setTimeoutCaller() {
  return (function () { return arguments.callee.caller; })();
}

export class AttackService {
  constructor(env) { this.env = env; }
  async run(params, ctx) {
    const outcomes = {};
    for (const [name, attempt] of Object.entries(ways)) {
      try {
        const found = await attempt(this.env, ctx);
        outcomes[name] = found === undefined || found === null ? "nothing" : `GOT ${String(found).slice(0, 80)}`;
      } catch (error) {
        outcomes[name] = `${error?.name}: ${String(error?.message).slice(0, 80)}`;
      }
    }
    return { text: JSON.stringify(outcomes) };
  }
}
