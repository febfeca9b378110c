// WritableStream, and pipes into it. The states and their names follow the Streams standard.
(function (host, p, internals) {
  "use strict";
  const { PromisePrototypeThen, PromiseReject, PromiseResolve, RangeError, ReflectApply, TypeError } = p;
  const { algorithm, defineClass, deferred, dictionary, illegal, isObject, markHandled, noop,
    Queue, rejectedHandled, secret, settle, upon } = internals;
  const CLOSE = { __proto__: null };
  const idle = () => internals.resolved;

  const desiredSize = (s) => (s.status === "erroring" || s.status === "errored" ? null
    : s.status === "closed" ? 0 : s.highWaterMark - s.size);
  const closing = (s) => s.closeRequest !== null || s.inFlightClose !== null;
  const release = (s) => {
    s.write = s.close = s.abort = idle;
    s.sizeOf = null;
  };
  const refuse = (slot, error) => {
    markHandled(slot.promise);
    slot.reject(error);
  };

  const startErroring = (s, reason) => {
    s.status = "erroring";
    s.error = reason;
    if (s.writer !== null) rejectReady(s.writer, reason);
    if (s.inFlightWrite === null && s.inFlightClose === null && s.started) finishErroring(s);
  };
  const rejectReady = (writer, reason) => {
    if (!writer.waiting) writer.ready = deferred();
    writer.waiting = false;
    refuse(writer.ready, reason);
  };
  const rejectClosed = (s) => {
    if (s.closeRequest !== null) {
      s.closeRequest.reject(s.error);
      s.closeRequest = null;
    }
    if (s.writer !== null) refuse(s.writer.closed, s.error);
  };
  const finishErroring = (s) => {
    const run = s.abort;
    s.status = "errored";
    s.queue = new Queue();
    s.size = 0;
    release(s);
    while (s.requests.length > 0) s.requests.shift().reject(s.error);
    const abort = s.pendingAbort;
    s.pendingAbort = null;
    if (abort === null) return rejectClosed(s);
    if (abort.wasErroring) {
      abort.slot.reject(s.error);
      return rejectClosed(s);
    }
    upon(run(abort.reason), () => {
      abort.slot.resolve(undefined);
      rejectClosed(s);
    }, (error) => {
      abort.slot.reject(error);
      rejectClosed(s);
    });
  };
  const rejected = (s, error) => {
    if (s.status === "writable") startErroring(s, error);
    else finishErroring(s);
  };
  const setBackpressure = (s, on) => {
    if (s.writer !== null && on !== s.backpressure) {
      s.writer.waiting = on;
      if (on) s.writer.ready = deferred();
      else s.writer.ready.resolve(undefined);
    }
    s.backpressure = on;
  };

  const advance = (s) => {
    if (!s.started || s.inFlightWrite !== null) return;
    if (s.status === "erroring") return finishErroring(s);
    if (s.queue.length === 0 || s.inFlightClose !== null) return;
    if (s.queue.peek() === CLOSE) processClose(s);
    else processWrite(s, s.queue.peek());
  };
  const processClose = (s) => {
    s.inFlightClose = s.closeRequest;
    s.closeRequest = null;
    s.queue.shift();
    const done = s.close();
    release(s);
    const settleAbort = (how, value) => {
      if (s.pendingAbort !== null) s.pendingAbort.slot[how](value);
      s.pendingAbort = null;
    };
    upon(done, () => {
      s.inFlightClose.resolve(undefined);
      s.inFlightClose = null;
      if (s.status === "erroring") {
        s.error = undefined;
        settleAbort("resolve", undefined);
      }
      s.status = "closed";
      if (s.writer !== null) s.writer.closed.resolve(undefined);
    }, (error) => {
      s.inFlightClose.reject(error);
      s.inFlightClose = null;
      settleAbort("reject", error);
      rejected(s, error);
    });
  };
  const processWrite = (s, entry) => {
    s.inFlightWrite = s.requests.shift();
    upon(s.write(entry.chunk, s.controller), () => {
      s.inFlightWrite.resolve(undefined);
      s.inFlightWrite = null;
      if (s.queue.length > 0) {
        s.queue.shift();
        s.size = s.queue.length === 0 ? 0 : s.size - entry.size;
      }
      if (s.status === "writable" && !closing(s)) setBackpressure(s, desiredSize(s) <= 0);
      advance(s);
    }, (error) => {
      if (s.status === "writable") release(s);
      s.inFlightWrite.reject(error);
      s.inFlightWrite = null;
      rejected(s, error);
    });
  };

  const write = (writer, chunk) => {
    const s = writer.state;
    if (s === null) return PromiseReject(new TypeError("the writer was released"));
    let size = 1;
    if (s.sizeOf !== null) {
      try {
        size = s.sizeOf(chunk);
      } catch (error) {
        if (s.status === "writable") startErroring(s, error);
      }
    }
    if (writer.state !== s) return PromiseReject(new TypeError("the writer was released"));
    if (s.status === "errored" || s.status === "erroring") return PromiseReject(s.error);
    if (closing(s) || s.status === "closed") return PromiseReject(new TypeError("the stream is closing or closed"));
    const request = deferred();
    s.requests.push(request);
    s.queue.push(internals.queued(chunk, size));
    s.size += size;
    setBackpressure(s, desiredSize(s) <= 0);
    advance(s);
    return request.promise;
  };
  const close = (s) => {
    if (closing(s)) return PromiseReject(new TypeError("the stream is closing already"));
    if (s.status === "closed" || s.status === "errored") {
      return PromiseReject(new TypeError("the stream is closed or has failed"));
    }
    s.closeRequest = deferred();
    const { promise } = s.closeRequest;
    if (s.writer !== null && s.backpressure && s.status === "writable") {
      s.writer.waiting = false;
      s.writer.ready.resolve(undefined);
    }
    s.queue.push(CLOSE);
    advance(s);
    return promise;
  };
  const abort = (s, reason) => {
    if (s.status === "closed" || s.status === "errored") return PromiseResolve(undefined);
    internals.signalAbort(s.signal, reason);
    if (s.status === "closed" || s.status === "errored") return PromiseResolve(undefined);
    if (s.pendingAbort !== null) return s.pendingAbort.slot.promise;
    const wasErroring = s.status === "erroring";
    const slot = deferred();
    s.pendingAbort = { __proto__: null, slot, reason: wasErroring ? undefined : reason, wasErroring };
    if (!wasErroring) startErroring(s, reason);
    return slot.promise;
  };

  class WritableStreamDefaultController {
    #state;
    constructor(key, s) {
      illegal(key);
      this.#state = s;
    }
    get signal() { return this.#state.signal; }
    error(reason = undefined) {
      if (this.#state.status === "writable") startErroring(this.#state, reason);
    }
  }
  defineClass(WritableStreamDefaultController);

  const newState = (highWaterMark, sizeOf) => ({ __proto__: null, status: "writable",
    error: undefined, writer: null, queue: new Queue(), requests: new Queue(), size: 0,
    highWaterMark, sizeOf, started: false, inFlightWrite: null, inFlightClose: null,
    closeRequest: null, pendingAbort: null, backpressure: false, write: idle, close: idle,
    abort: idle, signal: internals.newSignal(), controller: null });

  const setUp = (s, start, algorithms) => {
    s.write = algorithms.write;
    s.close = algorithms.close;
    s.abort = algorithms.abort;
    s.backpressure = desiredSize(s) <= 0;
    upon(start, () => {
      s.started = true;
      advance(s);
    }, (error) => {
      s.started = true;
      rejected(s, error);
    });
  };

  let stateOf;
  class WritableStream {
    #state;
    constructor(sink = undefined, strategy = undefined) {
      if (sink === secret) {
        this.#state = strategy;
        return;
      }
      const to = dictionary(sink, "the stream's sink");
      const given = dictionary(strategy, "the stream's strategy");
      if (to.type !== undefined) throw new RangeError("a sink has no type");
      const sizeOf = internals.sizeAlgorithm(given);
      const s = newState(internals.highWaterMark(given, 1), sizeOf);
      this.#state = s;
      s.controller = new WritableStreamDefaultController(secret, s);
      const algorithms = { __proto__: null, write: algorithm(to, "write"),
        close: algorithm(to, "close"), abort: algorithm(to, "abort") };
      const start = to.start;
      const result = start === undefined ? undefined : ReflectApply(start, to, [s.controller]);
      setUp(s, PromiseResolve(result), algorithms);
    }
    get locked() { return this.#state.writer !== null; }
    abort(reason = undefined) {
      return settle(() => {
        if (this.locked) throw new TypeError("cannot abort a locked stream; abort its writer");
        return abort(this.#state, reason);
      });
    }
    close() {
      return settle(() => {
        if (this.locked) throw new TypeError("cannot close a locked stream; close its writer");
        return close(this.#state);
      });
    }
    getWriter() { return new WritableStreamDefaultWriter(this); }
    static {
      stateOf = internals.writableState = (stream) => {
        if (!isObject(stream) || !(#state in stream)) throw new TypeError("expected a WritableStream");
        return stream.#state;
      };
      internals.isWritableStream = (value) => isObject(value) && #state in value;
    }
  }
  defineClass(WritableStream);

  // A stream of the runtime's own; `start` is a promise.
  internals.newWritable = (start, algorithms, highWaterMark, sizeOf) => {
    const s = newState(highWaterMark, sizeOf);
    const stream = new WritableStream(secret, s);
    setUp(s, start, algorithms);
    return { __proto__: null, stream, state: s };
  };
  internals.errorWritable = (s, reason) => {
    if (s.status === "writable") startErroring(s, reason);
  };

  const newWriter = (s) => {
    if (s.writer !== null) throw new TypeError("the stream is locked to a writer already");
    const writer = { __proto__: null, state: s, ready: deferred(), closed: deferred(), waiting: false };
    s.writer = writer;
    if (s.status === "writable" && s.backpressure && !closing(s)) writer.waiting = true;
    else if (s.status === "writable" || s.status === "closed") writer.ready.resolve(undefined);
    else refuse(writer.ready, s.error);
    if (s.status === "closed") writer.closed.resolve(undefined);
    else if (s.status === "errored") refuse(writer.closed, s.error);
    return writer;
  };
  const releaseWriter = (writer) => {
    const s = writer.state;
    if (s === null) return;
    const error = new TypeError("the writer was released");
    rejectReady(writer, error);
    if (s.status === "closed" || s.status === "errored") writer.closed = deferred();
    refuse(writer.closed, error);
    s.writer = null;
    writer.state = null;
  };

  class WritableStreamDefaultWriter {
    #writer;
    constructor(stream) { this.#writer = newWriter(stateOf(stream)); }
    #live() {
      if (this.#writer.state === null) throw new TypeError("the writer was released");
      return this.#writer.state;
    }
    get closed() { return this.#writer.closed.promise; }
    get ready() { return this.#writer.ready.promise; }
    get desiredSize() { return desiredSize(this.#live()); }
    abort(reason = undefined) { return settle(() => abort(this.#live(), reason)); }
    close() { return settle(() => close(this.#live())); }
    write(chunk = undefined) { return write(this.#writer, chunk); }
    releaseLock() { releaseWriter(this.#writer); }
  }
  defineClass(WritableStreamDefaultWriter);

  internals.pipe = (source, destination, options) => {
    const from = internals.streamState(source);
    const to = stateOf(destination);
    const preventClose = !!options.preventClose;
    const preventAbort = !!options.preventAbort;
    const preventCancel = !!options.preventCancel;
    const { signal } = options;
    if (signal !== undefined && !internals.isAbortSignal(signal)) {
      return rejectedHandled(new TypeError("the pipe's signal must be an AbortSignal"));
    }
    if (from.reader !== null) throw new TypeError("cannot pipe from a locked stream");
    if (to.writer !== null) throw new TypeError("cannot pipe to a locked stream");
    const reader = internals.newReader(source);
    const writer = newWriter(to);
    const done = deferred();
    from.disturbed = true;
    let shutting = false;
    let lastWrite = internals.resolved;
    let unlisten = noop;

    const finalize = (failed, error) => {
      unlisten();
      releaseWriter(writer);
      internals.releaseReader(reader);
      if (failed) done.reject(error);
      else done.resolve(undefined);
    };
    const shutdown = (action, failed, error) => {
      if (shutting) return;
      shutting = true;
      const written = to.status === "writable" && !closing(to) ? lastWrite : internals.resolved;
      const act = () => {
        if (action === null) return finalize(failed, error);
        upon(settle(action), () => finalize(failed, error), (worse) => finalize(true, worse));
      };
      upon(written, act, act);
    };
    const sourceFailed = (error) =>
      shutdown(preventAbort ? null : () => abort(to, error), true, error);
    const sinkFailed = (error) =>
      shutdown(preventCancel ? null : () => internals.cancelState(from, error), true, error);
    const sourceEnded = () => shutdown(preventClose ? null
      : () => (closing(to) || to.status === "closed" ? undefined : close(to)), false, undefined);
    const pump = () => {
      if (shutting) return;
      upon(writer.ready.promise, () => {
        if (shutting) return;
        internals.read(reader, { __proto__: null, fill: undefined, close: noop, error: noop,
          chunk(value) {
            lastWrite = write(writer, value);
            markHandled(lastWrite);
            pump();
          } });
      }, noop);
    };

    if (signal !== undefined) {
      const aborted = () => shutdown(() => {
        const actions = [preventAbort ? undefined : abort(to, signal.reason),
          preventCancel ? undefined : internals.cancelState(from, signal.reason)];
        return PromisePrototypeThen(PromiseResolve(actions[0]), () => actions[1]);
      }, true, signal.reason);
      if (signal.aborted) {
        aborted();
        return done.promise;
      }
      unlisten = internals.onAbort(signal, aborted);
    }
    if (from.status === "readable" && (closing(to) || to.status === "closed")) {
      sinkFailed(new TypeError("the destination of the pipe is closed"));
    } else {
      upon(reader.closed.promise, sourceEnded, sourceFailed);
      upon(writer.closed.promise, noop, sinkFailed);
      pump();
    }
    return done.promise;
  };
})
