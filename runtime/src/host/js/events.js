// DOMException, Event, EventTarget, AbortController.
(function (host, p, internals) {
  "use strict";
  const { ArrayPrototypePush, ArrayPrototypeSplice, ErrorCaptureStackTrace, ErrorPrototype, Map,
    MapPrototypeGet, MapPrototypeSet, ObjectDefineProperty, ObjectSetPrototypeOf, ReflectApply,
    Set, SetPrototypeAdd, SetPrototypeDelete, SetPrototypeForEach, SymbolIterator, TypeError,
    WeakRef, WeakRefPrototypeDeref } = p;
  const { constants, defineClass, dictionary, illegal, isObject, need, secret } = internals;

  const codes = { __proto__: null, IndexSizeError: 1, HierarchyRequestError: 3,
    WrongDocumentError: 4, InvalidCharacterError: 5, NoModificationAllowedError: 7,
    NotFoundError: 8, NotSupportedError: 9, InUseAttributeError: 10, InvalidStateError: 11,
    SyntaxError: 12, InvalidModificationError: 13, NamespaceError: 14, InvalidAccessError: 15,
    TypeMismatchError: 17, SecurityError: 18, NetworkError: 19, AbortError: 20,
    URLMismatchError: 21, QuotaExceededError: 22, TimeoutError: 23, InvalidNodeTypeError: 24,
    DataCloneError: 25 };

  class DOMException {
    #name;
    #message;
    constructor(message = "", options = "Error") {
      this.#message = `${message}`;
      if (isObject(options)) {
        this.#name = options.name === undefined ? "Error" : `${options.name}`;
        if ("cause" in options) {
          ObjectDefineProperty(this, "cause",
            { __proto__: null, value: options.cause, writable: true, configurable: true });
        }
      } else {
        this.#name = `${options}`;
      }
      ErrorCaptureStackTrace(this, DOMException);
    }
    get name() { return this.#name; }
    get message() { return this.#message; }
    get code() { return codes[this.#name] ?? 0; }
  }
  ObjectSetPrototypeOf(DOMException.prototype, ErrorPrototype);
  constants(DOMException, { __proto__: null, INDEX_SIZE_ERR: 1, NOT_FOUND_ERR: 8,
    NOT_SUPPORTED_ERR: 9, INVALID_STATE_ERR: 11, SYNTAX_ERR: 12, INVALID_ACCESS_ERR: 15,
    NETWORK_ERR: 19, ABORT_ERR: 20, QUOTA_EXCEEDED_ERR: 22, TIMEOUT_ERR: 23, DATA_CLONE_ERR: 25 });
  defineClass(DOMException);

  let dispatchTo;
  let readFlags;
  class Event {
    #type;
    #bubbles;
    #cancelable;
    #composed;
    #canceled = false;
    #stopped = false;
    #passive = false;
    #target = null;
    #phase = 0;
    #trusted = false;
    #time = 0;
    constructor(type, init = undefined) {
      need(arguments, 1, "Event");
      const options = dictionary(init, "the event's options");
      this.#type = `${type}`;
      this.#bubbles = !!options.bubbles;
      this.#cancelable = !!options.cancelable;
      this.#composed = !!options.composed;
      this.#time = host.performanceNow();
    }
    get type() { return this.#type; }
    get target() { return this.#target; }
    get srcElement() { return this.#target; }
    get currentTarget() { return this.#phase === 0 ? null : this.#target; }
    get eventPhase() { return this.#phase; }
    get bubbles() { return this.#bubbles; }
    get cancelable() { return this.#cancelable; }
    get composed() { return this.#composed; }
    get defaultPrevented() { return this.#canceled; }
    get returnValue() { return !this.#canceled; }
    get isTrusted() { return this.#trusted; }
    get timeStamp() { return this.#time; }
    get cancelBubble() { return this.#stopped; }
    composedPath() { return this.#phase === 0 ? [] : [this.#target]; }
    stopPropagation() {}
    stopImmediatePropagation() { this.#stopped = true; }
    preventDefault() {
      if (this.#cancelable && !this.#passive) this.#canceled = true;
    }
    static {
      readFlags = (event) => event.#stopped;
      dispatchTo = (event, target, trusted, invoke) => {
        if (!isObject(event) || !(#type in event)) throw new TypeError("dispatchEvent needs an Event");
        if (event.#phase !== 0) {
          throw new DOMException("The event is being dispatched already", "InvalidStateError");
        }
        event.#target = target;
        event.#trusted = trusted;
        event.#phase = 2;
        invoke((passive) => { event.#passive = passive; });
        event.#phase = 0;
        event.#passive = false;
        event.#stopped = false;
        return !event.#canceled;
      };
    }
  }
  constants(Event, { __proto__: null, NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });
  defineClass(Event);

  class CustomEvent extends Event {
    #detail;
    constructor(type, init = undefined) {
      super(type, init);
      this.#detail = dictionary(init, "the event's options").detail ?? null;
    }
    get detail() { return this.#detail; }
  }
  defineClass(CustomEvent);

  class ErrorEvent extends Event {
    #init;
    constructor(type, init = undefined) {
      super(type, init);
      this.#init = dictionary(init, "the event's options");
    }
    get message() { return `${this.#init.message ?? ""}`; }
    get filename() { return `${this.#init.filename ?? ""}`; }
    get lineno() { return this.#init.lineno >>> 0; }
    get colno() { return this.#init.colno >>> 0; }
    get error() { return this.#init.error; }
  }
  defineClass(ErrorEvent);

  const MAX_LISTENERS = 10000;
  let fire;
  const Listener = internals.record(class {
    constructor(callback, capture, once, passive) {
      this.callback = callback;
      this.capture = capture;
      this.once = once;
      this.passive = passive;
      this.removed = false;
    }
  });
  class EventTarget {
    #listeners = null;
    addEventListener(type, callback, options = undefined) {
      need(arguments, 2, "addEventListener");
      type = `${type}`;
      const given = isObject(options) ? options : { __proto__: null, capture: !!options };
      const capture = !!given.capture;
      const signal = given.signal;
      if (signal !== undefined && !internals.isAbortSignal(signal)) {
        throw new TypeError("the listener's signal must be an AbortSignal");
      }
      if (callback === null || callback === undefined) return;
      if (!isObject(callback)) throw new TypeError("a listener must be a function or an object with handleEvent");
      if (signal?.aborted) return;
      this.#listeners ??= new Map();
      let list = MapPrototypeGet(this.#listeners, type);
      if (list === undefined) MapPrototypeSet(this.#listeners, type, list = []);
      for (let i = 0; i < list.length; i++) {
        if (list[i].callback === callback && list[i].capture === capture) return;
      }
      if (list.length >= MAX_LISTENERS) {
        throw new DOMException(`more than ${MAX_LISTENERS} listeners for "${type}"`, "QuotaExceededError");
      }
      ArrayPrototypePush(list, new Listener(callback, capture, !!given.once, !!given.passive));
      if (signal !== undefined) {
        internals.onAbort(signal, () => this.removeEventListener(type, callback, capture));
      }
    }
    removeEventListener(type, callback, options = undefined) {
      need(arguments, 2, "removeEventListener");
      const capture = isObject(options) ? !!options.capture : !!options;
      const list = this.#listeners === null ? undefined : MapPrototypeGet(this.#listeners, `${type}`);
      for (let i = 0; list !== undefined && i < list.length; i++) {
        if (list[i].callback === callback && list[i].capture === capture) {
          list[i].removed = true;
          ArrayPrototypeSplice(list, i, 1);
          return;
        }
      }
    }
    dispatchEvent(event) {
      need(arguments, 1, "dispatchEvent");
      return fire(this, event, false);
    }
    static {
      fire = (target, event, trusted) => dispatchTo(event, target, trusted, (setPassive) => {
        const all = target.#listeners;
        const list = all === null ? undefined : MapPrototypeGet(all, event.type);
        if (list === undefined) return;
        const current = p.ArrayPrototypeSlice(list);
        for (let i = 0; i < current.length && !readFlags(event); i++) {
          const listener = current[i];
          if (listener.removed) continue;
          if (listener.once) target.removeEventListener(event.type, listener.callback, listener.capture);
          setPassive(listener.passive);
          try {
            if (typeof listener.callback === "function") ReflectApply(listener.callback, target, [event]);
            else listener.callback.handleEvent(event);
          } catch (error) {
            internals.reportError(error);
          }
        }
      });
    }
  }
  defineClass(EventTarget);

  // `onabort` and its like: a property that holds one listener.
  const handlerProperty = (cls, type) => {
    const held = new p.WeakMap();
    ObjectDefineProperty(cls.prototype, `on${type}`, { __proto__: null, enumerable: true, configurable: true,
      get() { return p.WeakMapPrototypeGet(held, this)?.handler ?? null; },
      set(handler) {
        const old = p.WeakMapPrototypeGet(held, this);
        if (old !== undefined) this.removeEventListener(type, old.call);
        p.WeakMapPrototypeDelete(held, this);
        if (typeof handler !== "function") return;
        const call = (event) => ReflectApply(handler, this, [event]);
        p.WeakMapPrototypeSet(held, this, { __proto__: null, handler, call });
        this.addEventListener(type, call);
      } });
  };

  let abort;
  class AbortSignal extends EventTarget {
    #aborted = false;
    #reason = undefined;
    #algorithms = null;
    #sources = null;
    #dependents = null;
    constructor(key) {
      illegal(key);
      super();
    }
    get aborted() { return this.#aborted; }
    get reason() { return this.#reason; }
    throwIfAborted() {
      if (this.#aborted) throw this.#reason;
    }
    static abort(reason = new DOMException("This operation was aborted", "AbortError")) {
      const signal = new AbortSignal(secret);
      signal.#aborted = true;
      signal.#reason = reason;
      return signal;
    }
    static timeout(milliseconds) {
      need(arguments, 1, "AbortSignal.timeout");
      const delay = +milliseconds;
      if (!(delay >= 0 && delay <= p.Number.MAX_SAFE_INTEGER)) {
        throw new TypeError("AbortSignal.timeout needs a number of milliseconds from 0 up");
      }
      const signal = new AbortSignal(secret);
      internals.setTimer(() => abort(signal,
        new DOMException("The operation was aborted due to timeout", "TimeoutError")), delay);
      return signal;
    }
    static any(signals) {
      need(arguments, 1, "AbortSignal.any");
      const result = new AbortSignal(secret);
      const list = [];
      const iterator = signals[SymbolIterator]();
      for (let step = iterator.next(); !step.done; step = iterator.next()) {
        if (!internals.isAbortSignal(step.value)) throw new TypeError("AbortSignal.any needs AbortSignals");
        ArrayPrototypePush(list, step.value);
      }
      for (let i = 0; i < list.length; i++) {
        if (list[i].#aborted) {
          result.#aborted = true;
          result.#reason = list[i].#reason;
          return result;
        }
      }
      // The result keeps its sources alive; a long-lived source does not keep the result.
      result.#sources = list;
      const weak = new WeakRef(result);
      for (let i = 0; i < list.length; i++) {
        list[i].#dependents ??= [];
        if (list[i].#dependents.length % 64 === 63) {
          list[i].#dependents = p.ArrayPrototypeFilter(list[i].#dependents, (w) => WeakRefPrototypeDeref(w) !== undefined);
        }
        ArrayPrototypePush(list[i].#dependents, weak);
      }
      return result;
    }
    // A dependent signal that somebody listens to must not be collected: its sources hold it.
    addEventListener(type, callback, options = undefined) {
      super.addEventListener(type, callback, options);
      this.#hold();
    }
    #hold() {
      for (let i = 0; this.#sources !== null && i < this.#sources.length; i++) {
        internals.onAbort(this.#sources[i], internals.noop, this);
      }
    }
    static {
      internals.isAbortSignal = (value) => isObject(value) && #aborted in value;
      internals.throwIfAborted = (signal) => {
        if (signal.#aborted) throw signal.#reason;
      };
      internals.abortReason = (signal) => signal.#reason;
      internals.newSignal = () => new AbortSignal(secret);
      // Runs `algorithm` when the signal aborts; returns a function that takes it back.
      internals.onAbort = (signal, algorithm, holds = undefined) => {
        if (signal.#aborted) return internals.noop;
        signal.#algorithms ??= new Set();
        const entry = holds ?? { __proto__: null, algorithm };
        SetPrototypeAdd(signal.#algorithms, entry);
        if (holds === undefined) signal.#hold();
        return () => {
          if (signal.#algorithms !== null) SetPrototypeDelete(signal.#algorithms, entry);
        };
      };
      abort = internals.signalAbort = (signal, reason) => {
        if (signal.#aborted) return;
        signal.#aborted = true;
        signal.#reason = reason === undefined
          ? new DOMException("This operation was aborted", "AbortError") : reason;
        const algorithms = signal.#algorithms;
        signal.#algorithms = null;
        if (algorithms !== null) {
          SetPrototypeForEach(algorithms, (entry) => {
            if (!internals.isAbortSignal(entry)) {
              try {
                entry.algorithm();
              } catch (error) {
                internals.reportError(error);
              }
            }
          });
        }
        fire(signal, new Event("abort"), true);
        const dependents = signal.#dependents;
        signal.#dependents = null;
        for (let i = 0; dependents !== null && i < dependents.length; i++) {
          const dependent = WeakRefPrototypeDeref(dependents[i]);
          if (dependent !== undefined) abort(dependent, signal.#reason);
        }
      };
    }
  }
  handlerProperty(AbortSignal, "abort");
  defineClass(AbortSignal);
  const { any } = AbortSignal;
  internals.anySignal = (signals) => ReflectApply(any, AbortSignal, [signals]);

  class AbortController {
    #signal = new AbortSignal(secret);
    get signal() { return this.#signal; }
    abort(reason = undefined) { abort(this.#signal, reason); }
  }
  defineClass(AbortController);
})
