// TransformStream, and the transforms that are text codecs.
(function (host, p, internals) {
  "use strict";
  const { ObjectGetOwnPropertyDescriptor, PromisePrototypeThen, PromiseResolve, RangeError, ReflectApply, TypeError,
    StringPrototypeCharCodeAt, StringPrototypeSlice, uncurryThis } = p;
  const { algorithm, defineClass, deferred, dictionary, illegal, secret, settle, upon } = internals;

  const newTransform = (transformer, writableMark, writableSize, readableMark, readableSize) => {
    const t = { __proto__: null, readable: null, writable: null, output: null, sink: null,
      backpressure: true, change: deferred(), transform: null, flush: null, cancel: null, finish: null };
    const start = deferred();
    const setBackpressure = (on) => {
      if (t.backpressure === on) return;
      t.backpressure = on;
      t.change.resolve(undefined);
      t.change = deferred();
    };
    const fail = (error) => {
      t.output.error(error);
      failSink(error);
    };
    const failSink = (error) => {
      internals.errorWritable(t.sink, error);
      setBackpressure(false);
    };
    t.fail = fail;
    t.enqueue = (chunk) => {
      if (!internals.canTake(t.output.state)) throw new TypeError("the readable side is closed or has failed");
      try {
        t.output.enqueue(chunk);
      } catch (error) {
        failSink(error);
        throw t.output.state.error;
      }
      if (!(t.output.desiredSize() > 0)) setBackpressure(true);
    };
    t.terminate = () => {
      t.output.close();
      failSink(new TypeError("the transform was terminated"));
    };
    const run = (chunk) => PromisePrototypeThen(t.transform(chunk), undefined, (error) => {
      fail(error);
      throw error;
    });
    const write = (chunk) => {
      if (!t.backpressure) return run(chunk);
      return PromisePrototypeThen(t.change.promise, () => {
        if (t.sink.status === "erroring") throw t.sink.error;
        return run(chunk);
      });
    };
    // Abort of one side and cancel of the other end the transform once.
    const end = (reason, tellOther) => {
      if (t.finish !== null) return t.finish.promise;
      t.finish = deferred();
      upon(t.cancel(reason), () => {
        tellOther(reason);
        t.finish.resolve(undefined);
      }, (error) => {
        tellOther(error);
        t.finish.reject(error);
      });
      return t.finish.promise;
    };
    const close = () => {
      if (t.finish !== null) return t.finish.promise;
      t.finish = deferred();
      upon(t.flush(), () => {
        if (t.output.state.status === "errored") {
          t.finish.reject(t.output.state.error);
        } else {
          t.output.close();
          t.finish.resolve(undefined);
        }
      }, (error) => {
        t.output.error(error);
        t.finish.reject(error);
      });
      return t.finish.promise;
    };
    const writable = internals.newWritable(start.promise, { __proto__: null, write, close,
      abort: (reason) => end(reason, (why) => t.output.error(why)) }, writableMark, writableSize);
    t.writable = writable.stream;
    t.sink = writable.state;
    const readable = internals.newStream(() => {
      setBackpressure(false);
      return t.change.promise;
    }, (reason) => end(reason, failSink), readableMark, false, readableSize);
    t.readable = readable.stream;
    t.output = readable.controller;
    transformer(t, start);
    return t;
  };

  class TransformStreamDefaultController {
    #t;
    constructor(key, t) {
      illegal(key);
      this.#t = t;
    }
    get desiredSize() { return this.#t.output.desiredSize(); }
    enqueue(chunk = undefined) { this.#t.enqueue(chunk); }
    error(reason = undefined) { this.#t.fail(reason); }
    terminate() { this.#t.terminate(); }
  }
  defineClass(TransformStreamDefaultController);

  class TransformStream {
    #t;
    constructor(transformer = undefined, writableStrategy = undefined, readableStrategy = undefined) {
      const given = dictionary(transformer, "the transformer");
      const forWritable = dictionary(writableStrategy, "the writable side's strategy");
      const forReadable = dictionary(readableStrategy, "the readable side's strategy");
      if (given.readableType !== undefined || given.writableType !== undefined) {
        throw new RangeError("a transformer has no readableType or writableType");
      }
      this.#t = newTransform((t, start) => {
        const controller = new TransformStreamDefaultController(secret, t);
        if (given.transform === undefined) {
          t.transform = (chunk) => settle(() => t.enqueue(chunk));
        } else {
          const transform = algorithm(given, "transform");
          t.transform = (chunk) => transform(chunk, controller);
        }
        const flush = algorithm(given, "flush");
        t.flush = () => flush(controller);
        t.cancel = algorithm(given, "cancel");
        const first = given.start;
        start.resolve(first === undefined ? undefined : ReflectApply(first, given, [controller]));
      }, internals.highWaterMark(forWritable, 1), internals.sizeAlgorithm(forWritable),
      internals.highWaterMark(forReadable, 0), internals.sizeAlgorithm(forReadable));
    }
    get readable() { return this.#t.readable; }
    get writable() { return this.#t.writable; }
  }
  defineClass(TransformStream);

  internals.newTransform = (transform, flush) => newTransform((t, start) => {
    t.transform = (chunk) => settle(() => transform(chunk, t.enqueue));
    t.flush = () => settle(() => flush(t.enqueue));
    t.cancel = () => PromiseResolve(undefined);
    start.resolve(undefined);
  }, 1, null, 0, null);

  class TextEncoderStream {
    #t;
    constructor() {
      // Half of a surrogate pair waits for its other half in the next chunk.
      let half = "";
      this.#t = internals.newTransform((chunk, enqueue) => {
        let text = half + `${chunk}`;
        half = "";
        const last = text === "" ? 0 : StringPrototypeCharCodeAt(text, text.length - 1);
        if (last >= 0xD800 && last <= 0xDBFF) {
          half = text[text.length - 1];
          text = StringPrototypeSlice(text, 0, -1);
        }
        if (text !== "") enqueue(internals.encodeUtf8(text));
      }, (enqueue) => {
        if (half !== "") enqueue(internals.encodeUtf8(half));
      });
    }
    get encoding() { return "utf-8"; }
    get readable() { return this.#t.readable; }
    get writable() { return this.#t.writable; }
  }
  defineClass(TextEncoderStream);

  const { TextDecoder, decodeWith: decode } = internals;
  const streaming = { __proto__: null, stream: true };
  class TextDecoderStream {
    #t;
    #decoder;
    constructor(label = "utf-8", options = undefined) {
      const decoder = this.#decoder = new TextDecoder(label, options);
      this.#t = internals.newTransform((chunk, enqueue) => {
        const text = decode(decoder, chunk, streaming);
        if (text !== "") enqueue(text);
      }, (enqueue) => {
        const text = decode(decoder);
        if (text !== "") enqueue(text);
      });
    }
    get encoding() { return this.#decoder.encoding; }
    get fatal() { return this.#decoder.fatal; }
    get ignoreBOM() { return this.#decoder.ignoreBOM; }
    get readable() { return this.#t.readable; }
    get writable() { return this.#t.writable; }
  }
  defineClass(TextDecoderStream);

  // What the runtime does with streams, whatever their prototypes have become.
  const { WritableStream, WritableStreamDefaultWriter } = internals;
  internals.getWriter = uncurryThis(WritableStream.prototype.getWriter);
  internals.writeTo = uncurryThis(WritableStreamDefaultWriter.prototype.write);
  internals.closeWriter = uncurryThis(WritableStreamDefaultWriter.prototype.close);
  internals.abortWriter = uncurryThis(WritableStreamDefaultWriter.prototype.abort);
  internals.pipeTo = uncurryThis(internals.ReadableStream.prototype.pipeTo);
  const side = (name) =>
    uncurryThis(ObjectGetOwnPropertyDescriptor(TransformStream.prototype, name).get);
  internals.readableSide = side("readable");
  internals.writableSide = side("writable");
})
