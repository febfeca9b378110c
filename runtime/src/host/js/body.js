// The body of a Request or Response: text or bytes while it is in memory, a stream when someone
// asks for one.
(function (host, p, internals) {
  "use strict";
  const { ArrayPrototypePush, JSONParse, MathRandom, NumberPrototypeToString,
    ObjectDefineProperty, ObjectGetOwnPropertyDescriptor, Promise, PromisePrototypeThen,
    RegExpPrototypeExec, StringPrototypeSlice, StringPrototypeToLowerCase, StringPrototypeSplit,
    ArrayPrototypeJoin, StringPrototypeTrim, TypeError, TypedArrayPrototypeGetBuffer,
    TypedArrayPrototypeGetByteLength, ArrayBufferPrototypeGetByteLength,
    TypedArrayPrototypeGetLength, TypedArrayPrototypeGetSymbolToStringTag, TypedArrayPrototypeSet,
    Uint8Array, ReflectOwnKeys } = p;
  const { copy, encodeUtf8, settle, toUSVString, viewBytes } = internals;

  // source: a string, bytes that nobody else holds, or null when there is only the stream.
  const Body = internals.record(class {
    constructor(source, stream, type) {
      this.source = source;
      this.stream = stream;
      this.type = type;
      this.used = false;
      this.shared = false;
    }
  });
  const newBody = (source, stream, type) => new Body(source, stream, type);
  internals.newBody = newBody;

  internals.extractBody = (init) => {
    if (typeof init === "string") return newBody(toUSVString(init), null, "text/plain;charset=UTF-8");
    if (internals.isReadableStream(init)) {
      const s = internals.streamState(init);
      if (s.disturbed || s.reader !== null) {
        throw new TypeError("a body's stream must not be locked or read from already");
      }
      return newBody(null, init, null);
    }
    const bytes = viewBytes(init);
    if (bytes !== undefined) return newBody(copy(bytes), null, null);
    const blob = internals.blobBytes(init);
    if (blob !== undefined) return newBody(copy(blob), null, init.type || null);
    const search = internals.searchList(init);
    if (search !== undefined) {
      return newBody(host.formSerialize(search), null, "application/x-www-form-urlencoded;charset=UTF-8");
    }
    const form = internals.formList(init);
    if (form !== undefined) return multipart(form);
    return newBody(toUSVString(init), null, "text/plain;charset=UTF-8");
  };

  const escapeName = (name) => {
    let text = ArrayPrototypeJoin(StringPrototypeSplit(name, "\r\n"), "%0D%0A");
    text = ArrayPrototypeJoin(StringPrototypeSplit(text, "\r"), "%0D");
    text = ArrayPrototypeJoin(StringPrototypeSplit(text, "\n"), "%0A");
    return ArrayPrototypeJoin(StringPrototypeSplit(text, '"'), "%22");
  };
  const multipart = (list) => {
    const random = () => StringPrototypeSlice(NumberPrototypeToString(MathRandom(), 36), 2);
    const boundary = `----isolith${random()}${random()}`;
    const parts = [];
    for (let i = 0; i < list.length; i += 2) {
      const value = list[i + 1];
      const isText = typeof value === "string";
      const file = isText ? "" : `; filename="${escapeName(value.name)}"\r\nContent-Type: ${value.type || "application/octet-stream"}`;
      ArrayPrototypePush(parts, encodeUtf8(
        `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(list[i])}"${file}\r\n\r\n`));
      ArrayPrototypePush(parts, isText ? encodeUtf8(value) : internals.blobBytes(value));
      ArrayPrototypePush(parts, encodeUtf8("\r\n"));
    }
    ArrayPrototypePush(parts, encodeUtf8(`--${boundary}--\r\n`));
    return newBody(joinChunks(parts), null, `multipart/form-data; boundary=${boundary}`);
  };

  const joinChunks = (chunks) => {
    if (chunks.length === 1) return chunks[0];
    let length = 0;
    for (let i = 0; i < chunks.length; i++) length += TypedArrayPrototypeGetLength(chunks[i]);
    const whole = new Uint8Array(length);
    for (let i = 0, at = 0; i < chunks.length; i++) {
      TypedArrayPrototypeSet(whole, chunks[i], at);
      at += TypedArrayPrototypeGetLength(chunks[i]);
    }
    return whole;
  };

  const isUsed = (body) => body !== null &&
    (body.stream === null ? body.used : internals.streamState(body.stream).disturbed);
  const isUnusable = (body) => isUsed(body) ||
    (body !== null && body.stream !== null && internals.streamState(body.stream).reader !== null);
  internals.bodyUsed = isUsed;
  internals.checkUsable = (body, what) => {
    if (isUnusable(body)) throw new TypeError(`${what} has been read already or is locked; read a clone() instead`);
  };

  const sourceBytes = (body) => (typeof body.source === "string" ? encodeUtf8(body.source) : body.source);

  internals.bodyStream = (body) => {
    if (body === null) return null;
    if (body.stream === null) {
      const bytes = sourceBytes(body);
      body.stream = internals.bytesStream(body.shared ? copy(bytes) : bytes);
      if (body.used) internals.streamState(body.stream).disturbed = true;
      body.source = null;
    }
    return body.stream;
  };

  internals.cloneBody = (body) => {
    if (body === null) return null;
    if (body.stream === null) {
      body.shared = true;
      const twin = newBody(body.source, null, body.type);
      twin.shared = true;
      return twin;
    }
    const pair = internals.teeStream(body.stream, copy);
    body.stream = pair.first;
    return newBody(null, pair.second, body.type);
  };

  // The body's content for the runtime to send: null, bytes or a stream; afterwards it is used.
  internals.takeBody = (body) => {
    if (body === null) return null;
    if (body.stream !== null) return body.stream;
    body.used = true;
    return sourceBytes(body);
  };

  const isBytes = (chunk) => TypedArrayPrototypeGetSymbolToStringTag(chunk) === "Uint8Array";
  const wrongChunk = () => new TypeError("a body's stream must give Uint8Array chunks; pipe text through TextEncoderStream");

  // Reads a stream for the runtime: each pull() leads to exactly one of the callbacks.
  internals.pumpBody = (stream, onChunk, onEnd, onError) => {
    const reader = internals.newReader(stream);
    let over = false;
    const request = { __proto__: null, fill: undefined,
      chunk(chunk) {
        if (isBytes(chunk)) return onChunk(chunk);
        over = true;
        const error = wrongChunk();
        internals.markHandled(internals.cancelState(reader.state, error));
        onError(error);
      },
      close() {
        over = true;
        onEnd();
      },
      error(error) {
        over = true;
        onError(error);
      } };
    return { __proto__: null,
      pull() { internals.read(reader, request); },
      cancel(reason) {
        if (over) return;
        over = true;
        internals.markHandled(internals.cancelState(reader.state, reason));
      } };
  };

  // A body that arrives: `pull()` promises the next Uint8Array, or null at the end.
  internals.createBodyStream = (pull, cancel) => internals.newStream(
    (controller) => PromisePrototypeThen(settle(pull), (chunk) => {
      if (chunk === null) controller.close();
      else controller.enqueue(chunk);
    }),
    (reason) => settle(() => cancel(reason)), 0, true).stream;

  const readAll = (stream) => new Promise((resolve, reject) => {
    const chunks = [];
    const pump = internals.pumpBody(stream, (chunk) => {
      ArrayPrototypePush(chunks, chunk);
      pump.pull();
    }, () => resolve(joinChunks(chunks)), reject);
    pump.pull();
  });

  const consume = (body, convert) => {
    if (body === null) return convert(new Uint8Array(0));
    internals.checkUsable(body, "the body");
    if (body.stream !== null) return PromisePrototypeThen(readAll(body.stream), convert);
    body.used = true;
    const { source } = body;
    if (convert === toText && typeof source === "string") return source;
    const bytes = sourceBytes(body);
    body.source = typeof source === "string" || body.shared ? source : new Uint8Array(0);
    return convert(body.shared && bytes === source ? copy(bytes) : bytes);
  };
  const toText = (bytes) => internals.decodeUtf8(bytes);
  const toJson = (bytes) => JSONParse(internals.decodeUtf8(bytes));
  const toBytes = (bytes) => bytes;
  const toBuffer = (bytes) => {
    const buffer = TypedArrayPrototypeGetBuffer(bytes);
    return ArrayBufferPrototypeGetByteLength(buffer) === TypedArrayPrototypeGetByteLength(bytes) ? buffer
      : TypedArrayPrototypeGetBuffer(copy(bytes));
  };

  const toForm = (bytes, contentType) => {
    const type = StringPrototypeTrim(StringPrototypeToLowerCase(StringPrototypeSplit(contentType, ";")[0]));
    if (type === "application/x-www-form-urlencoded") {
      return internals.newForm(host.formParse(internals.decodeUtf8(bytes)));
    }
    if (type !== "multipart/form-data") {
      throw new TypeError(`formData() cannot read content type "${contentType}"; ` +
        "it reads multipart/form-data and application/x-www-form-urlencoded");
    }
    const match = RegExpPrototypeExec(/;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i, contentType);
    const flat = match === null ? undefined
      : host.multipartParse(match[1] ?? match[2], bytes, internals.allocate);
    if (flat === undefined) throw new TypeError("the body is not valid multipart/form-data");
    const list = [];
    for (let i = 0; i < flat.length; i += 4) {
      ArrayPrototypePush(list, flat[i], flat[i + 1] === undefined ? internals.decodeUtf8(flat[i + 3])
        : new internals.File([flat[i + 3]], flat[i + 1], { __proto__: null, type: flat[i + 2] ?? "text/plain" }));
    }
    return internals.newForm(list);
  };

  // The methods that Request and Response share. `bodyOf(this)` checks the receiver.
  internals.mixBody = (cls, bodyOf, typeOf) => {
    const run = (self, convert) => settle(() => consume(bodyOf(self), convert));
    const mixin = {
      get body() { return internals.bodyStream(bodyOf(this)); },
      get bodyUsed() { return isUsed(bodyOf(this)); },
      text() { return run(this, toText); },
      json() { return run(this, toJson); },
      bytes() { return run(this, toBytes); },
      arrayBuffer() { return run(this, toBuffer); },
      blob() {
        return run(this, (bytes) => new internals.Blob([bytes], { __proto__: null, type: typeOf(this) ?? "" }));
      },
      formData() { return run(this, (bytes) => toForm(bytes, typeOf(this) ?? "")); },
    };
    const keys = ReflectOwnKeys(mixin);
    for (let i = 0; i < keys.length; i++) {
      ObjectDefineProperty(cls.prototype, keys[i], ObjectGetOwnPropertyDescriptor(mixin, keys[i]));
    }
  };
})
