  // ---- Calls of what is not an import's own plain method: capabilities, inherited methods, and
  // results that are not there yet.

  // The question that a call is built on, or null.
  const baseOf = (target) => (target.to === TO_ANSWER ? target.owner : null);

  // A call of something else than an import's own method; its results have no capabilities.
  class Addressed {
    constructor(method, label, base) {
      this.resolve = noop;
      this.reject = noop;
      this.method = method;
      this.label = label;
      this.base = base;
    }
  }
  setPrototypeOf(Addressed.prototype, null);

  // Says where the call whose record is next goes. Of a question, somebody may build on the answer.
  function postTo(to, entry) {
    const { method } = entry;
    const flags = entry instanceof Question ? KEEP : 0;
    const at = post(TO, to.low, to.high, to.to, method.interfaceLow, method.interfaceHigh,
      to.path, flags, 0);
    if (flags !== 0) entry.at = at;
  }

  // Calls a method of any kind.
  function callOn(target, method, label, params, options) {
    if (method.streaming) return stream(target, method, label, params, options);
    if (target.local !== undefined) return callLocal(target.local, method, label, params);
    if (method.pipeline === null) return callTo(target, method, label, params, options);
    return answerTo(pose(target, method, label, params, options));
  }

  // Why a call cannot even be made, or null.
  function obstacle(target, frame, label) {
    if (target.isGone) return new CallError('revoked', '', 'this stub was disposed of', '', '', '', label);
    if (frame === undefined) return noRequest(label);
    const flow = flowOf(target, frame, false);
    return flow !== null && flow.error !== null ? flow.error : null;
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
    const frame = getContext();
    const error = obstacle(target, frame, label);
    if (error !== null) return promiseReject(Promise, error);
    const entry = new Addressed(method, label, baseOf(target));
    const id = takePlace(entry);
    try {
      send(CALL_TO, id, 0, target.word | method.ordinal, frame, method.encodeParams,
        params === undefined ? EMPTY : params, target, entry);
    } catch (error) {
      takePending(id);
      return promiseReject(Promise, error);
    }
    if (options === undefined) {
      const came = dispatch(id);
      if (came !== undefined) return resultsAtOnce(id, method, came);
    }
    const promise = heardBy(entry);
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
      if (pending[id] === entry) post(CANCEL, id, 0, 0, 0, 0, 0, 0, 0);
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
    constructor(method, label, base) {
      this.method = method;
      this.label = label;
      this.base = base;
      // Where its ASK, TO or THEN record lies in the ring, until that is taken.
      this.at = 0;
      this.id = -1;
      this.frame = undefined;
      this.state = OPEN;
      this.flow = null;
      // Somebody has built on it.
      this.isUsed = false;
      // The host knows that the results are wanted, and will say what becomes of them.
      this.isWanted = false;
      // The collector is to say when nobody can look at it any more.
      this.isWatched = false;
      this.body = null;
      this.results = undefined;
      this.error = undefined;
      this.promise = null;
      this.settle = null;
      this.settleWrong = null;
      // The list of its scope's that are open.
      this.before = null;
      this.after = null;
    }

    // The results, as a promise: now they are wanted.
    wanted() {
      if (this.promise === null && this.state === OPEN) this.want();
      // To refuse results that have come is to ask for them.
      if (this.promise !== null) return this.promise;
      if (this.state === THERE) return this.promise = promiseResolve(Promise, this.results);
      this.promise = new Promise((resolve, reject) => {
        this.settle = resolve;
        this.settleWrong = reject;
      });
      if (this.state !== OPEN) this.settleWrong(this.failure());
      return this.promise;
    }

    want() {
      this.isWanted = true;
      this.sayWanted();
      const came = dispatch(this.id);
      if (came !== undefined) answered(this, bodyAtOnce(came));
    }

    sayWanted() {
      // Mostly the call has not left yet.
      const { at } = this;
      const call = at + recordWords;
      const end = outRing + rings[1] * recordWords;
      if (at === 0 || at >= end) this.pull();
      else if (rings[at] === ASK && rings[at + 1] === this.id) rings[at] = ASK_WANTED;
      else if (rings[at] === THEN && rings[at + 1] === this.id) rings[at + 3] |= WANTED << THEN_FLAGS;
      else if (rings[at] === TO && call < end && rings[call] === CALL_TO &&
        rings[call + 1] === this.id) rings[at + 7] |= WANTED;
      else this.pull();
    }

    pull() {
      post(PULL, this.id, 0, 0, this.frame.rootLow, this.frame.rootHigh, 0, 0, 0);
    }

    resolve(results) {
      this.state = THERE;
      this.results = results;
      if (this.settle !== null) this.settle(results);
    }

    reject(error) {
      if (this.id >= 0 && this.state === OPEN) post(FINISH, this.id, 0, 0, 0, 0, 0, 0, 0);
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
      post(FINISH, this.id, 0, 0, 0, 0, 0, 0, 0);
    }

    collected() {
      // Results that somebody awaits still come, and end it then.
      if (!this.isWanted) this.forget();
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
    const question = new Question(method, label, baseOf(target));
    const frame = getContext();
    const error = obstacle(target, frame, label);
    if (error !== null) return failUnsent(question, error);
    const id = question.id = takePlace(question);
    try {
      send(CALL_TO, id, 0, target.word | method.ordinal, frame, method.encodeParams,
        params === undefined ? EMPTY : params, target, question);
    } catch (error) {
      takePending(id);
      return failUnsent(question, error);
    }
    openQuestion(question, frame);
    if (options !== undefined) heed(question, options);
    return question;
  }

  // A question of an import's own method: see `pose`.
  function poseOwn(importIndex, method, label, params, options) {
    const question = new Question(method, label, null);
    const frame = getContext();
    if (frame === undefined) return answerTo(failUnsent(question, noRequest(label)));
    const id = question.id = takePlace(question);
    try {
      question.at = send(ASK, id, 0, (importIndex << 16) | method.ordinal, frame,
        method.encodeParams, params === undefined ? EMPTY : params);
    } catch (error) {
      takePending(id);
      return answerTo(failUnsent(question, error));
    }
    openQuestion(question, frame);
    if (options !== undefined) heed(question, options);
    return answerTo(question);
  }

  // Fails a question that was not sent. Nobody has to look at it.
  function failUnsent(question, error) {
    question.id = -1;
    question.isUsed = true;
    question.reject(error);
    question.isUsed = false;
    return question;
  }

  function heed(question, { signal }) {
    if (signal === undefined) return;
    const give = () => question.forget();
    if (signal.aborted) give();
    else internals.onAbort(signal, give);
  }

  function answerTo(question) {
    const { method } = question;
    const answer = (method.own.made?.make ?? makerOf(method))(question);
    if (question.isWatched) register(registry, answer, question);
    return answer;
  }

  function openQuestion(question, frame) {
    question.frame = frame;
    const scope = scopeOf(frame.rootLow, frame.rootHigh);
    question.isWatched = isWatched(scope);
    question.after = scope.questions;
    if (question.after !== null) question.after.before = question;
    scope.questions = question;
  }

  // Calls a method, without arguments, of what a pointer of an open question's results leads to.
  // That is one record and no message.
  function callThen(from, frame, pointer, method, label) {
    const question = method.pipeline === null ? null : new Question(method, label, from);
    const id = takePlace(question ?? unheard);
    const flags = question === null ? 0 : KEEP << THEN_FLAGS;
    const at = post(THEN, id, 0, method.ordinal | (pointer << THEN_POINTER) | flags, frame.rootLow,
      frame.rootHigh, from.id, method.interfaceLow, method.interfaceHigh);
    from.isUsed = true;
    if (question === null) {
      const came = dispatch(id);
      if (came !== undefined) return resultsAtOnce(id, method, came);
      return heardBy(pending[id] = new Addressed(method, label, from));
    }
    question.at = at;
    question.id = id;
    openQuestion(question, frame);
    return answerTo(question);
  }

  // Calls a method of a part of a question's results.
  function callPart(question, path, face, method, label, params, options) {
    if (params === undefined && options === undefined && (path & 0xff) === 1 &&
        question.state === OPEN && question.flow === null && !method.streaming) {
      const frame = getContext();
      if (frame !== undefined) return callThen(question, frame, (path >>> 8) & 0xff, method, label);
    }
    return callOn(questionTarget(question, path, face), method, label, params, options);
  }

  // Frees the index of a question.
  function closeQuestion(question) {
    takePending(question.id);
    if (question.after !== null) question.after.before = question.before;
    if (question.before !== null) {
      question.before.after = question.after;
    } else {
      const { rootLow, rootHigh } = question.frame;
      const scope = knownScope(rootLow, rootHigh);
      if (scope !== undefined && scope.questions === question) scope.questions = question.after;
    }
  }

  // The request is over. Of results that were asked for, the host will still say what becomes.
  function closeQuestions(scope) {
    let question = scope.questions;
    scope.questions = null;
    while (question !== null) {
      const { after } = question;
      question.before = question.after = null;
      if (!question.isWanted) {
        takePending(question.id);
        question.finished();
      }
      question = after;
    }
  }

  // The results of a question have come.
  withMessage[ANSWER] = (at, kind, body) => answered(pending[rings[at + 1]], body);

  function answered(question, body) {
    closeQuestion(question);
    post(FINISH, question.id, 0, 0, 0, 0, 0, 0, 0);
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

  // What services see of a question: a thenable, with members for the capabilities to come. The
  // generated code has a class for each method's; by its prototype, what gives an answer's question.
  const answers = new Map();
  const promiseFinally = uncurry(PromisePrototype.finally);

  function questionOf(value) {
    const of = mapGet(answers, getPrototypeOf(value));
    return of === undefined ? null : of(value);
  }

  function addThenable(prototype, of) {
    const add = (name, value) => defineProperty(prototype, name, { value });
    add('then', function then(onFulfilled, onRejected) {
      return promiseThen(of(this).wanted(), onFulfilled, onRejected);
    });
    add('catch', function (onRejected) {
      return promiseThen(of(this).wanted(), undefined, onRejected);
    });
    add('finally', function (onFinally) {
      return promiseFinally(of(this).wanted(), onFinally);
    });
    add(dispose, function () {
      of(this).forget();
    });
  }

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
      addMethods(FaceMember.prototype, face, (method, label) => function (params, options) {
        return callPart(Member.question(this), Member.path(this), face, method, label, params, options);
      });
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

  // What the runtime knows of a method besides what was generated.
  class MethodInfo {
    constructor() {
      this.make = null;
      // The routes through its results, by path, and the one that was taken last.
      this.routes = new Map();
      this.path = -1;
      this.route = null;
    }
  }
  setPrototypeOf(MethodInfo.prototype, null);
  const methodInfoOf = (method) => method.own.made ??= new MethodInfo();

  // What makes the answers of a method: set up when it is first called.
  function makerOf(method) {
    const info = methodInfoOf(method);
    const { prototype, of, make } = method.answers();
    info.make = make;
    delete prototype.constructor;
    setPrototypeOf(prototype, null);
    mapSet(answers, prototype, of);
    addThenable(prototype, of);
    addMembers(prototype, method.pipeline, 0, of);
    const { sole } = method;
    if (sole !== null && sole.pointer < 256) {
      const path = extend(0, sole.pointer);
      const { face } = sole;
      addMethods(prototype, face, (method, label) => function (params, options) {
        return callPart(of(this), path, face, method, label, params, options);
      });
      addConversions(prototype, face);
    }
    freeze(prototype);
    return make;
  }

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
    (questionOf(value)?.method.sole ?? null) !== null;

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
      question = questionOf(value);
      if (question === null) return false;
      path = extend(0, question.method.sole.pointer);
    }
    if (question.state === THERE) {
      const there = settled(question, path, known);
      if (there === null) post(CAPABILITY, -1, 1, IMPORTED, 0, 0, 0, 0, 0);
      else sendCapability(there, face, frame);
    } else if (question.state === OPEN) {
      question.isUsed = true;
      post(CAPABILITY, question.id, 0, ANSWERED, 0, 0, path, 0, 0);
    } else {
      post(CAPABILITY, -1, 1, IMPORTED, 0, 0, 0, 0, 0);
    }
    return true;
  }
