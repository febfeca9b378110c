  // ---- Capabilities: objects that travel, and the stubs that stand for them elsewhere.

  const TO = 10, CAPABILITY = 11, PULL = 12, FINISH = 13, DROP = 14, REVOKE = 15, CANCEL = 16;
  const ENDED = 17, THEN = 18;
  // What a CALL_TO is addressed to, and how a capability travels: see `To` and `Passed` in wire.rs.
  const TO_EXPORT = 0, TO_OBJECT = 1, TO_ANSWER = 2;
  const HERE = 0, IMPORTED = 1, ANSWERED = 2;
  // Flags of a TO or THEN record, and where the latter has them.
  const KEEP = 1, WANTED = 2;
  const THEN_FLAGS = 24, THEN_POINTER = 16;
  // What a request leaves behind here goes when the request ends. Only what comes after the first
  // few is watched, so that the collector can free it before: watching costs more than a call.
  const UNWATCHED_PER_REQUEST = 256;

  const { Map, WeakRef, FinalizationRegistry } = globalThis;
  const mapGet = uncurry(Map.prototype.get);
  const mapSet = uncurry(Map.prototype.set);
  const mapDelete = uncurry(Map.prototype.delete);
  const mapForEach = uncurry(Map.prototype.forEach);
  const deref = uncurry(WeakRef.prototype.deref);
  const promiseThen = uncurry(PromisePrototype.then);
  const promiseCatch = (promise, failed) => promiseThen(promise, undefined, failed);
  const register = uncurry(FinalizationRegistry.prototype.register);
  const { dispose } = Symbol;
  const append = message.append;
  const named = (name, value) => defineProperty(value, 'name', { value: name });
  const hide = (Class) => {
    delete Class.prototype.constructor;
    setPrototypeOf(Class.prototype, null);
    return Class;
  };

  // Calls `collected` on what was registered for an object that is gone. Made in `attach`.
  let registry;

  // What one request keeps in this isolate, until the host says that the request is over.
  class Scope {
    constructor(rootLow, rootHigh) {
      this.rootLow = rootLow;
      this.rootHigh = rootHigh;
      this.kept = 0;
      // Exported objects, by object; imports, by the lower half of their key.
      this.exports = new Map();
      this.imports = new Map();
      // The first of the answers that are kept for callers, and of the questions that are open.
      this.answers = null;
      this.questions = null;
      // Of streaming methods of imports, by their `Target`.
      this.flows = null;
    }
  }
  setPrototypeOf(Scope.prototype, null);

  const scopes = new Map();
  let lastScope = null;

  // A shadow's mark, and how deep a call is nested, are no part of the request's name.
  const unmarked = (rootLow) => rootLow & 0x007fffff;

  function scopeOf(low, rootHigh) {
    const rootLow = unmarked(low);
    if (lastScope !== null && lastScope.rootLow === rootLow && lastScope.rootHigh === rootHigh) {
      return lastScope;
    }
    let scope = mapGet(scopes, rootLow);
    if (scope === undefined || scope.rootHigh !== rootHigh) {
      const next = new Scope(rootLow, rootHigh);
      if (scope !== undefined) {
        // The upper half counts up. Code of a request that is long over keeps nothing here.
        if (((rootHigh - scope.rootHigh) | 0) < 0) return next;
        endScope(scope);
      }
      scope = next;
      mapSet(scopes, rootLow, scope);
    }
    return lastScope = scope;
  }

  // The scope of a request if there is one.
  function knownScope(low, rootHigh) {
    const rootLow = unmarked(low);
    if (lastScope !== null && lastScope.rootLow === rootLow && lastScope.rootHigh === rootHigh) {
      return lastScope;
    }
    const scope = mapGet(scopes, rootLow);
    return scope !== undefined && scope.rootHigh === rootHigh ? scope : undefined;
  }

  // The request is over: whoever holds something of it holds something broken.
  function ended(rootLow, rootHigh) {
    const scope = knownScope(rootLow, rootHigh);
    if (scope !== undefined) endScope(scope);
  }

  function endScope(scope) {
    mapDelete(scopes, scope.rootLow);
    if (lastScope === scope) lastScope = null;
    mapForEach(scope.exports, (first) => {
      for (let entry = first; entry !== null; entry = entry.next) unlist(entry);
    });
    forgetAnswers(scope);
    closeQuestions(scope);
  }

  // Counts one more thing that the request keeps here; true if the collector should watch it.
  const isWatched = (scope) => ++scope.kept > UNWATCHED_PER_REQUEST;

  // ---- Exports.

  // Places without an export have the index of the next such place, or of the end.
  const exported = setPrototypeOf([], null);
  let freeExport = 0;

  // An object of this isolate that one request has passed on as a `face`.
  class Export {
    constructor(scope, given, face, next) {
      this.scope = scope;
      this.given = given;
      // What serves the calls: `given`, or what was made for it.
      this.object = given;
      this.face = face;
      this.next = next;
      this.index = -1;
      this.sent = 0;
      // Calls that wait while a streaming method runs; `null` if none runs.
      this.waiting = null;
      // Called when nobody holds the export any more.
      this.dropped = null;
    }
  }
  setPrototypeOf(Export.prototype, null);

  function exportOf(scope, given, face) {
    const first = mapGet(scope.exports, given) ?? null;
    for (let entry = first; entry !== null; entry = entry.next) {
      if (entry.face === face) return entry;
    }
    const entry = new Export(scope, given, face, first);
    adapt(entry);
    entry.index = freeExport;
    freeExport = freeExport < exported.length ? exported[freeExport] : freeExport + 1;
    exported[entry.index] = entry;
    mapSet(scope.exports, given, entry);
    return entry;
  }

  function exportAt(index) {
    const entry = exported[index];
    return typeof entry === 'object' ? entry : undefined;
  }

  function unlist(entry) {
    if (exported[entry.index] !== entry) return;
    exported[entry.index] = freeExport;
    freeExport = entry.index;
    if (entry.dropped !== null) entry.dropped();
  }

  // Nobody elsewhere holds the export any more, of what was sent `count` times.
  function dropped(index, count) {
    const entry = exportAt(index);
    if (entry === undefined || (entry.sent -= count) > 0) return;
    unlist(entry);
    const { given, scope } = entry;
    let first = mapGet(scope.exports, given) ?? null;
    if (first === entry) first = entry.next;
    for (let e = first; e !== null; e = e.next) if (e.next === entry) e.next = entry.next;
    if (first === null) mapDelete(scope.exports, given);
    else mapSet(scope.exports, given, first);
  }

  function revoke(frame, object) {
    const scope = knownScope(frame.rootLow, frame.rootHigh);
    if (scope === undefined) return;
    let entry = mapGet(scope.exports, object) ?? null;
    for (; entry !== null; entry = entry.next) post(REVOKE, entry.index, 0, 0, 0, 0, 0, 0, 0);
  }

  // ---- Imports.

  // Where a CALL_TO goes: the fields of its TO record, and the upper half of its own target. `owner`
  // has the flow of its streaming calls, `local` is set if it is an object of this isolate.
  class Target {
    constructor(to, low, path, word, owner, local) {
      this.to = to;
      this.low = low;
      this.high = 0;
      this.path = path;
      this.word = word;
      this.owner = owner;
      this.isGone = false;
      this.local = local;
      this.flow = null;
    }
  }
  setPrototypeOf(Target.prototype, null);

  // Someone else's object, as one request knows it here.
  class Import {
    constructor(scope, low, high) {
      // As the target of a call: see `Target`.
      this.to = TO_OBJECT;
      this.low = low;
      this.high = high;
      this.path = 0;
      this.word = 0;
      this.owner = this;
      this.isGone = false;
      this.local = undefined;
      this.flow = null;
      this.scope = scope;
      // How often the host has counted this isolate as a holder; messages and stubs that lead here.
      this.received = 0;
      this.messages = 0;
      this.live = 0;
      // The stub, or a WeakRef to it, and its interface; `others` if it is known by several.
      this.face = null;
      this.stub = null;
      this.others = null;
    }
    collected() {
      this.live--;
      if (this.live === 0 && this.messages === 0) this.forget();
    }
    forget() {
      if (this.isGone) return;
      this.isGone = true;
      if (mapGet(this.scope.imports, this.low) === this) mapDelete(this.scope.imports, this.low);
      post(DROP, this.low, this.high, this.received, 0, 0, 0, 0, 0);
    }
  }
  setPrototypeOf(Import.prototype, null);

  // What is left of a message's capabilities when the message is gone.
  class Unread {
    constructor(imports) {
      this.imports = imports;
    }
    collected() {
      for (let i = 0; i < this.imports.length; i++) {
        const entry = this.imports[i];
        entry.messages--;
        if (entry.live === 0 && entry.messages === 0) entry.forget();
      }
    }
  }
  setPrototypeOf(Unread.prototype, null);

  // What services see of an import. Each interface has a class of its own with its methods.
  class Stub {
    #import;
    constructor(entry) {
      this.#import = entry;
    }
    [dispose]() {
      this.#import.forget();
    }
    static of(value) {
      return #import in value ? value.#import : null;
    }
  }
  hide(Stub);

  // What the runtime knows of an interface besides what was generated.
  class FaceInfo {
    constructor(face) {
      this.face = face;
      this.Stub = null;
      this.Member = null;
      this.streams = false;
      for (let i = 0; i < face.methods.length; i++) {
        if (face.methods[i].streaming) this.streams = true;
      }
      // One of the web's streams may stand for it.
      this.isAdapted = isSinkFace(face) || isSourceFace(face);
    }
  }
  setPrototypeOf(FaceInfo.prototype, null);
  const infoOf = (face) => face.own.made ??= new FaceInfo(face);

  // Puts a method for each of the interface's onto a prototype, as `make` makes it.
  function addMethods(prototype, face, make) {
    for (let i = 0; i < face.methods.length; i++) {
      const method = face.methods[i];
      if (method.name in prototype) continue;
      const value = make(method, `${face.name}.${method.name}`);
      defineProperty(prototype, method.name, { enumerable: true, value: named(method.name, value) });
    }
  }

  function makeStub(entry, face) {
    const info = infoOf(face);
    if (info.Stub === null) {
      const FaceStub = class extends Stub {};
      delete FaceStub.prototype.constructor;
      addMethods(FaceStub.prototype, face, (method, label) => function (params, options) {
        return callOn(Stub.of(this), method, label, params, options);
      });
      addConversions(FaceStub.prototype, face);
      freeze(FaceStub.prototype);
      info.Stub = FaceStub;
    }
    return new info.Stub(entry);
  }

  // The stub of an import for an interface: always the same one.
  function stubOf(entry, face) {
    const isFirst = entry.face === null || entry.face === face;
    let known = isFirst ? entry.stub : mapGet(entry.others ??= new Map(), face);
    if (known instanceof WeakRef) known = deref(known);
    if (known !== undefined && known !== null) return known;
    const stub = makeStub(entry, face);
    let remembered = stub;
    entry.live++;
    if (isWatched(entry.scope)) {
      register(registry, stub, entry);
      remembered = new WeakRef(stub);
    }
    if (isFirst) {
      entry.face = face;
      entry.stub = remembered;
    } else {
      mapSet(entry.others, face, remembered);
    }
    return stub;
  }

  // ---- The capability table of a message.

  // The records that came before the message: how each capability travels, and by what name.
  let passed = null;

  // The table of a message that has just come in, as imports, objects of this isolate, and answers.
  function takePassed(rootLow, rootHigh) {
    const scope = scopeOf(rootLow, rootHigh);
    const records = passed;
    passed = null;
    const caps = setPrototypeOf([], null);
    let imports = null;
    for (let i = 0; i < records.length; i++) {
      const { target, low, high, path } = records[i];
      if (target === HERE) {
        const entry = exportAt(low);
        caps[i] = entry === undefined ? new Import(scope, -1, 1) : new Here(entry.given);
      } else if (target === ANSWERED) {
        caps[i] = new Promised(low, high, path, scope);
      } else {
        let entry = mapGet(scope.imports, low);
        if (entry === undefined || entry.high !== high) {
          mapSet(scope.imports, low, entry = new Import(scope, low, high));
        }
        entry.received++;
        entry.messages++;
        if (imports === null) imports = setPrototypeOf([], null);
        imports[imports.length] = entry;
        caps[i] = entry;
      }
    }
    if (imports !== null && isWatched(scope)) register(registry, caps, new Unread(imports));
    return caps;
  }

  // An object of this isolate that came home.
  class Here {
    constructor(given) {
      this.given = given;
    }
  }
  setPrototypeOf(Here.prototype, null);

  // A part of an answer that is kept here: the object itself, once the answer is there.
  class Promised {
    constructor(low, high, path, scope) {
      this.low = low;
      this.high = high;
      this.path = path;
      this.scope = scope;
    }
  }
  setPrototypeOf(Promised.prototype, null);

  // Reads a capability: `index` is what the message says, `face` what the schema does.
  function capability(body, index, face) {
    const { caps } = body;
    if (caps === null || index >= caps.length) {
      throw new message.MessageError(`malformed message: it has no capability ${index}`);
    }
    const entry = caps[index];
    if (entry instanceof Import) return caps[index] = stubOf(entry, face);
    if (entry instanceof Here) return entry.given;
    // What a message of this isolate's own holds: see `encodeAlone`.
    if (entry instanceof Passing) return `[capability ${entry.face.name}]`;
    return entry;
  }

  // A capability of a message that is being built.
  class Passing {
    constructor(value, face) {
      this.value = value;
      this.face = face;
    }
  }
  setPrototypeOf(Passing.prototype, null);

  function addCapability(b, value, face) {
    const isObject = typeof value === 'object' || typeof value === 'function';
    if (!isObject || value === null) {
      throw new message.Problem(`expected an object that implements ${face.name}`);
    }
    if (Stub.of(value) === null && !isPipelined(value) && !isAdaptable(value, face)) {
      for (let i = 0; i < face.methods.length; i++) {
        if (typeof value[face.methods[i].name] === 'function') continue;
        throw new message.Problem(`expected an object that implements ${face.name}: ` +
          `it lacks method "${face.methods[i].name}"`);
      }
    }
    if (b.caps === null) b.caps = setPrototypeOf([], null);
    b.caps[b.caps.length] = new Passing(value, face);
    return b.caps.length - 1;
  }

  // Leaves the records that go before a message with capabilities.
  function sendCapabilities(caps, frame) {
    try {
      for (let i = 0; i < caps.length; i++) sendCapability(caps[i].value, caps[i].face, frame);
    } catch (error) {
      // What stands before a message that does not come is not to stand before the next one.
      while (rings[1] > 0 && rings[outRing + (rings[1] - 1) * recordWords] === CAPABILITY) rings[1]--;
      throw error;
    }
  }

  function sendCapability(value, face, frame) {
    const entry = Stub.of(value);
    if (entry !== null) {
      if (entry.isGone) post(CAPABILITY, -1, 1, IMPORTED, 0, 0, 0, 0, 0);
      else post(CAPABILITY, entry.low, entry.high, IMPORTED, 0, 0, 0, 0, 0);
    } else if (!sendPipelined(value, face, frame)) {
      const made = exportOf(scopeOf(frame.rootLow, frame.rootHigh), value, face);
      made.sent++;
      post(CAPABILITY, made.index, 0, HERE, frame.rootLow, frame.rootHigh, 0, 0, 0);
    }
  }
