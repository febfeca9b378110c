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
  const TypedArray = Object.getPrototypeOf(Uint8Array);
  const wanted = {
    Array: ["isArray from of",
      "push pop shift unshift splice slice join sort reverse concat indexOf includes fill map " +
      "filter forEach find findIndex some every reduce flat"],
    ArrayBuffer: ["isView", "slice transfer", "byteLength detached resizable"],
    BigInt: ["asIntN asUintN", "toString"],
    BigInt64Array: [""], BigUint64Array: [""], Boolean: ["", "valueOf"],
    DataView: ["",
      "getInt8 getUint8 getInt16 getUint16 getInt32 getUint32 getFloat32 getFloat64 " +
      "getBigInt64 getBigUint64 setInt8 setUint8 setInt16 setUint16 setInt32 setUint32 " +
      "setFloat32 setFloat64 setBigInt64 setBigUint64", "buffer byteLength byteOffset"],
    Date: ["now", "getTime toISOString"],
    Error: ["captureStackTrace"], EvalError: [""], Float32Array: [""], Float64Array: [""],
    Function: ["", "call apply bind toString"],
    Int8Array: [""], Int16Array: [""], Int32Array: [""],
    Map: ["", "get set has delete clear forEach entries keys values", "size"],
    Number: ["isInteger isSafeInteger isFinite isNaN", "toString valueOf"],
    Object: ["assign create defineProperty defineProperties entries freeze fromEntries " +
      "getOwnPropertyDescriptor getOwnPropertyNames getOwnPropertySymbols getPrototypeOf " +
      "hasOwn is isExtensible isFrozen keys preventExtensions seal setPrototypeOf values",
      "hasOwnProperty toString propertyIsEnumerable"],
    Promise: ["", "then"],
    Proxy: [""], RangeError: [""], ReferenceError: [""],
    RegExp: ["", "exec toString"],
    Set: ["", "add has delete clear forEach values", "size"],
    String: ["fromCharCode fromCodePoint",
      "at charCodeAt codePointAt endsWith includes indexOf isWellFormed lastIndexOf padEnd " +
      "padStart repeat slice split startsWith substring toLowerCase toUpperCase " +
      "toWellFormed trim"],
    Symbol: ["for", "toString valueOf", "description"],
    SyntaxError: [""], TypeError: [""],
    Uint8Array: [""], Uint8ClampedArray: [""],
    Uint16Array: [""], Uint32Array: [""], URIError: [""],
    WeakMap: ["", "get set has delete"], WeakRef: ["", "deref"],
    WeakSet: ["", "add has delete"], FinalizationRegistry: ["", "register unregister"],
  };
  for (const [name, [statics, methods = "", getters = ""]] of Object.entries(wanted)) {
    const original = globalThis[name];
    primordials[name] = original;
    if (original.prototype) primordials[`${name}Prototype`] = original.prototype;
    for (const key of statics.split(" ").filter(Boolean)) {
      primordials[name + upper(key)] =
        name === "Array" ? original[key].bind(original) : original[key];
    }
    for (const key of methods.split(" ").filter(Boolean)) method(name, original.prototype, key);
    for (const key of getters.split(" ").filter(Boolean)) getter(name, original.prototype, key);
  }
  primordials.TypedArray = TypedArray;
  for (const key of ["set", "subarray", "slice", "fill"]) {
    method("TypedArray", TypedArray.prototype, key);
  }
  for (const key of ["buffer", "byteLength", "byteOffset", "length", Symbol.toStringTag]) {
    getter("TypedArray", TypedArray.prototype, key);
  }
  for (const key of ["apply", "construct", "defineProperty", "get", "getPrototypeOf", "has",
    "ownKeys", "set"]) {
    primordials[`Reflect${upper(key)}`] = Reflect[key];
  }
  for (const key of ["abs", "ceil", "floor", "max", "min", "random", "trunc"]) {
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
