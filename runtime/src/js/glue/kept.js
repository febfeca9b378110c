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
    }
  }
  setPrototypeOf(Kept.prototype, null);

  function keptAt(low, high, rootLow, rootHigh) {
    const own = knownScope(rootLow, rootHigh);
    const near = own === undefined ? undefined : mapGet(own.answers, low);
    if (near !== undefined && near.frame.callHigh === high) return near;
    // A call in the name of another request than the answer's.
    let found;
    mapForEach(scopes, (scope) => {
      const kept = mapGet(scope.answers, low);
      if (kept !== undefined && kept.frame.callHigh === high) found = kept;
    });
    return found;
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

  function serveTo(word, frame, body) {
    const address = new Address(toKind, toLow, toHigh, toPath, toInterfaceLow, toInterfaceHigh, word);
    let kept = null;
    if ((toFlags & KEEP) !== 0) {
      kept = new Kept(frame, (toFlags & WANTED) !== 0);
      mapSet(scopeOf(frame.rootLow, frame.rootHigh).answers, frame.callLow, kept);
    }
    if (body.caps === null) deliver(address, frame, body, kept);
    else whenKnown(body.caps, () => deliver(address, frame, body, kept));
  }

  class Address {
    constructor(kind, low, high, path, interfaceLow, interfaceHigh, word) {
      this.kind = kind;
      this.low = low;
      this.high = high;
      this.path = path;
      this.interfaceLow = interfaceLow;
      this.interfaceHigh = interfaceHigh;
      this.word = word;
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
      const kept = keptAt(entry.low, entry.high, scope.rootLow, scope.rootHigh);
      if (kept !== undefined && kept.state === OPEN) return waitFor(kept, () => whenKnown(caps, run));
      let found = null;
      let error = kept === undefined ? undefined : kept.error;
      try {
        if (kept !== undefined && kept.state === THERE) found = follow(kept, entry.path).value;
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
      const from = keptAt(address.low, address.high, frame.rootLow, frame.rootHigh);
      if (from === undefined) {
        return decline(frame, 'disconnected', 'the results that it was called on were given up', kept);
      }
      if (from.state === OPEN) waitFor(from, () => deliverPart(from, address, frame, body, kept));
      else deliverPart(from, address, frame, body, kept);
      return;
    } else {
      const from = served[address.word >>> 16];
      if (from !== undefined) ({ instance: object, face } = from);
    }
    invoke(object, face, entry, address, frame, body, kept);
  }

  // A call of what a path leads to in an answer that is there, or failed.
  function deliverPart(from, address, frame, body, kept) {
    if (from.state !== THERE) return fail(frame, from.error, kept);
    let entry = null;
    let object;
    let face;
    try {
      ({ value: object, face } = follow(from, address.path));
      if (face !== null && object !== null && (infoOf(face).streams || isAdaptable(object, face))) {
        entry = exportOf(scopeOf(frame.rootLow, frame.rootHigh), object, face);
        object = entry.object;
      }
    } catch (error) {
      return fail(frame, error, kept);
    }
    invoke(object, face, entry, address, frame, body, kept);
  }

  function invoke(object, face, entry, address, frame, body, kept) {
    const method = face === undefined || face === null ? undefined : methodOf(face, address);
    if (method === undefined) {
      return decline(frame, 'unimplemented', `it has no method number ${address.word & 0xffff} of that interface`, kept);
    }
    if (object === null || object === undefined) {
      return decline(frame, 'failed', 'the results that it was called on have no capability there', kept);
    }
    if (entry !== null && entry.waiting !== null) {
      entry.waiting[entry.waiting.length] = () => run(object, method, frame, body, kept, entry);
    } else {
      run(object, method, frame, body, kept, entry);
    }
  }

  function methodOf(face, { interfaceLow, interfaceHigh, word }) {
    const { methods } = face;
    const ordinal = word & 0xffff;
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
      if (typeof result !== 'object' || result === null) {
        value = result;
      } else {
        value = host.fulfilled(result, PENDING);
        if (value === PENDING && typeof result.then !== 'function') value = result;
      }
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
    else postBare(KEPT, frame.callLow, frame.callHigh, 0, frame.rootLow, frame.rootHigh, 0, 0);
    conclude(kept, THERE);
  }

  // Fails a call for a reason of the glue's own.
  function decline(frame, kind, text, kept) {
    host.fail(frame.callLow, frame.callHigh, kind, '', text, '', '', '');
    if (kept === null || kept === undefined) return;
    kept.error = new CallError(kind, '', text, '', '', '', moduleName);
    conclude(kept, FAILED);
  }

  // The names of the fields that lead along a path in a method's results, and the interface there;
  // null if this schema names no such path outside of unions.
  function namesOf(fields, steps, at) {
    const names = keys(fields);
    for (let i = 0; i < names.length; i++) {
      const { pointer, face, fields: inner } = fields[names[i]];
      let rest = null;
      if (pointer < 0) {
        rest = namesOf(inner, steps, at);
      } else if (pointer === steps[at]) {
        const isLast = at === steps.length - 1;
        if (isLast && face !== null) rest = { face, names: setPrototypeOf([], null) };
        else if (!isLast && inner !== null) rest = namesOf(inner, steps, at + 1);
      }
      if (rest !== null) {
        const all = setPrototypeOf([names[i]], null);
        for (let k = 0; k < rest.names.length; k++) all[k + 1] = rest.names[k];
        return { face: rest.face, names: all };
      }
    }
    return null;
  }

  // By method, then by path.
  const routes = new Map();
  function routeOf(method, path) {
    let known = mapGet(routes, method);
    if (known === undefined) mapSet(routes, method, known = new Map());
    let route = mapGet(known, path);
    if (route === undefined) {
      route = method.pipeline === null ? null : namesOf(method.pipeline, unpack(path), 0);
      mapSet(known, path, route);
    }
    return route;
  }

  // What is at a path of an answer that is there, and as which interface.
  function follow(kept, path) {
    const { method } = kept;
    const route = routeOf(method, path);
    if (route !== null) {
      let { value } = kept;
      for (let i = 0; i < route.names.length && value !== undefined && value !== null; i++) {
        value = value[route.names[i]];
      }
      return { value: value ?? null, face: route.face };
    }
    const b = privateBuilder();
    b.begin(0);
    method.encodeResults(b, kept.value === undefined ? EMPTY : kept.value);
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

  function control(kind, at) {
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
      pulled(low, high, rootLow, rootHigh);
    } else if (kind === FINISH) {
      // For a caller its index, for a callee the call's key.
      if (target === 0) finished(low);
      else finishKept(low, high, rootLow, rootHigh);
    } else if (kind === DROP) {
      dropped(low, target);
    } else if (kind === CANCEL) {
      cancelled(low, high);
    } else if (kind === ENDED) {
      ended(rootLow, rootHigh);
    }
  }

  function pulled(low, high, rootLow, rootHigh) {
    const kept = keptAt(low, high, rootLow, rootHigh);
    if (kept === undefined || kept.isWanted) return;
    kept.isWanted = true;
    if (kept.state === THERE) reply(kept.frame, kept.method, kept.value);
  }

  function finished(id) {
    const question = pending[id];
    if (!(question instanceof Question)) return;
    takePending(id);
    question.finished();
  }

  function finishKept(low, high, rootLow, rootHigh) {
    const scope = knownScope(rootLow, rootHigh);
    const kept = scope === undefined ? undefined : mapGet(scope.answers, low);
    if (kept === undefined || kept.frame.callHigh !== high) return;
    mapDelete(scope.answers, low);
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
