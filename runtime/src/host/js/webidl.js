// What the classes share: argument conversion as Web IDL has it, and how a global is defined.
(function (host, p, internals) {
  "use strict";
  const { ArrayBufferIsView, DataViewPrototypeGetBuffer, DataViewPrototypeGetByteLength,
    DataViewPrototypeGetByteOffset, ObjectDefineProperty, ObjectGetOwnPropertyDescriptor, ObjectSetPrototypeOf, Promise,
    PromisePrototypeThen, PromiseReject, PromiseResolve, ReflectApply, ReflectOwnKeys, RegExpPrototypeExec,
    StringPrototypeCharCodeAt, StringPrototypeToWellFormed, SymbolAsyncIterator, SymbolIterator,
    SymbolToStringTag, TypeError, TypedArrayPrototypeGetBuffer, TypedArrayPrototypeGetByteLength,
    TypedArrayPrototypeGetByteOffset, TypedArrayPrototypeGetSymbolToStringTag, Uint8Array,
    ArrayPrototypePush } = p;

  internals.allocate = (length) => new Uint8Array(length);
  internals.noop = () => {};

  internals.toUSVString = (value) => StringPrototypeToWellFormed(`${value}`);

  // Header values: one byte per character.
  internals.toByteString = (value, what) => {
    const text = `${value}`;
    for (let i = 0; i < text.length; i++) {
      if (StringPrototypeCharCodeAt(text, i) > 255) {
        throw new TypeError(`${what} has the character "${text[i]}" above U+00FF; ` +
          "encode it first, for example with encodeURIComponent");
      }
    }
    return text;
  };

  internals.need = (args, count, what) => {
    if (args.length < count) {
      throw new TypeError(`${what} needs ${count} argument${count > 1 ? "s" : ""}, got ${args.length}`);
    }
  };

  // A dictionary argument: undefined and null are empty, other primitives are mistakes.
  const empty = { __proto__: null };
  internals.dictionary = (value, what) => {
    if (value === undefined || value === null) return empty;
    if (typeof value !== "object" && typeof value !== "function") {
      throw new TypeError(`${what} must be an object, got ${typeof value}`);
    }
    return value;
  };

  internals.isObject = (value) =>
    (typeof value === "object" && value !== null) || typeof value === "function";

  internals.isUint8Array = (value) => TypedArrayPrototypeGetSymbolToStringTag(value) === "Uint8Array";
  internals.isArrayBuffer = (value) => host.kindOf(value) === "ArrayBuffer";

  // A Uint8Array over the memory of any BufferSource; undefined for other values.
  internals.viewBytes = (value) => {
    if (ArrayBufferIsView(value)) {
      if (TypedArrayPrototypeGetSymbolToStringTag(value) === undefined) {
        return new Uint8Array(DataViewPrototypeGetBuffer(value),
          DataViewPrototypeGetByteOffset(value), DataViewPrototypeGetByteLength(value));
      }
      return new Uint8Array(TypedArrayPrototypeGetBuffer(value),
        TypedArrayPrototypeGetByteOffset(value), TypedArrayPrototypeGetByteLength(value));
    }
    return internals.isArrayBuffer(value) ? new Uint8Array(value) : undefined;
  };

  // A copy of bytes, and a view of a part of them. Unlike slice and subarray they ask no
  // constructor or species of a service.
  internals.copy = (bytes) => new Uint8Array(bytes);
  internals.part = (bytes, from, to) => new Uint8Array(TypedArrayPrototypeGetBuffer(bytes),
    TypedArrayPrototypeGetByteOffset(bytes) + from, to - from);

  // A class whose instances inherit nothing that a service could reach. Where many are made, this
  // is better than a literal with a null prototype, which V8 keeps as a hash table: to make one
  // took 185 ns instead of 25.
  internals.record = (cls) => {
    ObjectSetPrototypeOf(cls.prototype, null);
    return cls;
  };
  const Deferred = internals.record(class {
    constructor() {
      this.promise = new Promise((resolve, reject) => {
        this.resolve = resolve;
        this.reject = reject;
      });
    }
  });
  internals.deferred = () => new Deferred();
  // What `run` returns, or what it throws, as a promise.
  internals.settle = (run) => {
    try {
      return PromiseResolve(run());
    } catch (error) {
      return PromiseReject(error);
    }
  };
  internals.markHandled = (promise) => {
    PromisePrototypeThen(promise, undefined, internals.noop);
  };

  // Reads an iterable of two-element iterables into a flat list.
  internals.pairs = (iterable, what) => {
    const flat = [];
    const outer = iterable[SymbolIterator]();
    for (let step = outer.next(); !step.done; step = outer.next()) {
      const pair = step.value;
      const method = internals.isObject(pair) ? pair[SymbolIterator] : undefined;
      if (typeof method !== "function") {
        throw new TypeError(`${what} must hold [name, value] pairs`);
      }
      const inner = ReflectApply(method, pair, []);
      const name = inner.next();
      const value = name.done ? name : inner.next();
      if (name.done || value.done || !inner.next().done) {
        throw new TypeError(`${what} must hold pairs of exactly two: [name, value]`);
      }
      ArrayPrototypePush(flat, name.value, value.value);
    }
    return flat;
  };

  const tag = (cls, name) => {
    ObjectDefineProperty(cls.prototype, SymbolToStringTag,
      { __proto__: null, value: name, configurable: true });
    show(cls);
    show(cls.prototype);
  };
  // Makes methods and accessors enumerable.
  const show = (target) => {
    const keys = ReflectOwnKeys(target);
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      if (typeof key === "symbol" || key === "constructor" || key === "prototype" ||
          key === "name" || key === "length") continue;
      const property = ObjectSetPrototypeOf(ObjectGetOwnPropertyDescriptor(target, key), null);
      if (typeof property.value === "function" || property.get) {
        property.enumerable = true;
        ObjectDefineProperty(target, key, property);
      }
    }
  };

  internals.defineClass = (cls) => {
    tag(cls, cls.name);
    internals.global(cls.name, cls);
  };
  internals.alias = (cls, symbol, key) => {
    ObjectDefineProperty(cls.prototype, symbol,
      { __proto__: null, value: cls.prototype[key], writable: true, configurable: true });
  };
  internals.constants = (cls, values) => {
    for (const key in values) {
      const constant = { __proto__: null, value: values[key], enumerable: true };
      ObjectDefineProperty(cls, key, constant);
      ObjectDefineProperty(cls.prototype, key, constant);
    }
  };
  // Constructors that only the host may call pass this.
  internals.secret = { __proto__: null };
  internals.illegal = (key) => {
    if (key !== internals.secret) throw new TypeError("Illegal constructor");
  };
  internals.matches = (pattern, text) => RegExpPrototypeExec(pattern, text) !== null;
  internals.SymbolAsyncIterator = SymbolAsyncIterator;
})
