// The rest of the globals, and what the engine offers but services do not get.
(function (host, p, internals) {
  "use strict";
  const { ObjectDefineProperty, PromiseReject, TypeError, SymbolToStringTag } = p;
  const { defineClass, global, illegal, secret } = internals;

  class Navigator {
    constructor(key) { illegal(key); }
    get userAgent() { return "Isolith"; }
  }
  defineClass(Navigator);
  global("navigator", new Navigator(secret));

  global("self", globalThis);
  ObjectDefineProperty(globalThis, SymbolToStringTag,
    { __proto__: null, value: "global", configurable: true });

  global("fetch", function fetch() {
    return PromiseReject(new TypeError("this service has no network access: outbound fetch is a binding " +
      "that the manifest must ask for and the deployment must grant (then: env.NAME.fetch)"));
  });

  // For each new isolate, before its bundle: V8 adds this when it makes the context. There is one
  // thread per isolate, and nothing to share memory with. WebAssembly is there if it is granted.
  internals.begin = (wasm) => {
    delete globalThis.SharedArrayBuffer;
    if (!wasm) delete globalThis.WebAssembly;
  };

  // What an instance of ours shows of itself: its private fields are visible to its class alone.
  internals.shownAs = (value) => {
    const href = internals.urlHref(value);
    if (href !== undefined) return href;
    if (internals.isResponse(value)) return { status: value.status, headers: value.headers, bodyUsed: value.bodyUsed };
    if (internals.isRequest(value)) return { method: value.method, url: value.url, headers: value.headers };
    const flat = internals.headerList(value) ?? internals.searchList(value) ?? internals.formList(value);
    if (flat !== undefined) {
      const shown = {};
      for (let i = 0; i < flat.length; i += 2) shown[flat[i]] = flat[i + 1];
      return shown;
    }
    if (internals.blobBytes(value) !== undefined) return { size: value.size, type: value.type };
    if (internals.isAbortSignal(value)) return { aborted: value.aborted };
    return undefined;
  };
  internals.isPlatformObject = (value) => internals.shownAs(value) !== undefined ||
    internals.isReadableStream(value);
})
