// ReadableStream, its controllers and readers. A stream's state is one record; requests to read
// are records of three callbacks, so that the runtime and pipes read without promises that a
// service could intercept.
(function (host, p, internals) {
  "use strict";
  const { ArrayBufferPrototypeTransfer, MathMin, Promise, PromisePrototypeThen, PromiseReject,
    PromiseResolve, RangeError, ReflectApply, ReflectConstruct, SymbolAsyncIterator,
    SymbolIterator, TypeError, TypedArrayPrototypeGetLength, TypedArrayPrototypeSet, Uint8Array,
    ArrayBufferIsView } = p;
  const { algorithm, defineClass, deferred, dictionary, illegal, isObject, markHandled, need,
    noop, Queue, part, secret, settle, upon, viewBytes } = internals;

  const idle = () => internals.resolved;
  const chunkBytes = (view) => TypedArrayPrototypeGetLength(view);

  const State = internals.record(class {
    constructor(bytes, highWaterMark, sizeOf) {
      this.status = "readable";
      this.error = undefined;
      this.reader = null;
      this.disturbed = false;
      this.queue = new Queue();
      this.size = 0;
      this.highWaterMark = highWaterMark;
      this.sizeOf = sizeOf;
      this.bytes = bytes;
      this.started = false;
      this.pulling = false;
      this.pullAgain = false;
      this.closing = false;
      this.pull = idle;
      this.cancel = idle;
      this.controller = null;
    }
  });
  const newState = (bytes, highWaterMark, sizeOf) => new State(bytes, highWaterMark, sizeOf);
  const Chunk = internals.record(class {
    constructor(chunk, size) {
      this.chunk = chunk;
      this.size = size;
    }
  });
  const queued = internals.queued = (chunk, size) => new Chunk(chunk, size);
  const Reader = internals.record(class {
    constructor(state, byob, closed) {
      this.state = state;
      this.byob = byob;
      this.requests = new Queue();
      this.closed = closed;
    }
  });
  const ReadRequest = internals.record(class {
    constructor(chunk, close, error) {
      this.fill = undefined;
      this.chunk = chunk;
      this.close = close;
      this.error = error;
    }
  });

  const desiredSize = (s) =>
    s.status === "errored" ? null : s.status === "closed" ? 0 : s.highWaterMark - s.size;
  const canTake = (s) => s.status === "readable" && !s.closing;

  const pullIfNeeded = (s) => {
    if (!canTake(s) || !s.started) return;
    if (!(s.reader !== null && s.reader.requests.length > 0) && !(desiredSize(s) > 0)) return;
    if (s.pulling) {
      s.pullAgain = true;
      return;
    }
    s.pulling = true;
    upon(s.pull(s.controller), () => {
      s.pulling = false;
      if (s.pullAgain) {
        s.pullAgain = false;
        pullIfNeeded(s);
      }
    }, (error) => fail(s, error));
  };

  const release = (s) => {
    s.pull = s.cancel = idle;
    s.sizeOf = null;
  };
  const finish = (s) => {
    if (s.status !== "readable") return;
    s.status = "closed";
    release(s);
    const reader = s.reader;
    if (reader === null) return;
    reader.closed.resolve(undefined);
    while (reader.requests.length > 0) reader.requests.shift().close();
  };
  const fail = (s, error) => {
    if (s.status !== "readable") return;
    s.status = "errored";
    s.error = error;
    s.queue = new Queue();
    s.size = 0;
    release(s);
    const reader = s.reader;
    if (reader === null) return;
    markHandled(reader.closed.promise);
    reader.closed.reject(error);
    while (reader.requests.length > 0) reader.requests.shift().error(error);
  };
  const close = (s) => {
    s.closing = true;
    serve(s);
    if (s.queue.length === 0) finish(s);
  };

  const take = (s) => {
    const entry = s.queue.shift();
    s.size = s.queue.length === 0 ? 0 : s.size - entry.size;
    if (s.closing && s.queue.length === 0) finish(s);
    else pullIfNeeded(s);
    return entry.chunk;
  };
  // Serves waiting readers from the queue; a request with `fill` copies bytes out instead.
  const serve = (s) => {
    const requests = s.reader?.requests;
    while (requests !== undefined && requests.length > 0 && s.queue.length > 0) {
      const request = requests.peek();
      if (request.fill === undefined) {
        requests.shift();
        request.chunk(take(s));
      } else if (!request.fill(s)) {
        break;
      }
    }
  };
  const enqueue = (s, chunk) => {
    const requests = s.reader?.requests;
    if (requests !== undefined && requests.length > 0 && requests.peek().fill === undefined && s.queue.length === 0) {
      requests.shift().chunk(chunk);
    } else {
      let size = s.bytes ? chunkBytes(chunk) : 1;
      if (s.sizeOf !== null) {
        try {
          size = s.sizeOf(chunk);
        } catch (error) {
          fail(s, error);
          throw error;
        }
      }
      s.queue.push(queued(chunk, size));
      s.size += size;
      serve(s);
    }
    pullIfNeeded(s);
  };

  const cancel = (s, reason) => {
    s.disturbed = true;
    if (s.status === "closed") return PromiseResolve(undefined);
    if (s.status === "errored") return PromiseReject(s.error);
    const run = s.cancel;
    s.queue = new Queue();
    s.size = 0;
    finish(s);
    return PromisePrototypeThen(run(reason), noop);
  };

  const read = (reader, request) => {
    const s = reader.state;
    s.disturbed = true;
    if (s.status === "errored") return request.error(s.error);
    if (s.status === "closed") return request.close();
    if (request.fill === undefined && s.queue.length > 0) return request.chunk(take(s));
    reader.requests.push(request);
    if (request.fill !== undefined) serve(s);
    pullIfNeeded(s);
  };

  const newReader = (s, byob) => {
    const closed = deferred();
    const reader = new Reader(s, byob, closed);
    s.reader = reader;
    if (s.status === "closed") {
      closed.resolve(undefined);
    } else if (s.status === "errored") {
      markHandled(closed.promise);
      closed.reject(s.error);
    }
    return reader;
  };
  const releaseReader = (reader) => {
    const s = reader.state;
    if (s === null) return;
    const error = new TypeError("the reader was released");
    if (s.status !== "readable") reader.closed = deferred();
    markHandled(reader.closed.promise);
    reader.closed.reject(error);
    s.reader = null;
    reader.state = null;
    while (reader.requests.length > 0) reader.requests.shift().error(error);
  };
  const readPromise = (reader) => {
    if (reader.state === null) return PromiseReject(new TypeError("the reader was released"));
    return new Promise((resolve, reject) => read(reader, new ReadRequest(
      (value) => resolve({ value, done: false }),
      () => resolve({ value: undefined, done: true }),
      reject)));
  };

  // Methods that all controllers or all readers have.
  const checkTake = (s) => {
    if (!canTake(s)) throw new TypeError("the stream is closed already or has failed");
  };
  class ReadableStreamDefaultController {
    #state;
    constructor(key, s) {
      illegal(key);
      this.#state = s;
    }
    get desiredSize() { return desiredSize(this.#state); }
    close() {
      checkTake(this.#state);
      close(this.#state);
    }
    enqueue(chunk = undefined) {
      checkTake(this.#state);
      enqueue(this.#state, chunk);
    }
    error(reason = undefined) { fail(this.#state, reason); }
  }
  defineClass(ReadableStreamDefaultController);

  class ReadableByteStreamController {
    #state;
    constructor(key, s) {
      illegal(key);
      this.#state = s;
    }
    // Bytes arrive by enqueue only; the standard allows null where no view is offered.
    get byobRequest() { return null; }
    get desiredSize() { return desiredSize(this.#state); }
    close() {
      checkTake(this.#state);
      close(this.#state);
    }
    enqueue(chunk) {
      if (!ArrayBufferIsView(chunk)) throw new TypeError("a byte stream's chunk must be a view, such as Uint8Array");
      checkTake(this.#state);
      const bytes = viewBytes(chunk);
      if (chunkBytes(bytes) === 0) throw new TypeError("a byte stream's chunk must not be empty");
      enqueue(this.#state, bytes);
    }
    error(reason = undefined) { fail(this.#state, reason); }
  }
  defineClass(ReadableByteStreamController);

  const setUp = (s, controller, start, pull, cancelSource) => {
    s.controller = controller;
    s.pull = pull;
    s.cancel = cancelSource;
    upon(start(), () => {
      s.started = true;
      pullIfNeeded(s);
    }, (error) => fail(s, error));
  };

  let stateOf;
  class ReadableStream {
    #state;
    constructor(source = undefined, strategy = undefined) {
      if (source === secret) {
        this.#state = strategy;
        return;
      }
      const from = dictionary(source, "the stream's source");
      const given = dictionary(strategy, "the stream's strategy");
      const bytes = from.type === undefined ? false : `${from.type}` === "bytes";
      if (!bytes && from.type !== undefined) throw new TypeError(`a source's type must be "bytes", got "${from.type}"`);
      if (bytes && given.size !== undefined) throw new RangeError("a byte stream's strategy cannot have a size");
      const s = newState(bytes, internals.highWaterMark(given, bytes ? 0 : 1),
        bytes ? null : internals.sizeAlgorithm(given));
      this.#state = s;
      const Controller = bytes ? ReadableByteStreamController : ReadableStreamDefaultController;
      const controller = new Controller(secret, s);
      const pull = algorithm(from, "pull");
      const cancelSource = algorithm(from, "cancel");
      const start = from.start;
      const result = start === undefined ? undefined : ReflectApply(start, from, [controller]);
      setUp(s, controller, () => PromiseResolve(result), pull, cancelSource);
    }
    get locked() { return this.#state.reader !== null; }
    cancel(reason = undefined) {
      return settle(() => {
        if (this.locked) throw new TypeError("cannot cancel a locked stream; cancel its reader");
        return cancel(this.#state, reason);
      });
    }
    getReader(options = undefined) {
      const mode = dictionary(options, "getReader's options").mode;
      if (mode === undefined) return new ReadableStreamDefaultReader(this);
      if (`${mode}` !== "byob") throw new TypeError(`a reader's mode must be "byob", got "${mode}"`);
      return new ReadableStreamBYOBReader(this);
    }
    tee() {
      const pair = internals.teeStream(this);
      return [pair.first, pair.second];
    }
    pipeTo(destination, options = undefined) {
      return settle(() => {
        need([destination], 1, "pipeTo");
        return internals.pipe(this, destination, dictionary(options, "pipeTo's options"));
      });
    }
    pipeThrough(transform, options = undefined) {
      const pair = dictionary(transform, "pipeThrough's transform");
      const { readable, writable } = pair;
      stateOf(readable);
      const done = internals.pipe(this, writable, dictionary(options, "pipeThrough's options"));
      markHandled(done);
      return readable;
    }
    values(options = undefined) {
      const preventCancel = !!dictionary(options, "values' options").preventCancel;
      return iterate(new ReadableStreamDefaultReader(this), preventCancel);
    }
    static from(iterable) {
      need(arguments, 1, "ReadableStream.from");
      const method = iterable[SymbolAsyncIterator] ?? iterable[SymbolIterator];
      if (typeof method !== "function") throw new TypeError("ReadableStream.from needs an iterable");
      const iterator = ReflectApply(method, iterable, []);
      return internals.newStream((controller) => PromisePrototypeThen(settle(() => iterator.next()), (step) => {
        if (!isObject(step)) throw new TypeError("the iterator's next() must give an object");
        if (step.done) return controller.close();
        return PromisePrototypeThen(PromiseResolve(step.value), (value) => controller.enqueue(value));
      }), (reason) => settle(() => iterator.return?.(reason)), 0).stream;
    }
    static {
      stateOf = internals.streamState = (stream) => {
        if (!isObject(stream) || !(#state in stream)) throw new TypeError("expected a ReadableStream");
        return stream.#state;
      };
      internals.isReadableStream = (value) => isObject(value) && #state in value;
    }
  }
  internals.alias(ReadableStream, SymbolAsyncIterator, "values");
  defineClass(ReadableStream);

  const makeReader = (stream, byob) => {
    const s = stateOf(stream);
    if (s.reader !== null) throw new TypeError("the stream is locked to a reader already");
    return newReader(s, byob);
  };
  class ReadableStreamDefaultReader {
    #reader;
    constructor(stream) { this.#reader = makeReader(stream, false); }
    get closed() { return this.#reader.closed.promise; }
    cancel(reason = undefined) {
      return settle(() => {
        if (this.#reader.state === null) throw new TypeError("the reader was released");
        return cancel(this.#reader.state, reason);
      });
    }
    read() { return readPromise(this.#reader); }
    releaseLock() { releaseReader(this.#reader); }
  }
  defineClass(ReadableStreamDefaultReader);

  class ReadableStreamBYOBReader {
    #reader;
    constructor(stream) {
      if (!stateOf(stream).bytes) throw new TypeError('a byob reader needs a stream of type "bytes"');
      this.#reader = makeReader(stream, true);
    }
    get closed() { return this.#reader.closed.promise; }
    cancel(reason = undefined) {
      return settle(() => {
        if (this.#reader.state === null) throw new TypeError("the reader was released");
        return cancel(this.#reader.state, reason);
      });
    }
    read(view, options = undefined) {
      return settle(() => {
        const minimum = dictionary(options, "read's options").min ?? 1;
        if (!ArrayBufferIsView(view)) throw new TypeError("read needs a view to fill");
        const bytes = viewBytes(view);
        if (chunkBytes(bytes) === 0) throw new TypeError("read needs a view that is not empty");
        if (this.#reader.state === null) throw new TypeError("the reader was released");
        return fillView(this.#reader, view, bytes, minimum);
      });
    }
    releaseLock() { releaseReader(this.#reader); }
  }
  defineClass(ReadableStreamBYOBReader);

  const fillView = (reader, view, bytes, minimum) => new Promise((resolve, reject) => {
    const Kind = view.constructor;
    const unit = view.BYTES_PER_ELEMENT ?? 1;
    const offset = view.byteOffset;
    const room = chunkBytes(bytes);
    const buffer = ArrayBufferPrototypeTransfer(view.buffer);
    const target = new Uint8Array(buffer, offset, room);
    const result = (filled, done) => resolve({ value: ReflectConstruct(Kind, [buffer, offset, filled / unit]), done });
    read(reader, { __proto__: null,
      fill(s) {
        const available = s.size - s.size % unit;
        if (available < MathMin(minimum * unit, room) && !(s.closing && available > 0)) return false;
        reader.requests.shift();
        let filled = 0;
        const wanted = MathMin(available, room);
        while (filled < wanted) {
          const entry = s.queue.peek();
          const count = MathMin(wanted - filled, entry.size);
          TypedArrayPrototypeSet(target, part(entry.chunk, 0, count), filled);
          filled += count;
          if (count === entry.size) {
            take(s);
          } else {
            entry.chunk = part(entry.chunk, count, entry.size);
            entry.size -= count;
            s.size -= count;
          }
        }
        result(filled, false);
        return true;
      },
      close: () => result(0, true),
      error: reject });
  });

  // for await: one read at a time, in the order of the calls.
  const iterate = (reader, preventCancel) => {
    let last = internals.resolved;
    let finished = false;
    const next = async () => {
      if (finished) return { value: undefined, done: true };
      try {
        const step = await reader.read();
        if (step.done) {
          finished = true;
          reader.releaseLock();
        }
        return step;
      } catch (error) {
        finished = true;
        reader.releaseLock();
        throw error;
      }
    };
    const stop = async (value) => {
      if (!finished) {
        finished = true;
        const done = preventCancel ? undefined : reader.cancel(value);
        reader.releaseLock();
        await done;
      }
      return { value, done: true };
    };
    const chain = (run) => (last = PromisePrototypeThen(last, run, run));
    return { __proto__: p.AsyncIteratorPrototype,
      next: () => chain(next),
      return: (value) => chain(() => stop(value)) };
  };

  // A stream of the runtime's own: `pull(controller)` and `cancel(reason)` return promises. The
  // controller ignores what comes after the end.
  internals.newStream = (pull, cancelSource, highWaterMark = 1, bytes = false, sizeOf = null) => {
    const s = newState(bytes, highWaterMark, sizeOf);
    const stream = new ReadableStream(secret, s);
    const controller = { __proto__: null, state: s, enqueue: (chunk) => { if (canTake(s)) enqueue(s, chunk); },
      close: () => { if (canTake(s)) close(s); }, error: (reason) => fail(s, reason),
      desiredSize: () => desiredSize(s) };
    setUp(s, controller, () => internals.resolved, pull, cancelSource);
    return { __proto__: null, stream, controller };
  };
  internals.newReader = (stream) => makeReader(stream, false);
  internals.read = read;
  internals.releaseReader = releaseReader;
  internals.cancelState = cancel;
  internals.canTake = canTake;

  internals.teeStream = (stream, copyChunk = (chunk) => chunk) => {
    const reader = makeReader(stream, false);
    const s = reader.state;
    const branches = [];
    const reasons = [undefined, undefined];
    const canceled = [false, false];
    const whole = deferred();
    let reading = false;
    let again = false;
    const pull = () => {
      if (reading) {
        again = true;
        return internals.resolved;
      }
      reading = true;
      read(reader, { __proto__: null, fill: undefined,
        chunk(value) {
          // A microtask later, so that an error that is on its way wins over this chunk.
          PromisePrototypeThen(internals.resolved, () => {
            again = false;
            if (!canceled[0]) branches[0].enqueue(value);
            if (!canceled[1]) branches[1].enqueue(canceled[0] ? value : copyChunk(value));
            reading = false;
            if (again) pull();
          });
        },
        close() {
          reading = false;
          for (let i = 0; i < 2; i++) if (!canceled[i]) branches[i].close();
          if (!canceled[0] || !canceled[1]) whole.resolve(undefined);
        },
        error() { reading = false; } });
      return internals.resolved;
    };
    const stop = (i) => (reason) => {
      canceled[i] = true;
      reasons[i] = reason;
      if (canceled[1 - i]) whole.resolve(cancel(s, [reasons[0], reasons[1]]));
      return whole.promise;
    };
    const first = internals.newStream(pull, stop(0), s.bytes ? 0 : 1, s.bytes);
    const second = internals.newStream(pull, stop(1), s.bytes ? 0 : 1, s.bytes);
    branches[0] = first.controller;
    branches[1] = second.controller;
    upon(reader.closed.promise, noop, (error) => {
      branches[0].error(error);
      branches[1].error(error);
      if (!canceled[0] || !canceled[1]) whole.resolve(undefined);
    });
    return { __proto__: null, first: first.stream, second: second.stream };
  };
})
