  // ---- Kept answers, seen from the callee.

  class Kept {
    constructor(frame, isWanted) {
      this.frame = frame;
      this.isWanted = isWanted;
      this.state = OPEN;
      this.method = null;
      this.value = undefined;
      this.error = undefined;
      // What waits for it, as functions.
      this.waiting = null;
      // The list of its scope's.
      this.before = null;
      this.after = null;
    }
  }
  setPrototypeOf(Kept.prototype, null);

  // By the lower half of their call's key: the first few in an array, the others in a map.
  const NEAR_ANSWERS = 1024;
  const near = setPrototypeOf([], null);
  const far = new Map();

  function keep(frame, isWanted) {
    const kept = new Kept(frame, isWanted);
    const { callLow } = frame;
    if (callLow >= 0 && callLow < NEAR_ANSWERS) {
      while (near.length < callLow) near[near.length] = null;
      near[callLow] = kept;
    } else {
      mapSet(far, callLow, kept);
    }
    const scope = scopeOf(frame.rootLow, frame.rootHigh);
    kept.after = scope.answers;
    if (kept.after !== null) kept.after.before = kept;
    scope.answers = kept;
    return kept;
  }

  // The answer of the call that has this lower half of a key now.
  function keptFor(low) {
    if (low < 0 || low >= NEAR_ANSWERS) return mapGet(far, low) ?? null;
    return low < near.length ? near[low] : null;
  }

  function keptAt(low, high) {
    const kept = keptFor(low);
    return kept !== null && kept.frame.callHigh === high ? kept : null;
  }

  function unlistKept(kept) {
    const { callLow } = kept.frame;
    if (callLow < 0 || callLow >= NEAR_ANSWERS) mapDelete(far, callLow);
    else if (near[callLow] === kept) near[callLow] = null;
  }

  // The scope is over.
  function forgetAnswers(scope) {
    for (let kept = scope.answers; kept !== null; kept = kept.after) {
      unlistKept(kept);
      giveUp(kept);
    }
    scope.answers = null;
  }

  function waitFor(kept, run) {
    if (kept.waiting === null) kept.waiting = setPrototypeOf([], null);
    kept.waiting[kept.waiting.length] = run;
  }

  function conclude(kept, state) {
    kept.state = state;
    const { waiting } = kept;
    kept.waiting = null;
    if (waiting === null) return;
    const before = getContext();
    for (let i = 0; i < waiting.length; i++) waiting[i]();
    setContext(before);
  }

  // Its caller will not ask for it again. What is built on it already goes on.
  function giveUp(kept) {
    if (kept.state !== OPEN || kept.waiting !== null) return;
    abortFrame(kept.frame);
    kept.error = new CallError('cancelled', '', 'the results that it was called on were given up', '', '', '', '');
    conclude(kept, GIVEN_UP);
  }

  // Where the TO record before this call said that it goes.
  let toKind = 0, toLow = 0, toHigh = 0, toPath = 0, toFlags = 0, toInterfaceLow = 0, toInterfaceHigh = 0;

  const frameAt = (at) => new Frame(rings[at + 4], rings[at + 5], rings[at + 1], rings[at + 2]);

  withMessage[CALL_TO] = function serveTo(at, kind, body) {
    const word = rings[at + 3];
    const frame = frameAt(at);
    const kept = (toFlags & KEEP) === 0 ? null : keep(frame, (toFlags & WANTED) !== 0);
    const method = new Named(toInterfaceLow, toInterfaceHigh, word & 0xffff);
    const address = new Address(toKind, toLow, toHigh, toPath, word, method);
    if (body.caps === null) deliver(address, frame, body, kept);
    else serveToKnown(address, frame, body, kept);
  };

  // A call of a method of an export's own, whose answer is kept.
  function serveAsk(at, kind, body) {
    const target = rings[at + 3];
    const frame = frameAt(at);
    const kept = keep(frame, kind === ASK_WANTED);
    if (body.caps === null) runOwn(target, frame, body, kept);
    else serveAskKnown(target, frame, body, kept);
  }
  withMessage[ASK] = withMessage[ASK_WANTED] = serveAsk;

  function serveAskKnown(target, frame, body, kept) {
    whenKnown(body.caps, () => runOwn(target, frame, body, kept));
  }

  function runOwn(target, frame, body, kept) {
    const entry = served[target >>> 16];
    const method = entry === undefined ? undefined : entry.methods[target & 0xffff];
    if (method === undefined) {
      return decline(frame, 'unimplemented', `it has no method number ${target & 0xffff}`, kept);
    }
    run(entry.instance, method, frame, body, kept, null);
  }

  function serveToKnown(address, frame, body, kept) {
    whenKnown(body.caps, () => deliver(address, frame, body, kept));
  }

  // The message of every call without arguments: a root that is null.
  const noArguments = message.Message(new message.Chunk(new ArrayBuffer(8)), 0, 8, null);

  // A call without arguments of what a pointer of a kept answer leads to.
  function serveThen(at) {
    const word = rings[at + 3];
    const flags = word >>> THEN_FLAGS;
    const frame = frameAt(at);
    const kept = (flags & KEEP) === 0 ? null : keep(frame, (flags & WANTED) !== 0);
    const path = extend(0, (word >>> THEN_POINTER) & 0xff);
    const from = keptFor(rings[at + 6]);
    if (from === null) return declineGone(frame, kept);
    const method = new Named(rings[at + 7], rings[at + 8], word & 0xffff);
    if (from.state === OPEN) deliverLater(from, path, method, frame, noArguments, kept);
    else deliverPart(from, path, method, frame, noArguments, kept);
  }

  // How a method is named on the wire.
  class Named {
    constructor(interfaceLow, interfaceHigh, ordinal) {
      this.interfaceLow = interfaceLow;
      this.interfaceHigh = interfaceHigh;
      this.ordinal = ordinal;
    }
  }
  setPrototypeOf(Named.prototype, null);

  class Address {
    constructor(kind, low, high, path, word, method) {
      this.kind = kind;
      this.low = low;
      this.high = high;
      this.path = path;
      this.word = word;
      this.method = method;
    }
  }
  setPrototypeOf(Address.prototype, null);

  function serveKnown(word, frame, body) {
    whenKnown(body.caps, () => serve(word, frame, body));
  }

  // Runs `run` once each capability that is part of an answer kept here is known.
  function whenKnown(caps, run) {
    for (let i = 0; i < caps.length; i++) {
      const entry = caps[i];
      if (!(entry instanceof Promised)) continue;
      const { scope } = entry;
      const kept = keptAt(entry.low, entry.high);
      if (kept !== null && kept.state === OPEN) return waitFor(kept, () => whenKnown(caps, run));
      let found = null;
      let error = kept === null ? undefined : kept.error;
      try {
        if (kept !== null && kept.state === THERE) found = follow(kept, entry.path).value;
      } catch (thrown) {
        error = thrown;
      }
      if (found !== null) {
        caps[i] = new Here(found);
        continue;
      }
      const broken = caps[i] = new Import(scope, -1, 1);
      if (error !== undefined) broken.flow = { error };
    }
    run();
  }

  function deliver(address, frame, body, kept) {
    let object;
    let face;
    let entry = null;
    if (address.kind === TO_OBJECT) {
      entry = exportAt(address.low);
      if (entry === undefined) return decline(frame, 'disconnected', 'the capability is no longer served', kept);
      ({ object, face } = entry);
    } else if (address.kind === TO_ANSWER) {
      const from = keptAt(address.low, address.high);
      if (from === null) return declineGone(frame, kept);
      const { path, method } = address;
      if (from.state === OPEN) return deliverLater(from, path, method, frame, body, kept);
      return deliverPart(from, path, method, frame, body, kept);
    } else {
      const from = served[address.word >>> 16];
      if (from !== undefined) ({ instance: object, face } = from);
    }
    invoke(object, face, entry, address.method, frame, body, kept);
  }

  function deliverLater(from, path, method, frame, body, kept) {
    waitFor(from, () => deliverPart(from, path, method, frame, body, kept));
  }

  // A call of what a path leads to in an answer that is there, or failed.
  function deliverPart(from, path, method, frame, body, kept) {
    if (from.state !== THERE) return fail(frame, from.error, kept);
    let entry = null;
    let object;
    let face;
    try {
      const route = routeOf(from.method, path);
      if (route === null) {
        ({ value: object, face } = followEncoded(from, path));
      } else {
        object = take(route, from.value);
        face = route.face;
      }
      if (face !== null && object !== null && isExported(object, face)) {
        entry = exportOf(scopeOf(frame.rootLow, frame.rootHigh), object, face);
        object = entry.object;
      }
    } catch (error) {
      return fail(frame, error, kept);
    }
    invoke(object, face, entry, method, frame, body, kept);
  }

  // Whether calls of an object go through its export: they may have to wait for one another, or to
  // be served by what was made for it.
  function isExported(object, face) {
    const info = infoOf(face);
    return info.streams || (info.isAdapted && isAdaptable(object, face));
  }

  function invoke(object, face, entry, called, frame, body, kept) {
    const method = face === undefined || face === null ? undefined : methodOf(face, called);
    if (method === undefined) {
      return decline(frame, 'unimplemented', `it has no method number ${called.ordinal} of that interface`, kept);
    }
    if (object === null || object === undefined) {
      return decline(frame, 'failed', 'the results that it was called on have no capability there', kept);
    }
    if (entry !== null && entry.waiting !== null) queueUp(object, method, frame, body, kept, entry);
    else run(object, method, frame, body, kept, entry);
  }

  function queueUp(object, method, frame, body, kept, entry) {
    entry.waiting[entry.waiting.length] = () => run(object, method, frame, body, kept, entry);
  }

  function methodOf(face, { interfaceLow, interfaceHigh, ordinal }) {
    const { methods } = face;
    for (let i = 0; i < methods.length; i++) {
      const method = methods[i];
      if (method.ordinal === ordinal && method.interfaceLow === interfaceLow &&
          method.interfaceHigh === interfaceHigh) return method;
    }
    return undefined;
  }

  function run(object, method, frame, body, kept, entry) {
    setContext(frame);
    let result;
    let value = PENDING;
    try {
      result = method.invoke(object, method.readParams(body), new Context(frame));
      value = typeof result !== 'object' || result === null ? result : settledValue(result);
    } catch (error) {
      return fail(frame, error, kept);
    }
    if (value !== PENDING) return done(frame, method, value, kept);
    const isFirst = method.streaming && entry !== null;
    if (isFirst) entry.waiting = setPrototypeOf([], null);
    settleTo(frame, method, result, kept, isFirst ? entry : null);
  }

  async function settleTo(frame, method, promise, kept, entry) {
    let value;
    try {
      value = await promise;
    } catch (error) {
      fail(frame, error, kept);
      value = PENDING;
    }
    if (value !== PENDING) done(frame, method, value, kept);
    if (entry !== null) goOn(entry);
  }

  // A streaming method of the object has ended: what waited may run, up to the next that takes time.
  function goOn(entry) {
    const { waiting } = entry;
    entry.waiting = null;
    const before = getContext();
    let i = 0;
    while (i < waiting.length && entry.waiting === null) waiting[i++]();
    for (; i < waiting.length; i++) entry.waiting[entry.waiting.length] = waiting[i];
    setContext(before);
  }

  function done(frame, method, value, kept) {
    if (kept === null) return reply(frame, method, value);
    kept.method = method;
    kept.value = value;
    if (kept.isWanted) reply(frame, method, value);
    conclude(kept, THERE);
  }

  const declineGone = (frame, kept) =>
    decline(frame, 'disconnected', 'the results that it was called on were given up', kept);

  // Fails a call for a reason of the glue's own.
  function decline(frame, kind, text, kept) {
    host.fail(frame.callLow, frame.callHigh, kind, '', text, '', '', '');
    if (kept === null || kept === undefined) return;
    kept.error = new CallError(kind, '', text, '', '', '', moduleName);
    conclude(kept, FAILED);
  }

  // The getters that lead along a path in a method's results, and the interface there; null if this
  // schema knows no such path outside of unions.
  function routeAlong(fields, steps, at) {
    const names = keys(fields);
    for (let i = 0; i < names.length; i++) {
      const { pointer, face, fields: inner, get } = fields[names[i]];
      let rest = null;
      if (pointer < 0) {
        rest = routeAlong(inner, steps, at);
      } else if (pointer === steps[at]) {
        const isLast = at === steps.length - 1;
        if (isLast && face !== null) rest = { face, getters: setPrototypeOf([], null) };
        else if (!isLast && inner !== null) rest = routeAlong(inner, steps, at + 1);
      }
      if (rest !== null) {
        const all = setPrototypeOf([get], null);
        for (let k = 0; k < rest.getters.length; k++) all[k + 1] = rest.getters[k];
        return { face: rest.face, getters: all };
      }
    }
    return null;
  }

  // What is at a route's end in the value that a method returned.
  function take({ getters }, value) {
    for (let i = 0; i < getters.length && value !== undefined && value !== null; i++) {
      const get = getters[i];
      value = get(value);
    }
    return value ?? null;
  }

  function routeOf(method, path) {
    const info = methodInfoOf(method);
    if (info.path === path) return info.route;
    let route = mapGet(info.routes, path);
    if (route === undefined) {
      route = method.pipeline === null ? null : routeAlong(method.pipeline, unpack(path), 0);
      mapSet(info.routes, path, route);
    }
    info.path = path;
    return info.route = route;
  }

  // What is at a path of an answer that is there, and as which interface.
  function follow(kept, path) {
    const route = routeOf(kept.method, path);
    if (route === null) return followEncoded(kept, path);
    return { value: take(route, kept.value), face: route.face };
  }

  // The same along a path that this schema does not know: in the results as a message.
  function followEncoded({ method, value }, path) {
    const b = privateBuilder();
    b.begin(0);
    method.encodeResults(b, value === undefined ? EMPTY : value);
    const body = message.Message(new message.Chunk(b.buffer), 0, b.end(), b.blobs);
    const index = message.capabilityIndex(body, unpack(path));
    if (index < 0 || b.caps === null) return { value: null, face: null };
    return b.caps[index];
  }

  // ---- Records that carry no message.

  // A record before a message that says how one of its capabilities travels.
  class Passage {
    constructor(target, low, high, path) {
      this.target = target;
      this.low = low;
      this.high = high;
      this.path = path;
    }
  }
  setPrototypeOf(Passage.prototype, null);

  function control(at, kind) {
    const low = rings[at + 1];
    const high = rings[at + 2];
    const target = rings[at + 3];
    const rootLow = rings[at + 4];
    const rootHigh = rings[at + 5];
    if (kind === TO) {
      toKind = target;
      toLow = low;
      toHigh = high;
      toInterfaceLow = rootLow;
      toInterfaceHigh = rootHigh;
      toPath = rings[at + 6];
      toFlags = rings[at + 7];
    } else if (kind === CAPABILITY) {
      if (passed === null) passed = setPrototypeOf([], null);
      passed[passed.length] = new Passage(target, low, high, rings[at + 6]);
    } else if (kind === PULL) {
      pulled(low, high);
    } else if (kind === FINISH) {
      // For a caller its index, for a callee the call's key.
      if (target === 0) finished(low, rootLow, rootHigh);
      else finishKept(low, high);
    } else if (kind === DROP) {
      dropped(low, target);
    } else if (kind === CANCEL) {
      cancelled(low, high);
    } else if (kind === ENDED) {
      ended(rootLow, rootHigh);
    }
  }

  for (let kind = CHUNK + 1; kind < THEN; kind++) bare[kind] = control;
  bare[THEN] = serveThen;

  function pulled(low, high) {
    const kept = keptAt(low, high);
    if (kept === null || kept.isWanted) return;
    kept.isWanted = true;
    if (kept.state === THERE) reply(kept.frame, kept.method, kept.value);
  }

  function finished(id, rootLow, rootHigh) {
    const question = pending[id];
    if (!(question instanceof Question)) return;
    const { frame } = question;
    if (unmarked(frame.rootLow) !== unmarked(rootLow) || frame.rootHigh !== rootHigh) return;
    closeQuestion(question);
    question.finished();
  }

  function finishKept(low, high) {
    const kept = keptAt(low, high);
    if (kept === null) return;
    unlistKept(kept);
    if (kept.after !== null) kept.after.before = kept.before;
    if (kept.before !== null) {
      kept.before.after = kept.after;
    } else {
      const scope = knownScope(unmarked(kept.frame.rootLow), kept.frame.rootHigh);
      if (scope !== undefined && scope.answers === kept) scope.answers = kept.after;
    }
    giveUp(kept);
  }

  // ---- Cancellation.

  // Frames whose handler has looked at its signal, by the lower half of their call's key.
  const signalled = new Map();
  let signals = 0;

  function signalOf(frame) {
    if (frame.controller === null) {
      frame.controller = new internals.AbortController();
      // A request itself, as opposed to a call, is not named by a key.
      if (frame.callHigh === 0) return frame.controller.signal;
      mapSet(signalled, frame.callLow, frame);
      signals++;
    }
    return frame.controller.signal;
  }

  function dropSignal(frame) {
    if (mapGet(signalled, frame.callLow) === frame) {
      mapDelete(signalled, frame.callLow);
      signals--;
    }
  }

  function cancelled(low, high) {
    const frame = mapGet(signalled, low);
    if (frame !== undefined && frame.callHigh === high) abortFrame(frame);
  }

  function abortFrame(frame) {
    if (frame.controller === null) return;
    dropSignal(frame);
    const before = getContext();
    setContext(frame);
    frame.controller.abort(new internals.DOMException('nobody waits for this call any more', 'AbortError'));
    setContext(before);
  }
