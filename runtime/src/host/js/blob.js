// Blob, File and FormData. A blob's bytes are one buffer that nobody else holds.
(function (host, p, internals) {
  "use strict";
  const { ArrayPrototypePush, ArrayPrototypeSplice, DateNow, MathMax, MathMin, ReflectApply,
    StringPrototypeToLowerCase, SymbolIterator, TypeError, TypedArrayPrototypeGetBuffer,
    TypedArrayPrototypeGetLength, TypedArrayPrototypeSet, Uint8Array, MathTrunc } = p;
  const { alias, copy, defineClass, dictionary, isObject, need, part, settle, toUSVString,
    viewBytes } = internals;

  let bytesOf;
  const typeOf = (type) => {
    const text = type === undefined ? "" : `${type}`;
    return internals.matches(/[^\x20-\x7e]/, text) ? "" : StringPrototypeToLowerCase(text);
  };

  class Blob {
    #bytes;
    #type;
    constructor(parts = undefined, options = undefined) {
      const list = [];
      let length = 0;
      if (parts !== undefined) {
        if (!isObject(parts) || typeof parts[SymbolIterator] !== "function") {
          throw new TypeError("a Blob's parts must be an iterable, such as an array");
        }
        const iterator = parts[SymbolIterator]();
        for (let step = iterator.next(); !step.done; step = iterator.next()) {
          const piece = step.value;
          const bytes = bytesOf(piece) ?? viewBytes(piece) ?? internals.encodeUtf8(toUSVString(piece));
          ArrayPrototypePush(list, bytes);
          length += TypedArrayPrototypeGetLength(bytes);
        }
      }
      this.#type = typeOf(dictionary(options, "Blob's options").type);
      this.#bytes = new Uint8Array(length);
      let at = 0;
      for (let i = 0; i < list.length; i++) {
        TypedArrayPrototypeSet(this.#bytes, list[i], at);
        at += TypedArrayPrototypeGetLength(list[i]);
      }
    }
    get size() { return TypedArrayPrototypeGetLength(this.#bytes); }
    get type() { return this.#type; }
    slice(start = 0, end = undefined, type = "") {
      const size = TypedArrayPrototypeGetLength(this.#bytes);
      const clamp = (value) => {
        const index = MathTrunc(+value) || 0;
        return index < 0 ? MathMax(size + index, 0) : MathMin(index, size);
      };
      const from = clamp(start);
      const to = MathMax(end === undefined ? size : clamp(end), from);
      const blob = new Blob([], { __proto__: null, type });
      blob.#bytes = copy(part(this.#bytes, from, to));
      return blob;
    }
    text() { return settle(() => internals.decodeUtf8(this.#bytes)); }
    bytes() { return settle(() => copy(this.#bytes)); }
    arrayBuffer() {
      return settle(() => TypedArrayPrototypeGetBuffer(copy(this.#bytes)));
    }
    stream() { return internals.bytesStream(copy(this.#bytes)); }
    static {
      bytesOf = internals.blobBytes = (value) =>
        (isObject(value) && #bytes in value ? value.#bytes : undefined);
    }
  }
  defineClass(Blob);

  class File extends Blob {
    #name;
    #lastModified;
    constructor(parts, name, options = undefined) {
      need(arguments, 2, "File");
      super(parts, options);
      this.#name = toUSVString(name);
      const modified = dictionary(options, "File's options").lastModified;
      this.#lastModified = modified === undefined ? DateNow() : MathTrunc(+modified) || 0;
    }
    get name() { return this.#name; }
    get lastModified() { return this.#lastModified; }
    get webkitRelativePath() { return ""; }
    static {
      internals.isFile = (value) => isObject(value) && #name in value;
    }
  }
  defineClass(File);

  // Sends `bytes` in one or more chunks; for bodies and blobs that are in memory anyway.
  const CHUNK_BYTES = 65536;
  internals.bytesStream = (bytes) => {
    let at = 0;
    return internals.newStream((controller) => {
      const length = TypedArrayPrototypeGetLength(bytes);
      if (at < length) {
        const next = MathMin(at + CHUNK_BYTES, length);
        controller.enqueue(part(bytes, at, next));
        at = next;
      }
      if (at >= length) controller.close();
      return internals.resolved;
    }, () => internals.resolved, 0, true).stream;
  };

  class FormData {
    #list = [];
    constructor(form = undefined) {
      if (form !== undefined) throw new TypeError("there are no form elements here: FormData takes no argument");
    }
    static #value(value, filename) {
      const bytes = bytesOf(value);
      if (bytes === undefined) {
        if (filename !== undefined) throw new TypeError("only a Blob or File can have a file name");
        return toUSVString(value);
      }
      if (internals.isFile(value) && filename === undefined) return value;
      const name = filename === undefined ? "blob" : toUSVString(filename);
      return new File([value], name, { __proto__: null, type: value.type, lastModified: value.lastModified });
    }
    append(name, value, filename = undefined) {
      need(arguments, 2, "append");
      ArrayPrototypePush(this.#list, toUSVString(name), FormData.#value(value, filename));
    }
    set(name, value, filename = undefined) {
      need(arguments, 2, "set");
      name = toUSVString(name);
      value = FormData.#value(value, filename);
      internals.setPair(this.#list, name, value);
    }
    delete(name) {
      need(arguments, 1, "delete");
      name = toUSVString(name);
      for (let i = 0; i < this.#list.length;) {
        if (this.#list[i] === name) ArrayPrototypeSplice(this.#list, i, 2);
        else i += 2;
      }
    }
    get(name) {
      need(arguments, 1, "get");
      name = toUSVString(name);
      for (let i = 0; i < this.#list.length; i += 2) if (this.#list[i] === name) return this.#list[i + 1];
      return null;
    }
    getAll(name) {
      need(arguments, 1, "getAll");
      name = toUSVString(name);
      const out = [];
      for (let i = 0; i < this.#list.length; i += 2) {
        if (this.#list[i] === name) ArrayPrototypePush(out, this.#list[i + 1]);
      }
      return out;
    }
    has(name) { return this.get(name) !== null; }
    forEach(callback, self = undefined) {
      need(arguments, 1, "forEach");
      for (let i = 0; i < this.#list.length; i += 2) {
        ReflectApply(callback, self, [this.#list[i + 1], this.#list[i], this]);
      }
    }
    *entries() { for (let i = 0; i < this.#list.length; i += 2) yield [this.#list[i], this.#list[i + 1]]; }
    *keys() { for (let i = 0; i < this.#list.length; i += 2) yield this.#list[i]; }
    *values() { for (let i = 0; i < this.#list.length; i += 2) yield this.#list[i + 1]; }
    static {
      internals.formList = (value) => (isObject(value) && #list in value ? value.#list : undefined);
      internals.newForm = (list) => {
        const form = new FormData();
        form.#list = list;
        return form;
      };
    }
  }
  alias(FormData, SymbolIterator, "entries");
  defineClass(FormData);
})
