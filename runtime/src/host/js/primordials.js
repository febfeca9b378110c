// The built-ins as they were before any service code ran. `ArrayPrototypePush(list, x)` is
// `list.push(x)` that no service can intercept.
//
// V8 adds the newest built-ins (Uint8Array.fromBase64, immutable buffers, Promise.try) only when
// it makes a context from the snapshot, so they cannot be captured here.
(function (host, primordials, internals) {
  "use strict";
  const { bind, call } = Function.prototype;
  const uncurryThis = bind.bind(call);
  const upper = (key) => {
    const name = typeof key === "symbol" ? `Symbol${upper(key.description.slice(7))}` : key;
    return name[0].toUpperCase() + name.slice(1);
  };
  const method = (prefix, proto, key) => {
    primordials[`${prefix}Prototype${upper(key)}`] = uncurryThis(proto[key]);
  };
  const getter = (prefix, proto, key) => {
    const { get } = Object.getOwnPropertyDescriptor(proto, key);
    primordials[`${prefix}PrototypeGet${upper(key)}`] = uncurryThis(get);
  };
  // name: [static functions, prototype methods, prototype getters]
  const wanted = {
    Array: ["isArray", "push pop splice slice join sort includes filter"],
    ArrayBuffer: ["isView", "transfer", "byteLength detached"],
    Boolean: ["", "valueOf"],
    DataView: ["", "", "buffer byteLength byteOffset"],
    Date: ["now", "getTime toISOString"],
    Error: ["captureStackTrace"],
    Function: ["", "toString"],
    Map: ["", "get set has delete forEach", "size"],
    Number: ["isNaN", "toString valueOf"],
    Object: ["defineProperty freeze getOwnPropertyDescriptor getPrototypeOf hasOwn keys " +
      "setPrototypeOf"],
    Promise: ["", "then"],
    RangeError: [""],
    RegExp: ["", "exec toString"],
    Set: ["", "add delete forEach", "size"],
    String: ["", "charCodeAt includes indexOf padEnd repeat slice split startsWith " +
      "toLowerCase toUpperCase toWellFormed trim"],
    Symbol: ["", "toString"],
    TypeError: [""],
    Uint8Array: [""],
    WeakMap: ["", "get set delete"],
    WeakRef: ["", "deref"],
  };
  for (const [name, [statics, methods = "", getters = ""]] of Object.entries(wanted)) {
    const original = globalThis[name];
    primordials[name] = original;
    if (original.prototype) primordials[`${name}Prototype`] = original.prototype;
    for (const key of statics.split(" ").filter(Boolean)) {
      primordials[name + upper(key)] = original[key];
    }
    for (const key of methods.split(" ").filter(Boolean)) method(name, original.prototype, key);
    for (const key of getters.split(" ").filter(Boolean)) getter(name, original.prototype, key);
  }
  const TypedArray = Object.getPrototypeOf(Uint8Array);
  // V8 15.0 refuses an immutable source, which the proposal allows; `all.set(received, at)` is how
  // most libraries join bytes. So a refused source is tried once more as a copy.
  const nativeSet = uncurryThis(TypedArray.prototype.set);
  const copyOf = {};
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const type = globalThis[name];
    if (Object.getPrototypeOf(Object(type)) === TypedArray) copyOf[name] = (x) => new type(x);
  }
  const tag = uncurryThis(Object.getOwnPropertyDescriptor(TypedArray.prototype, Symbol.toStringTag).get);
  const { set } = {
    set(source, offset = 0) {
      try {
        nativeSet(this, source, offset);
      } catch (error) {
        const name = tag(source);
        if (name === undefined) throw error;
        nativeSet(this, copyOf[name](source), offset);
      }
    },
  };
  Object.defineProperty(TypedArray.prototype, "set", { __proto__: null, value: set });
  method("TypedArray", TypedArray.prototype, "set");
  for (const key of ["buffer", "byteLength", "byteOffset", "length", Symbol.toStringTag]) {
    getter("TypedArray", TypedArray.prototype, key);
  }
  for (const key of ["apply", "construct", "ownKeys"]) primordials[`Reflect${upper(key)}`] = Reflect[key];
  for (const key of ["ceil", "floor", "max", "min", "random", "trunc"]) {
    primordials[`Math${upper(key)}`] = Math[key];
  }
  primordials.JSONParse = JSON.parse;
  primordials.JSONStringify = JSON.stringify;
  primordials.PromiseResolve = Promise.resolve.bind(Promise);
  primordials.PromiseReject = Promise.reject.bind(Promise);
  primordials.SymbolIterator = Symbol.iterator;
  primordials.SymbolAsyncIterator = Symbol.asyncIterator;
  primordials.SymbolToStringTag = Symbol.toStringTag;
  primordials.AsyncIteratorPrototype =
    Object.getPrototypeOf(Object.getPrototypeOf((async function* () {}).prototype));
  primordials.uncurryThis = uncurryThis;
  primordials.globalThis = globalThis;
  Object.setPrototypeOf(primordials, null);
  Object.freeze(primordials);
  internals.primordials = primordials;
})
