  // ---- Calls of what is not an import's own plain method: capabilities, inherited methods, and
  // results that are not there yet.

  // A call that goes to a TO record's target; its results have no capabilities.
  class Addressed extends Pending {
    constructor(method, label, target) {
      super(method, label);
      this.to = target.to;
      this.low = target.low;
      this.high = target.high;
      this.path = target.path;
      this.flags = 0;
      this.at = 0;
    }
  }
  setPrototypeOf(Addressed.prototype, null);

  function postTo(entry) {
    const { method } = entry;
    entry.at = postBare(TO, entry.low, entry.high, entry.to, method.interfaceLow,
      method.interfaceHigh, entry.path, entry.flags);
  }

  // A function that calls `method` of what `targetOf(this)` gives.
  function callerTo(method, label, targetOf) {
    if (method.streaming) {
      return function (params, options) {
        return stream(targetOf(this), method, label, params, options);
      };
    }
    if (method.pipeline !== null) {
      const Answer = answerClass(method);
      return function (params, options) {
        const target = targetOf(this);
        if (target.local !== undefined) return callLocal(target.local, method, label, params);
        return new Answer(pose(target, method, label, params, options));
      };
    }
    return function (params, options) {
      return callTo(targetOf(this), method, label, params, options);
    };
  }

  // Why a call cannot even be made, or null.
  function obstacle(target, frame, label) {
    if (target.isGone) return new CallError('revoked', '', 'this stub was disposed of', '', '', '', label);
    if (frame === undefined) return noRequest(label);
    const flow = flowOf(target, frame, false);
    return flow !== null && flow.error !== null ? flow.error : null;
  }

  function enter(entry) {
    const id = freePending;
    freePending = id < pending.length ? pending[id] : id + 1;
    pending[id] = entry;
    return id;
  }

  // What came home is called as any object is, but later, as a call is.
  async function callLocal(object, method, label, params) {
    await undefined;
    if (object === null) throw noCapability(label);
    return method.invoke(object, params === undefined ? EMPTY : params, undefined);
  }

  const noCapability = (label) => new CallError('failed', '',
    'the results that it was called on have no capability there', '', '', '', label);

  function callTo(target, method, label, params, options) {
    if (target.local !== undefined) return callLocal(target.local, method, label, params);
    const entry = new Addressed(method, label, target);
    const promise = new Promise((resolve, reject) => {
      entry.resolve = resolve;
      entry.reject = reject;
    });
    const frame = getContext();
    const error = obstacle(target, frame, label);
    if (error !== null) {
      entry.reject(error);
      return promise;
    }
    const id = enter(entry);
    try {
      send(CALL_TO, id, 0, target.word | method.ordinal, frame, method.encodeParams,
        params === undefined ? EMPTY : params, entry);
    } catch (error) {
      takePending(id).reject(error);
    }
    return options === undefined ? promise : cancellable(promise, id, entry, options);
  }

  // Lets an AbortSignal end a call early.
  function cancellable(promise, id, entry, options) {
    const { signal } = options;
    if (signal === undefined) return promise;
    if (!internals.isAbortSignal(signal)) {
      entry.reject(new TypeError('the signal of a call must be an AbortSignal'));
      return promise;
    }
    const give = () => {
      if (pending[id] === entry) postBare(CANCEL, id, 0, 0, 0, 0, 0, 0);
      entry.reject(signal.reason);
    };
    if (signal.aborted) {
      give();
      return promise;
    }
    const unlisten = internals.onAbort(signal, give);
    promiseThen(promise, unlisten, unlisten);
    return promise;
  }

  // ---- Questions: calls whose results are or hold capabilities, seen from the caller. The callee
  // keeps the answer, so that it can be called before it is there, and sends it if it is wanted.

  const OPEN = 0, THERE = 1, FAILED = 2, GIVEN_UP = 3;

  class Question {
    constructor(method, label, target) {
      this.method = method;
      this.label = label;
      this.to = target.to;
      this.low = target.low;
      this.high = target.high;
      this.path = target.path;
      this.flags = KEEP;
      this.at = 0;
      this.id = -1;
      this.frame = undefined;
      this.state = OPEN;
      this.flow = null;
      // Somebody has built on it.
      this.isUsed = false;
      this.body = null;
      this.results = undefined;
      this.error = undefined;
      this.promise = null;
      this.settle = null;
      this.settleWrong = null;
    }

    // The results, as a promise: now they are wanted.
    wanted() {
      if (this.promise !== null) return this.promise;
      this.promise = new Promise((resolve, reject) => {
        this.settle = resolve;
        this.settleWrong = reject;
      });
      if (this.state === THERE) this.settle(this.results);
      else if (this.state !== OPEN) this.settleWrong(this.failure());
      else this.want();
      return this.promise;
    }

    want() {
      const at = this.at;
      const call = at + recordWords;
      const isHere = at !== 0 && call - outRing < rings[1] * recordWords && rings[at] === TO &&
        rings[call] === CALL_TO && rings[call + 1] === this.id;
      // Mostly the call has not left yet.
      if (isHere) rings[at + 7] |= WANTED;
      else postBare(PULL, this.id, 0, 0, 0, 0, 0, 0);
    }

    resolve(results) {
      this.state = THERE;
      this.results = results;
      if (this.settle !== null) this.settle(results);
    }

    reject(error) {
      if (this.id >= 0 && this.state === OPEN) postBare(FINISH, this.id, 0, 0, 0, 0, 0, 0);
      this.state = FAILED;
      this.error = error;
      // Nobody has asked for it or built on it: let it be reported.
      if (this.promise === null && !this.isUsed) this.wanted();
      else if (this.promise !== null) this.settleWrong(error);
    }

    // The caller wants nothing of it any more. The host says when the index is free again.
    forget() {
      if (this.state !== OPEN) return;
      this.state = GIVEN_UP;
      if (this.promise !== null) this.settleWrong(this.failure());
      postBare(FINISH, this.id, 0, 0, 0, 0, 0, 0);
    }

    collected() {
      this.forget();
    }

    // The host keeps it no longer.
    finished() {
      if (this.state !== OPEN) return;
      this.state = FAILED;
      if (this.promise !== null) this.settleWrong(this.failure());
    }

    // Why there are no results. Made when asked for: most questions are just forgotten.
    failure() {
      if (this.error === undefined) {
        this.error = this.state === GIVEN_UP
          ? new CallError('cancelled', '', 'its results were disposed of', '', '', '', this.label)
          : new CallError('requestEnded', '', 'the request that it belongs to has ended', '', '', '', this.label);
      }
      return this.error;
    }
  }
  setPrototypeOf(Question.prototype, null);

  function pose(target, method, label, params, options) {
    const question = new Question(method, label, target);
    const frame = getContext();
    const error = obstacle(target, frame, label);
    if (error !== null) {
      question.isUsed = true;
      question.reject(error);
      question.isUsed = false;
      return question;
    }
    const id = question.id = enter(question);
    try {
      send(CALL_TO, id, 0, target.word | method.ordinal, frame, method.encodeParams,
        params === undefined ? EMPTY : params, question);
    } catch (error) {
      takePending(id);
      question.id = -1;
      question.isUsed = true;
      question.reject(error);
      question.isUsed = false;
      return question;
    }
    question.frame = frame;
    if (options !== undefined && options.signal !== undefined) {
      const give = () => question.forget();
      if (options.signal.aborted) give();
      else internals.onAbort(options.signal, give);
    }
    return question;
  }

  // The results of a question have come.
  function answered(id, body) {
    const question = takePending(id);
    postBare(FINISH, id, 0, 0, 0, 0, 0, 0);
    if (question.state !== OPEN) return;
    let results;
    try {
      results = question.method.readResults(body);
    } catch (error) {
      question.id = -1;
      question.reject(error);
      return;
    }
    question.body = body;
    question.resolve(results);
  }

  // What services see of a question: a thenable, with members for the capabilities to come.
  class Answer {
    #question;
    constructor(question) {
      this.#question = question;
      const { frame } = question;
      if (frame !== undefined && isWatched(scopeOf(frame.rootLow, frame.rootHigh))) {
        register(registry, this, question);
      }
    }
    then(onFulfilled, onRejected) {
      return promiseThen(this.#question.wanted(), onFulfilled, onRejected);
    }
    catch(onRejected) {
      return promiseThen(this.#question.wanted(), undefined, onRejected);
    }
    finally(onFinally) {
      return promiseFinally(this.#question.wanted(), onFinally);
    }
    [dispose]() {
      this.#question.forget();
    }
    static of(value) {
      return #question in value ? value.#question : null;
    }
  }
  hide(Answer);
  const promiseFinally = uncurry(PromisePrototype.finally);

  // A capability in results that may not be there yet.
  class Member {
    #question; #path; #face;
    constructor(question, path, face) {
      this.#question = question;
      this.#path = path;
      this.#face = face;
    }
    then(onFulfilled, onRejected) {
      const question = this.#question;
      const found = promiseThen(question.wanted(), () => settled(question, this.#path, this.#face));
      return promiseThen(found, onFulfilled, onRejected);
    }
    catch(onRejected) {
      return this.then(undefined, onRejected);
    }
    static is(value) {
      return #question in value;
    }
    static question(member) {
      return member.#question;
    }
    static path(member) {
      return member.#path;
    }
    static face(member) {
      return member.#face;
    }
  }
  hide(Member);

  function makeMember(question, path, face) {
    const info = infoOf(face);
    if (info.Member === null) {
      const FaceMember = class extends Member {};
      delete FaceMember.prototype.constructor;
      addMethods(FaceMember.prototype, face,
        (member) => questionTarget(Member.question(member), Member.path(member), face));
      addConversions(FaceMember.prototype, face);
      freeze(FaceMember.prototype);
      info.Member = FaceMember;
    }
    return new info.Member(question, path, face);
  }

  // A path of at most three pointers, each below 256, packed; -1 if it cannot be.
  function extend(path, pointer) {
    const length = path & 0xff;
    if (length === 3 || pointer > 255) return -1;
    return (path & ~0xff) | (pointer << (8 * (length + 1))) | (length + 1);
  }

  function unpack(path) {
    const all = setPrototypeOf([], null);
    for (let i = 0; i < (path & 0xff); i++) all[i] = (path >>> (8 * (i + 1))) & 0xff;
    return all;
  }

  // Puts a getter for each field that is or holds a capability onto `prototype`.
  function addMembers(prototype, fields, path, questionOf) {
    const names = keys(fields);
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      const { pointer, face, fields: inner } = fields[name];
      const next = pointer < 0 ? path : extend(path, pointer);
      if (next < 0 || name in prototype || (path & 0xff) >= 3) continue;
      let get;
      if (face !== null) {
        get = function () { return makeMember(questionOf(this), next, face); };
      } else {
        get = function () {
          const part = create(null);
          const question = questionOf(this);
          addMembers(part, inner, next, () => question);
          return part;
        };
      }
      defineProperty(prototype, name, { enumerable: true, get });
    }
  }

  // The class of the answers of a method: made when it is first called.
  const answerClasses = new Map();
  function answerClass(method) {
    const known = mapGet(answerClasses, method);
    if (known !== undefined) return known;
    const MethodAnswer = class extends Answer {};
    const { prototype } = MethodAnswer;
    delete prototype.constructor;
    mapSet(answerClasses, method, MethodAnswer);
    addMembers(prototype, method.pipeline, 0, (answer) => Answer.of(answer));
    const { sole } = method;
    if (sole !== null && sole.pointer < 256) {
      const path = extend(0, sole.pointer);
      lazyMethods(prototype, sole.face, (answer) => questionTarget(Answer.of(answer), path, sole.face));
      addConversions(prototype, sole.face);
    }
    freeze(prototype);
    return MethodAnswer;
  }

  // Like `addMethods`, for interfaces that may lead back to themselves.
  function lazyMethods(prototype, face, of) {
    for (let i = 0; i < face.methods.length; i++) {
      const method = face.methods[i];
      if (method.name in prototype) continue;
      let caller = null;
      const value = function (params, options) {
        caller ??= callerTo(method, `${face.name}.${method.name}`, of);
        return call2(caller, this, params, options);
      };
      defineProperty(prototype, method.name, { enumerable: true, value: named(method.name, value) });
    }
  }
  const call2 = uncurry(Function.prototype.call);

  // Where a call of a part of a question's results goes.
  function questionTarget(question, path, face) {
    if (question.state === THERE) {
      const value = settled(question, path, face);
      const entry = value === null ? null : Stub.of(value);
      return entry ?? new Target(0, 0, 0, 0, question, value);
    }
    question.isUsed = true;
    const target = new Target(TO_ANSWER, question.id, path, 0, question, undefined);
    // Failed or given up: so does what is built on it.
    if (question.state !== OPEN) target.owner = { flow: { error: question.failure() } };
    return target;
  }

  // The capability at `path` of results that are there.
  function settled(question, path, face) {
    const index = message.capabilityIndex(question.body, unpack(path));
    return index < 0 ? null : capability(question.body, index, face);
  }

  // ---- What is not there yet, passed on as a capability.

  const isPipelined = (value) => Member.is(value) ||
    (Answer.of(value) !== null && Answer.of(value).method.sole !== null);

  // Leaves the record for a part of a question's results; false if `value` is not one.
  function sendPipelined(value, face, frame) {
    let question;
    let path;
    let known = face;
    if (Member.is(value)) {
      question = Member.question(value);
      path = Member.path(value);
      known = Member.face(value);
    } else {
      question = Answer.of(value);
      if (question === null) return false;
      path = extend(0, question.method.sole.pointer);
    }
    if (question.state === THERE) {
      const there = settled(question, path, known);
      if (there === null) postBare(CAPABILITY, -1, 1, IMPORTED, 0, 0, 0, 0);
      else sendCapability(there, face, frame);
    } else if (question.state === OPEN) {
      question.isUsed = true;
      postBare(CAPABILITY, question.id, 0, ANSWERED, 0, 0, path, 0);
    } else {
      postBare(CAPABILITY, -1, 1, IMPORTED, 0, 0, 0, 0);
    }
    return true;
  }

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
