// The isolate's end of the call path and of what else the host hands it. The files of this folder
// are the parts of one function, in this order: call, capabilities, answers, kept, streams, http,
// outbound, json, life. It becomes part of the startup snapshot; a fresh isolate calls `attach` with
// its memory and its bundle's facts, evaluates the bundle, then calls `start`.
//
// Nothing here looks up a built-in at run time that a service could have replaced: what is needed
// is captured below, before any bundle runs. `getContext` and `setContext` read and write the
// continuation-preserved embedder data: the frame of the request in whose name code runs now.
// V8 carries it through every await, then and callback.
(function (host, makeMessage, internals, getContext, setContext) {
  'use strict';

  const { Promise, TypeError, Error, Int32Array, ArrayBuffer } = globalThis;
  const { create, defineProperty, freeze, getPrototypeOf, keys, setPrototypeOf } = Object;
  const PromisePrototype = Promise.prototype;
  const { parse: jsonParse, stringify: jsonStringify } = JSON;
  const errorToString = Function.prototype.call.bind(Error.prototype.toString);
  const String = globalThis.String;
  const uncurry = Function.prototype.bind.bind(Function.prototype.call);
  const promiseResolve = uncurry(Promise.resolve);
  const promiseReject = uncurry(Promise.reject);
  const bufferGetter = (name) =>
    uncurry(Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, name).get);
  const bufferLength = bufferGetter('byteLength');
  const slice = uncurry(ArrayBuffer.prototype.slice);
  // V8 installs what a flag enables into each new context and not into the snapshot, so these two
  // are captured in `attach`.
  let isImmutable;
  let transferToImmutable;
  // Two isolates may read an immutable buffer's backing store; neither can write it.
  const seal = (buffer) => (isImmutable(buffer) ? buffer : transferToImmutable(buffer));
  const message = makeMessage({
    utf8Decode: host.utf8Decode,
    utf8Encode: host.utf8Encode,
    seal,
    isImmutable: (buffer) => isImmutable(buffer),
    capability,
    addCapability,
  });

  // The kinds of records: see `RecordKind` in wire.rs.
  const CALL = 1, RETURN = 2, CALL_TO = 3, ANSWER = 4, ASK = 5, ASK_WANTED = 6, CHUNK = 7, HOLD = 8,
    RELEASE = 9;
  // Words of the rings: see wire.rs.
  const DISPATCHES = 5, RESULT = 7;
  const MOVED = -1;
  const EMPTY = freeze(create(null));
  const PENDING = freeze(create(null));

  // A request as this isolate knows it: the key of its root, in two halves, and that of the call
  // that it serves here, if it serves one. Bundle code never holds one.
  class Frame {
    constructor(rootLow, rootHigh, callLow, callHigh) {
      this.rootLow = rootLow;
      this.rootHigh = rootHigh;
      this.callLow = callLow;
      this.callHigh = callHigh;
      this.controller = null;
    }
  }
  setPrototypeOf(Frame.prototype, null);

  // What a method or fetch handler gets as its last argument.
  class Context {
    #frame;
    constructor(frame) {
      this.#frame = frame;
    }
    get bundle() {
      return bundle;
    }
    // Whether the request is a copy whose answer nobody gets: then nothing should be changed by it.
    get shadow() {
      return this.#frame.rootLow < 0;
    }
    // Aborts when nobody waits for what this handler does any more.
    get signal() {
      return signalOf(this.#frame);
    }
    // Ends what this request passed on of an object: calls of its stubs fail from now on.
    revoke(object) {
      revoke(this.#frame, object);
    }
    waitUntil(promise) {
      const frame = this.#frame;
      post(HOLD, 0, 0, 0, frame.rootLow, frame.rootHigh, 0, 0, 0);
      releaseAfter(promise, frame);
    }
  }
  // Nobody else may make one: a frame of one's own invention could name another's request.
  delete Context.prototype.constructor;
  freeze(Context.prototype);

  async function releaseAfter(promise, frame) {
    try {
      await promise;
    } catch (error) {
      internals.reportError(error);
    }
    post(RELEASE, 0, 0, 0, frame.rootLow, frame.rootHigh, 0, 0, 0);
  }

  // An error that crossed from another service, or that the host raised for a call.
  class CallError extends Error {
    // What the host said. The public fields are the service's to change, and are not believed.
    #told;
    constructor(kind, name, text, service, version, stack, label) {
      const where = service === '' ? label : `${label} (${service}@${version})`;
      super(`${where}: ${name === '' || name === 'Error' ? '' : name + ': '}${text}`);
      this.kind = kind;
      this.service = service;
      this.version = version;
      this.remoteName = name;
      this.remoteMessage = text;
      if (stack !== '') this.remoteStack = stack;
      this.#told = [kind, name, text, service, version, stack];
    }
    static told(error) {
      if (typeof error !== 'object' || error === null || !(#told in error)) return undefined;
      const t = error.#told;
      return [t[0], t[1], t[2], t[3], t[4], t[5] === '' ? `${error.stack}` : t[5]];
    }
    get name() {
      return 'CallError';
    }
    get retryable() {
      return this.kind === 'overloaded' || this.kind === 'disconnected';
    }
  }
  const toldBy = CallError.told;
  delete CallError.told;
  delete CallError.prototype.constructor;

  let bundle;
  // What the main module's code is named by in a stack.
  let moduleName;
  let env;
  let handler = null;
  let served = [];
  let config;
  let encoder;
  let rings;
  let outRing;
  let inRing;
  let ringRecords;
  let recordWords;
  let outboxBytes;
  let outboxUsed = 0;
  let builderOptions;
  let chunk = null;

  // Calls that this isolate made, by the index that names the call to the host. A place without
  // a call has the index of the next such place; there always is one. With few calls no place is
  // made: V8 would throw optimised code away, having seen nobody get there.
  const pending = setPrototypeOf([], null);
  let freePending = 0;
  const morePending = () => {
    for (let end = pending.length + 64; pending.length < end;) pending[pending.length] = pending.length + 1;
  };
  morePending();

  // Takes a place for `entry`.
  function takePlace(entry) {
    const id = freePending;
    freePending = pending[id];
    pending[id] = entry;
    if (freePending === pending.length) morePending();
    return id;
  }

  const { noop } = internals;

  // Nobody hears of its results before it has a promise's functions.
  class Pending {
    constructor(method, label) {
      this.resolve = noop;
      this.reject = noop;
      this.method = method;
      this.label = label;
    }
  }
  setPrototypeOf(Pending.prototype, null);

  // In the place of a call while it is dispatched, if that is ended in the middle.
  const unheard = new Pending({ readResults: noop }, '');

  // The promise of the results that came at once last.
  let lastDispatched;

  // The bytes of the message that was sent last.
  let sentBytes = 0;

  // Leaves a record for the host, which reads it when the stack has unwound. Returns where it lies.
  function post(kind, idLow, idHigh, target, rootLow, rootHigh, offset, length, buffers) {
    let count = rings[1];
    if (count === ringRecords) {
      flush();
      count = 0;
    }
    const at = outRing + count * recordWords;
    rings[at] = kind;
    rings[at + 1] = idLow;
    rings[at + 2] = idHigh;
    rings[at + 3] = target;
    rings[at + 4] = rootLow;
    rings[at + 5] = rootHigh;
    rings[at + 6] = offset;
    rings[at + 7] = length;
    rings[at + 8] = buffers;
    rings[1] = count + 1;
    return at;
  }

  // Makes the host take what the ring and the outbox hold now. A message that was encoded and not
  // yet posted stays where it is.
  function flush() {
    host.flush();
  }

  // Encodes `value` and posts it. A getter or proxy in `value` may call a stub while this encodes:
  // that inner call encodes into memory of its own. `to` is where a CALL_TO of `entry` goes. Returns
  // where the record lies.
  function send(kind, idLow, idHigh, target, frame, encode, value, to, entry) {
    let b = encoder;
    let start = 0;
    if (b.isBusy) {
      b = privateBuilder();
    } else {
      if (rings[1] !== 0 && outboxBytes - outboxUsed < config.smallBytes) flush();
      if (rings[1] === 0) outboxUsed = 0;
      start = outboxUsed;
    }
    b.begin(start);
    b.limit = start + config.smallBytes;
    let length;
    try {
      encode(b, value);
      length = b.end();
    } catch (error) {
      b.abort();
      throw error;
    }
    let buffers = 0;
    let offset = start;
    if (b.isOwn) {
      host.give(seal(b.buffer), start, start + length, 1);
      offset = MOVED;
      buffers = 1;
    } else if (b !== encoder || length > config.moveThresholdBytes) {
      host.give(seal(slice(b.buffer, start, start + length)), 0, length, 1);
      offset = MOVED;
      buffers = 1;
    } else {
      outboxUsed = start + length;
    }
    sentBytes = length;
    const { blobs, caps } = b;
    if (blobs !== null) buffers = giveBlobs(blobs, buffers);
    if (caps !== null) sendCapabilities(caps, frame);
    if (to !== undefined) postTo(to, entry);
    return post(kind, idLow, idHigh, target, frame.rootLow, frame.rootHigh, offset, length, buffers);
  }

  // Gives what moves with a message of which `buffers` were given. Returns how many there are now.
  function giveBlobs(blobs, buffers) {
    for (let i = 0; i < blobs.length; i++) {
      const { buffer, base, end } = blobs[i];
      host.give(buffer, base, end, buffers + i === 0 ? 1 : 0);
      sentBytes += end - base;
    }
    return buffers + blobs.length;
  }

  // A builder with no outbox under it.
  const privateBuilder = () => new message.Builder(new ArrayBuffer(512), 512, builderOptions);

  // Makes a call in the name of the request that the current code runs for.
  function call(importIndex, method, label, params, options) {
    const frame = getContext();
    if (frame === undefined) return promiseReject(Promise, noRequest(label));
    const id = takePlace(unheard);
    try {
      send(CALL, id, 0, (importIndex << 16) | method.ordinal, frame, method.encodeParams,
        params === undefined ? EMPTY : params);
    } catch (error) {
      takePending(id);
      return promiseReject(Promise, error);
    }
    if (options === undefined) {
      const came = dispatch(id);
      if (came !== undefined) return resultsAtOnce(id, method, came);
    }
    const entry = pending[id] = new Pending(method, label);
    const promise = heardBy(entry);
    return options === undefined ? promise : cancellable(promise, id, entry, options);
  }

  // The promise of a call's results that come later.
  function heardBy(entry) {
    return new Promise((resolve, reject) => {
      entry.resolve = resolve;
      entry.reject = reject;
    });
  }

  // Where nobody else waits for a turn, the host has the callee run at once, on top of this stack.
  // Calls that are made together are not: a call whose promise nobody awaits yet is the first of some.
  // Nor are those after one whose results take time.
  function dispatch(id) {
    if (rings[DISPATCHES] === 0) return undefined;
    const came = host.dispatch(id, rings[DISPATCHES + 1] === 0 ? undefined : lastDispatched);
    if (came === undefined) rings[DISPATCHES] = 0;
    return came;
  }

  // The message of a dispatched call's results. `came` is what moved with it: see `dispatch` in native.rs.
  function bodyAtOnce(came) {
    const offset = rings[RESULT];
    const length = rings[RESULT + 1];
    const moved = rings[RESULT + 2];
    if (moved === 0) return message.Message(chunk, offset, offset + length, null);
    const buffers = moved === 1 ? [came, rings[RESULT + 3], rings[RESULT + 4]] : came;
    return openMoved(buffers, 0, 3 * moved, offset, length);
  }

  function resultsAtOnce(id, method, came) {
    takePending(id);
    let promise;
    try {
      promise = promiseResolve(Promise, method.readResults(bodyAtOnce(came)));
    } catch (error) {
      return promiseReject(Promise, error);
    }
    // What moved is not to live on for this.
    if (came === null) {
      lastDispatched = promise;
      rings[DISPATCHES + 1] = 1;
    }
    return promise;
  }

  const noRequest = (label) => new CallError('requestEnded', '', 'no request is being handled here; ' +
    'a call to another service needs one (module scope and constructors have none)', '', '', '', label);

  function takePending(id) {
    const entry = pending[id];
    pending[id] = freePending;
    freePending = id;
    return entry;
  }

  function reply(frame, method, value) {
    try {
      send(RETURN, frame.callLow, frame.callHigh, 0, frame, method.encodeResults,
        value === undefined ? EMPTY : value);
    } catch (error) {
      fail(frame, error);
    }
    if (signals !== 0) dropSignal(frame);
  }

  async function settle(frame, method, promise) {
    let value;
    try {
      value = await promise;
    } catch (error) {
      fail(frame, error);
      return;
    }
    reply(frame, method, value);
  }

  // What a thrown value says about itself. Its getters are the service's code and may throw.
  function describe(error) {
    try {
      const told = toldBy(error);
      if (told !== undefined) return told;
      if (error instanceof message.MessageError) {
        return ['badMessage', error.name, error.message, '', '', ''];
      }
      if (typeof error === 'object' && error !== null && 'message' in error) {
        return ['failed', `${error.name}`, `${error.message}`, '', '', `${error.stack ?? ''}`];
      }
      return ['failed', '', `a value that is not an Error was thrown: ${String(error)}`, '', '', ''];
    } catch {
      return ['failed', '', 'a value was thrown that cannot be described', '', '', ''];
    }
  }

  // `kept` is the answer that somebody may build on, if it is kept.
  function fail(frame, error, kept) {
    const d = describe(error);
    if (signals !== 0) dropSignal(frame);
    host.fail(frame.callLow, frame.callHigh, d[0], d[1], d[2], d[3], d[4], d[5]);
    if (kept === undefined || kept === null) return;
    kept.error = error;
    conclude(kept, FAILED);
  }

  // Stands for `Promise` in `instanceof`, whose own meaning a service may change.
  const AnyPromise = function () {};
  AnyPromise.prototype = PromisePrototype;

  // What the object that a method returned comes to if that is known by now, or PENDING. Most
  // handlers are done when they return, and to look costs less than an await.
  function settledValue(result) {
    if (result instanceof AnyPromise) return host.fulfilled(result, PENDING);
    return typeof result.then === 'function' ? PENDING : result;
  }

  function serve(target, frame, params) {
    const entry = served[target >>> 16];
    const method = entry === undefined ? undefined : entry.methods[target & 0xffff];
    if (method === undefined) return decline(frame, 'unimplemented', `it has no method number ${target & 0xffff}`);
    setContext(frame);
    let result;
    let value = PENDING;
    try {
      result = method.invoke(entry.instance, method.readParams(params), new Context(frame));
      value = typeof result !== 'object' || result === null ? result : settledValue(result);
    } catch (error) {
      fail(frame, error);
      return;
    }
    if (value === PENDING) settle(frame, method, result);
    else reply(frame, method, value);
  }

  // What becomes of records of the rarer kinds, by kind. V8 does not inline what it finds in a
  // table, so `turn` stays small.
  const bare = setPrototypeOf([], null);
  const withMessage = setPrototypeOf([], null);

  // Works through the in-ring. `buffers` are what its records' moved segments were mapped to: of each
  // the buffer, the segment's first byte and its end. One segment comes as three arguments.
  // It may run as a microtask, so it keeps what it could not handle. How far it came is in the ring:
  // the host may end it at any point, and have it go on behind.
  function turn(buffers, base, end) {
    try {
      if (end !== undefined) buffers = [buffers, base, end];
      const count = rings[0];
      let serving = false;
      let nextBuffer = rings[3];
      for (let i = rings[2]; i < count; i++) {
        const at = inRing + i * recordWords;
        const kind = rings[at];
        const moved = rings[at + 8];
        if (kind > ASK_WANTED) {
          if (kind === CHUNK) {
            chunk = new message.Chunk(buffers[nextBuffer]);
            nextBuffer += 3;
            rings[3] = nextBuffer;
            rings[2] = i + 1;
          } else {
            rings[2] = i + 1;
            serving = true;
            bare[kind](at, kind);
          }
          continue;
        }
        const id = rings[at + 1];
        const offset = rings[at + 6];
        const length = rings[at + 7];
        let body;
        if (moved === 0) {
          body = message.Message(chunk, offset, offset + length, null);
        } else {
          const first = nextBuffer;
          nextBuffer += 3 * moved;
          body = openMoved(buffers, first, nextBuffer, offset, length);
          rings[3] = nextBuffer;
        }
        rings[2] = i + 1;
        if (passed !== null) body.caps = takePassed(rings[at + 4], rings[at + 5]);
        if (kind === CALL) {
          serving = true;
          const frame = new Frame(rings[at + 4], rings[at + 5], id, rings[at + 2]);
          if (body.caps === null) serve(rings[at + 3], frame, body);
          else serveKnown(rings[at + 3], frame, body);
        } else if (kind !== RETURN) {
          serving = true;
          withMessage[kind](at, kind, body);
        } else {
          const entry = takePending(id);
          let results;
          try {
            results = entry.method.readResults(body);
          } catch (error) {
            entry.reject(error);
            continue;
          }
          entry.resolve(results);
        }
      }
      if (serving) setContext(undefined);
    } catch (error) {
      rings[4] = 1;
      fault = error;
    }
  }

  // Throws what `turn` could not handle.
  let fault;
  function defect() {
    throw fault;
  }

  // A message of which some segments moved. Each takes three places of `buffers`: the buffer, and
  // the bytes in it where the segment begins and ends. Services see those after the first, which the
  // sender has sealed unless it is native.
  function openMoved(buffers, first, end, offset, length) {
    let segment0 = chunk;
    let base = offset;
    if (offset === MOVED) {
      segment0 = new message.Chunk(buffers[first]);
      base = buffers[first + 1];
      first += 3;
    }
    let segments = null;
    for (; first < end; first += 3) {
      const segment = { buffer: seal(buffers[first]), base: buffers[first + 1], end: buffers[first + 2] };
      if (segments === null) segments = [segment];
      else message.append(segments, segment);
    }
    return message.Message(segment0, base, base + length, segments);
  }

  // The host raised an error for a call of ours, or another service's handler did.
  function settleError(id, kind, name, text, service, version, stack) {
    const entry = pending[id];
    if (entry instanceof Question) closeQuestion(entry);
    else takePending(id);
    // What it was built on may have been refused, so that the host knows nothing of it.
    const { base } = entry;
    const failed = base !== undefined && base !== null && base.state === FAILED;
    entry.reject(failed ? base.failure() : new CallError(kind, name, text, service, version, stack, entry.label));
  }

