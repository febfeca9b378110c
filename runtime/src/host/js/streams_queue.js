// What the streams share: a queue, queuing strategies, calling a user's methods.
(function (host, p, internals) {
  "use strict";
  const { ArrayPrototypePush, Promise, PromisePrototypeThen, PromiseReject, RangeError, ReflectApply, TypeError } = p;
  const { defineClass, dictionary, need, settle } = internals;

  // Without a prototype, on which a service could have put a setter.
  const bare = (items) => p.ObjectSetPrototypeOf(items, null);
  // First in, first out; taking is constant time on average.
  class Queue {
    items = bare([]);
    head = 0;
    get length() { return this.items.length - this.head; }
    push(item) { ArrayPrototypePush(this.items, item); }
    peek() { return this.items[this.head]; }
    shift() {
      const item = this.items[this.head];
      this.items[this.head++] = undefined;
      if (this.head === this.items.length) {
        this.items = bare([]);
        this.head = 0;
      } else if (this.head > 1024 && this.head * 2 > this.items.length) {
        this.items = bare(p.ArrayPrototypeSlice(this.items, this.head));
        this.head = 0;
      }
      return item;
    }
  }
  internals.Queue = Queue;

  class CountQueuingStrategy {
    #highWaterMark;
    constructor(init) {
      need(arguments, 1, "CountQueuingStrategy");
      this.#highWaterMark = +dictionary(init, "the strategy").highWaterMark;
    }
    get highWaterMark() { return this.#highWaterMark; }
    get size() { return countSize; }
  }
  const countSize = { size: () => 1 }.size;
  class ByteLengthQueuingStrategy {
    #highWaterMark;
    constructor(init) {
      need(arguments, 1, "ByteLengthQueuingStrategy");
      this.#highWaterMark = +dictionary(init, "the strategy").highWaterMark;
    }
    get highWaterMark() { return this.#highWaterMark; }
    get size() { return byteSize; }
  }
  const byteSize = { size: (chunk) => chunk.byteLength }.size;
  defineClass(CountQueuingStrategy);
  defineClass(ByteLengthQueuingStrategy);

  internals.highWaterMark = (strategy, fallback) => {
    if (strategy.highWaterMark === undefined) return fallback;
    const mark = +strategy.highWaterMark;
    if (!(mark >= 0)) throw new RangeError(`highWaterMark must be a number from 0 up, got ${mark}`);
    return mark;
  };
  internals.sizeAlgorithm = (strategy) => {
    const size = strategy.size;
    if (size === undefined) return null;
    if (typeof size !== "function") throw new TypeError("the strategy's size must be a function");
    return (chunk) => {
      const value = +ReflectApply(size, undefined, [chunk]);
      if (!(value >= 0 && value < Infinity)) {
        throw new RangeError(`a chunk's size must be a finite number from 0 up, got ${value}`);
      }
      return value;
    };
  };

  // A method of a user's source, sink or transformer, as a function that returns a promise.
  internals.algorithm = (owner, name) => {
    const method = owner[name];
    if (method === undefined) return () => internals.resolved;
    if (typeof method !== "function") throw new TypeError(`${name} must be a function`);
    return (a, b) => settle(() => ReflectApply(method, owner, [a, b]));
  };
  // Both reactions; what they throw is a defect of ours and shows as an unhandled rejection.
  internals.upon = (promise, fulfilled, rejected) => {
    PromisePrototypeThen(promise, fulfilled, rejected);
  };
  internals.rejectedHandled = (error) => {
    const promise = PromiseReject(error);
    internals.markHandled(promise);
    return promise;
  };
  internals.resolved = new Promise((resolve) => resolve(undefined));
})
