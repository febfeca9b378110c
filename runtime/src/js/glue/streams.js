  // ---- Streaming methods, and the web's streams as capabilities.

  // What a message costs in a stream's window besides its bytes.
  const STREAM_CALL_BYTES = 64;

  // The streaming calls of one capability that are under way. The window is in bytes.
  class Flow {
    constructor() {
      this.bytes = 0;
      this.error = null;
      this.waiting = setPrototypeOf([], null);
    }
    left(bytes, error) {
      this.bytes -= bytes;
      if (error !== null && this.error === null) this.error = error;
      if (this.error === null && this.bytes > config.streamWindowBytes) return;
      const { waiting } = this;
      this.waiting = setPrototypeOf([], null);
      for (let i = 0; i < waiting.length; i++) {
        if (this.error === null) waiting[i].resolve();
        else waiting[i].reject(this.error);
      }
    }
  }
  setPrototypeOf(Flow.prototype, null);

  // A streaming call under way.
  class Streamed {
    constructor(method, label, flow) {
      this.method = method;
      this.label = label;
      this.flow = flow;
      this.bytes = 0;
    }
    resolve() {
      this.flow.left(this.bytes, null);
    }
    reject(error) {
      this.flow.left(this.bytes, error);
    }
  }
  setPrototypeOf(Streamed.prototype, null);

  // The flow of a target, or null. An import's own is that of one request.
  function flowOf(target, frame, make) {
    let { owner } = target;
    if (target.to === TO_EXPORT) {
      const scope = scopeOf(frame.rootLow, frame.rootHigh);
      if (scope.flows === null) {
        if (!make) return null;
        scope.flows = new Map();
      }
      owner = mapGet(scope.flows, target);
      if (owner === undefined) {
        if (!make) return null;
        mapSet(scope.flows, target, owner = { flow: null });
      }
    }
    if (owner.flow === null && make) owner.flow = new Flow();
    return owner.flow;
  }

  // Resolves when there is room in the window. An error of an earlier call surfaces here, too.
  async function stream(target, method, label, params, options) {
    if (target.local !== undefined) return callLocal(target.local, method, label, params);
    const frame = getContext();
    const error = obstacle(target, frame, label);
    if (error !== null) throw error;
    const flow = flowOf(target, frame, true);
    const entry = new Streamed(method, label, flow);
    const id = takePlace(entry);
    try {
      send(CALL_TO, id, 0, target.word | method.ordinal, frame, method.encodeParams,
        params === undefined ? EMPTY : params, target, entry);
    } catch (error) {
      takePending(id);
      throw error;
    }
    entry.bytes = sentBytes + STREAM_CALL_BYTES;
    flow.bytes += entry.bytes;
    if (flow.bytes <= config.streamWindowBytes) return undefined;
    const room = new Promise((resolve, reject) => {
      flow.waiting[flow.waiting.length] = { resolve, reject };
    });
    return options === undefined ? room : cancellable(room, id, entry, options);
  }

  // ---- A WritableStream stands for an interface with `write(bytes) -> stream` and `end()`, a
  // ReadableStream for one with `pipe(into)`, where `into` is such an interface.

  const ignore = (promise) => promiseThen(promise, internals.noop, internals.noop);

  function hasMethod(face, name, streaming) {
    for (let i = 0; i < face.methods.length; i++) {
      if (face.methods[i].name === name && face.methods[i].streaming === streaming) return true;
    }
    return false;
  }
  const isSinkFace = (face) => hasMethod(face, 'write', true) && hasMethod(face, 'end', false);
  const isSourceFace = (face) => hasMethod(face, 'pipe', false);
  const isAdaptable = (value, face) =>
    (internals.isWritableStream(value) && isSinkFace(face)) ||
    (internals.isReadableStream(value) && isSourceFace(face));

  // Gives a stream that is passed as a capability what serves its calls.
  function adapt(entry) {
    const { given, face } = entry;
    if (!isAdaptable(given, face)) return;
    if (isSourceFace(face) && internals.isReadableStream(given)) {
      entry.object = {
        pipe({ into }, ctx) {
          return internals.pipeTo(given, writableTo(into), { signal: ctx.signal });
        },
      };
      return;
    }
    const writer = internals.getWriter(given);
    let isOver = false;
    entry.object = {
      write({ bytes }) {
        return internals.writeTo(writer, bytes);
      },
      end() {
        isOver = true;
        return internals.closeWriter(writer);
      },
    };
    entry.dropped = () => {
      if (isOver) return;
      isOver = true;
      ignore(internals.abortWriter(writer, new TypeError('the sender let go of the stream before its end')));
    };
  }

  function writableTo(sink) {
    return new internals.WritableStream({
      write: (bytes) => sink.write({ bytes }),
      close: () => sink.end({}),
      abort() {
        if (typeof sink[dispose] === 'function') sink[dispose]();
      },
    });
  }

  function readableFrom(source) {
    const through = new internals.TransformStream();
    const into = internals.writableSide(through);
    promiseThen(source.pipe({ into }), undefined, (error) =>
      // Whatever has become of the sink, the reader learns why nothing more comes.
      internals.errorWritable(internals.writableState(into), error));
    return internals.readableSide(through);
  }

  // `writable()` and `readable()` for stubs whose interface is such a one.
  function addConversions(prototype, face) {
    const add = (name, value) => {
      if (!(name in prototype)) defineProperty(prototype, name, { value });
    };
    if (isSinkFace(face)) add('writable', function writable() { return writableTo(this); });
    if (isSourceFace(face)) add('readable', function readable() { return readableFrom(this); });
  }
