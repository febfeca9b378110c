  // ---- Calls of what is not an import's own plain method: capabilities, inherited methods, and
  // results that are not there yet.

  // The question that a call is built on, or null.
  const baseOf = (target) => (target.to === TO_ANSWER ? target.owner : null);

  // A call that goes to a TO record's target; its results have no capabilities.
  class Addressed extends Pending {
    constructor(method, label, target) {
      super(method, label);
      this.to = target.to;
      this.low = target.low;
      this.high = target.high;
      this.path = target.path;
      this.base = baseOf(target);
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
      this.base = baseOf(target);
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
      // Results that somebody awaits still come, and end it then.
      if (this.promise === null) this.forget();
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
