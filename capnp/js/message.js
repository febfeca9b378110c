// Cap'n Proto messages: reading in place and building. Generated code (see the crate's
// `javascript` module) stands on what this function returns.
//
// `host` gives what JavaScript cannot do, or not fast:
//   utf8Decode(u8, start, end) -> string        malformed bytes become U+FFFD
//   utf8Encode(string, u8, start) -> bytes written; lone surrogates become U+FFFD
//   seal(ArrayBuffer) -> ArrayBuffer            immutable, same backing store, detaches the
//                                               argument; an immutable one is returned as is
//   isImmutable(ArrayBuffer) -> boolean
//
// Invariants:
// - Built-ins are captured here, when the function runs, before any service's code. What a
//   service does to a prototype later is neither seen nor of effect.
// - Reads never write, and stay inside the message's own segments, whatever the bytes say.
// - No array buffer that holds other messages is ever given to a service: inline Data is copied.
(function (host) {
  'use strict';

  const { utf8Decode, utf8Encode, seal, isImmutable } = host;
  const { freeze, setPrototypeOf, defineProperty, getOwnPropertyDescriptor, keys } = Object;
  const { call, bind } = Function.prototype;
  const uncurry = bind.bind(call);
  const getter = (object, name) => {
    const found = getOwnPropertyDescriptor(object, name);
    return found === undefined ? undefined : uncurry(found.get);
  };
  const Bytes = Uint8Array;
  const Buffer = ArrayBuffer;
  const TypedArray = Object.getPrototypeOf(Uint8Array);
  const typedArrayTag = getter(TypedArray.prototype, Symbol.toStringTag);
  const bufferOf = getter(TypedArray.prototype, 'buffer');
  const byteOffsetOf = getter(TypedArray.prototype, 'byteOffset');
  const byteLengthOf = getter(TypedArray.prototype, 'byteLength');
  const setBytes = uncurry(TypedArray.prototype.set);
  const fillWords = uncurry(TypedArray.prototype.fill);
  const bufferLength = getter(ArrayBuffer.prototype, 'byteLength');
  const bufferResizable = getter(ArrayBuffer.prototype, 'resizable') ?? (() => false);
  const isDetached =
    getter(ArrayBuffer.prototype, 'detached') ??
    ((buffer) => {
      try {
        return new Bytes(buffer) === null;
      } catch {
        return true;
      }
    });
  const isShared = (buffer) => {
    try {
      return bufferLength(buffer) < 0;
    } catch {
      return true;
    }
  };
  const { isView } = ArrayBuffer;
  const { isArray, from: arrayFrom } = Array;
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const stringSlice = uncurry(String.prototype.slice);
  const { fromCharCode } = String;
  const { asIntN, asUintN } = BigInt;
  const { isSafeInteger } = Number;
  const toBigInt = BigInt;
  const { iterator, toPrimitive, toStringTag } = Symbol;
  const FieldError = TypeError;
  const { ownKeys } = Reflect;

  const DEPTH_LIMIT = 64;
  const TRAVERSAL_LIMIT_WORDS = 8 * 1024 * 1024;
  const MESSAGE_LIMIT_BYTES = 1024 * 1024 * 1024;
  const SHORT_TEXT_BYTES = 32;

  if (new Bytes(new Uint32Array([1]).buffer)[0] !== 1) {
    throw new Error('Isolith needs a little-endian machine');
  }

  // ---------------------------------------------------------------- errors

  /** A message that breaks the format's rules or exceeds a limit. */
  class MessageError extends Error {}
  defineProperty(MessageError.prototype, 'name', { value: 'MessageError' });
  freeze(MessageError.prototype);
  freeze(MessageError);

  const malformed = (what) => new MessageError(`malformed message: ${what}`);
  const outOfBounds = () => malformed('a pointer leads out of its segment');
  const tooDeep = () =>
    new MessageError(`message: nested deeper than ${DEPTH_LIMIT} levels; is the value cyclic?`);

  function pay(message, words) {
    if ((message.budget -= words) < 0) {
      throw new MessageError(
        `message: read more than ${message.limit} words; read a large field once and keep it`,
      );
    }
  }

  // ---------------------------------------------------------------- memory

  /** Typed views over one buffer, made once and shared by all messages in it. */
  class Chunk {
    constructor(buffer) {
      const words = (bufferLength(buffer) / 8) | 0;
      this.buffer = buffer;
      this.u8 = new Bytes(buffer);
      this.i8 = new Int8Array(buffer);
      this.u16 = new Uint16Array(buffer, 0, words * 4);
      this.i16 = new Int16Array(buffer, 0, words * 4);
      this.u32 = new Uint32Array(buffer, 0, words * 2);
      this.i32 = new Int32Array(buffer, 0, words * 2);
      this.f32 = new Float32Array(buffer, 0, words * 2);
      this.f64 = new Float64Array(buffer, 0, words);
      this.u64 = new BigUint64Array(buffer, 0, words);
      this.i64 = new BigInt64Array(buffer, 0, words);
    }
  }

  /**
   * Bytes [base, end) of a buffer, one segment of `message`. A message is its own segment 0.
   * Segments 1..n are sealed buffers of their own; their views are made when first needed,
   * since most hold one blob. Such a segment may end inside a word.
   */
  class Segment {
    constructor(message, chunk, buffer, base, end) {
      this.v = chunk;
      this.base = base;
      this.end = end;
      this.m = message === null ? this : message;
      this.buffer = buffer;
      this.blob = null;
      this.segments = null;
      this.budget = TRAVERSAL_LIMIT_WORDS;
      this.limit = TRAVERSAL_LIMIT_WORDS;
    }
  }

  /**
   * A message whose segment 0 is [base, end) of `chunk`; base is a multiple of 8. `segments`
   * holds segments 1..n as {buffer, base, end}, each in an immutable buffer that holds nothing
   * else. The traversal limit is 8 Mi words, or twice the message if that is more.
   */
  function Message(chunk, base, end, segments) {
    const message = new Segment(null, chunk, chunk.buffer, base, end);
    if (segments !== undefined && segments !== null && segments.length > 0) {
      // Without a prototype: an index setter put on Array.prototype must not see a segment.
      const all = setPrototypeOf([message], null);
      let bytes = end - base;
      for (let i = 0; i < segments.length; i++) {
        const s = segments[i];
        if ((s.base & 7) !== 0) throw malformed('a segment does not start at a word');
        all[i + 1] = new Segment(message, null, s.buffer, s.base, s.end);
        bytes += s.end - s.base;
      }
      message.segments = all;
      if (bytes > TRAVERSAL_LIMIT_WORDS * 4) message.budget = message.limit = bytes / 4;
    } else if (end - base > TRAVERSAL_LIMIT_WORDS * 4) {
      message.budget = message.limit = (end - base) / 4;
    }
    return message;
  }

  const ABSENT = new Segment(null, new Chunk(new Buffer(8)), null, 0, 0);

  // ---------------------------------------------------------------- pointers

  // What `resolve` found: the segment, the object's first byte, the pointer's kind, the sizes.
  let foundSegment = ABSENT;
  let foundAt = 0;
  let foundKind = 0;
  let foundSizes = 0;

  function segmentAt(message, id) {
    const segments = message.segments;
    const s = segments === null ? (id === 0 ? message : undefined) : segments[id >>> 0];
    if (s === undefined) throw malformed('a far pointer names a segment that is not there');
    return s;
  }

  /** The segment's views, made when first needed. */
  const viewsOf = (s) => (s.v === null ? (s.v = new Chunk(s.buffer)) : s.v);

  /** Finds what the pointer at byte `p` leads to, through far pointers. */
  function resolve(s, p) {
    const lo = s.v.i32[p >> 2];
    const hi = s.v.i32[(p >> 2) + 1];
    if ((lo & 3) !== 2) {
      foundSegment = s;
      foundAt = p + 8 + (lo >> 2) * 8;
      foundKind = lo & 3;
      foundSizes = hi;
      return;
    }
    pay(s.m, 1);
    const pad = segmentAt(s.m, hi);
    const q = pad.base + (lo >>> 3) * 8;
    const isDouble = (lo & 4) !== 0;
    if (q + (isDouble ? 16 : 8) > pad.end) throw outOfBounds();
    const i32 = viewsOf(pad).i32;
    const first = i32[q >> 2];
    const second = i32[(q >> 2) + 1];
    if (!isDouble) {
      if ((first & 3) === 2) throw malformed('a far pointer leads to another one');
      foundSegment = pad;
      foundAt = q + 8 + (first >> 2) * 8;
      foundKind = first & 3;
      foundSizes = second;
      return;
    }
    if ((first & 7) !== 2) throw malformed('a double-far landing pad is not a far pointer');
    const target = segmentAt(s.m, second);
    foundSegment = target;
    foundAt = target.base + (first >>> 3) * 8;
    foundKind = i32[(q >> 2) + 2] & 3;
    foundSizes = i32[(q >> 2) + 3];
  }

  const isNull = (s, p) => s.v.i32[p >> 2] === 0 && s.v.i32[(p >> 2) + 1] === 0;

  /** The struct that the pointer at byte `p` leads to, or an absent one. `l`: levels left. */
  function readStruct(Reader, s, p, l) {
    const lo = s.v.i32[p >> 2];
    let sizes = s.v.i32[(p >> 2) + 1];
    let at = p + 8 + (lo >> 2) * 8;
    if ((lo & 3) !== 0) {
      resolve(s, p);
      if (foundKind !== 0) throw malformed('expected a struct');
      s = foundSegment;
      at = foundAt;
      sizes = foundSizes;
      viewsOf(s);
    } else if (lo === 0 && sizes === 0) {
      return new Reader(ABSENT, 0, 0, 0, 0);
    }
    const data = (sizes & 0xffff) << 3;
    const pointers = sizes >>> 16;
    if (at < s.base || at + data + pointers * 8 > s.end) throw outOfBounds();
    if (l <= 0) throw tooDeep();
    pay(s.m, 1 + (data >> 3) + pointers);
    return new Reader(s, at, data, pointers, l - 1);
  }

  /** The message's root. */
  function readRoot(Reader, message) {
    if (message.end - message.base < 8) return new Reader(ABSENT, 0, 0, 0, 0);
    return readStruct(Reader, message, message.base, DEPTH_LIMIT);
  }

  // What element sizes 0..5 take, in bytes; 1 (bits) is handled apart.
  const ELEMENT_BYTES = [0, 0, 1, 2, 4, 8];

  /**
   * The list that the pointer at byte `p` leads to. `want` is the element size code of the
   * schema's type: 0..5 data, 6 pointers, 7 structs. Lists that evolution turned into lists of
   * structs, and the reverse, are read as the format asks.
   */
  function readList(List, s, p, l, want) {
    if (isNull(s, p)) return new List(ABSENT, 0, 0, 0, 0, 0, 0);
    resolve(s, p);
    if (foundKind !== 1) throw malformed('expected a list');
    if (l <= 0) throw tooDeep();
    s = foundSegment;
    const i32 = viewsOf(s).i32;
    let at = foundAt;
    const code = foundSizes & 7;
    let count = foundSizes >>> 3;
    let step = 0;
    let data = 0;
    let pointers = 0;
    if (at < s.base) throw outOfBounds();
    if (code === 7) {
      const bytes = count * 8;
      if (at + 8 + bytes > s.end) throw outOfBounds();
      const tag = i32[at >> 2];
      const sizes = i32[(at >> 2) + 1];
      if ((tag & 3) !== 0) throw malformed('a list of structs has a wrong tag');
      count = tag >>> 2;
      data = (sizes & 0xffff) << 3;
      pointers = sizes >>> 16;
      step = data + pointers * 8;
      if (count * step > bytes) throw malformed('a list of structs is longer than its words');
      at += 8;
      pay(s.m, 1 + bytes / 8 + (step === 0 ? count : 0));
    } else {
      const bytes = code === 1 ? (count + 7) / 8 : count * (code === 6 ? 8 : ELEMENT_BYTES[code]);
      if (at + bytes > s.end) throw outOfBounds();
      data = code === 6 ? 0 : ELEMENT_BYTES[code];
      pointers = code === 6 ? 1 : 0;
      step = data + pointers * 8;
      pay(s.m, 1 + ((bytes / 8) | 0) + (code === 0 ? count : 0));
    }
    if (want === 6) {
      if (pointers === 0 && count > 0) throw malformed('expected a list of pointers');
    } else if (want === 1 || (code === 1 && want !== 0)) {
      if (code !== want && count > 0) throw malformed('expected a list of another element size');
    } else if (want < 6 && data < ELEMENT_BYTES[want] && count > 0) {
      throw malformed('expected a list of another element size');
    }
    return new List(s, at, count, step, data, pointers, l - 1);
  }

  // ---------------------------------------------------------------- text and data

  function readBytes(s, p, what) {
    resolve(s, p);
    if (foundKind !== 1 || (foundSizes & 7) !== 2) throw malformed(`expected ${what}`);
    const length = foundSizes >>> 3;
    if (foundAt < foundSegment.base || foundAt + length > foundSegment.end) throw outOfBounds();
    return length;
  }

  function readText(s, p, absent) {
    if (isNull(s, p)) return absent;
    const length = readBytes(s, p, 'Text');
    const at = foundAt;
    s = foundSegment;
    pay(s.m, 1 + (length >> 3));
    const u8 = viewsOf(s).u8;
    if (length === 0 || u8[at + length - 1] !== 0) throw malformed('Text without its final 0');
    if (length > SHORT_TEXT_BYTES) return utf8Decode(u8, at, at + length - 1);
    return shortText(u8, at, at + length - 1);
  }

  function shortText(u8, start, end) {
    let t = start;
    let text = '';
    for (; t + 8 <= end; t += 8) {
      const a = u8[t], b = u8[t + 1], c = u8[t + 2], d = u8[t + 3];
      const e = u8[t + 4], f = u8[t + 5], g = u8[t + 6], h = u8[t + 7];
      if ((a | b | c | d | e | f | g | h) > 127) return utf8Decode(u8, start, end);
      text += fromCharCode(a, b, c, d, e, f, g, h);
    }
    if (t + 4 <= end) {
      const a = u8[t], b = u8[t + 1], c = u8[t + 2], d = u8[t + 3];
      if ((a | b | c | d) > 127) return utf8Decode(u8, start, end);
      text += fromCharCode(a, b, c, d);
      t += 4;
    }
    for (; t < end; t++) {
      if (u8[t] > 127) return utf8Decode(u8, start, end);
      text += fromCharCode(u8[t]);
    }
    return text;
  }

  /**
   * Data as a Uint8Array. A segment of its own is immutable and read in place: one view, the
   * same at each access. Anything else is copied.
   */
  function readData(s, p, absent) {
    if (isNull(s, p)) return copyBytes(absent, 0, absent.length);
    const length = readBytes(s, p, 'Data');
    s = foundSegment;
    if (s !== s.m) {
      const whole = foundAt === s.base && foundAt + length === s.end;
      if (whole && s.blob !== null) return s.blob;
      pay(s.m, 1 + (length >> 3));
      const view = new Bytes(s.buffer, foundAt, length);
      if (whole) s.blob = view;
      return view;
    }
    pay(s.m, 1 + (length >> 3));
    return copyBytes(s.v.u8, foundAt, length);
  }

  function copyBytes(u8, at, length) {
    const copy = new Bytes(length);
    if (length > 64) setBytes(copy, new Bytes(bufferOf(u8), byteOffsetOf(u8) + at, length));
    else for (let i = 0; i < length; i++) copy[i] = u8[at + i];
    return copy;
  }

  // ---------------------------------------------------------------- reader classes

  class ListIterator {
    #list;
    #next = 0;
    constructor(list) {
      this.#list = list;
    }
    next() {
      const i = this.#next;
      if (i >= this.#list.length) return { value: undefined, done: true };
      this.#next = i + 1;
      return { value: this.#list.at(i), done: false };
    }
    [iterator]() {
      return this;
    }
  }

  const listMethods = {
    [iterator]() {
      return new ListIterator(this);
    },
    toArray() {
      const all = [];
      for (let i = 0, n = this.length; i < n; i++) all[i] = this.at(i);
      return all;
    },
    map(fn) {
      const all = [];
      for (let i = 0, n = this.length; i < n; i++) all[i] = fn(this.at(i), i);
      return all;
    },
    toJSON() {
      return this.toObject();
    },
  };
  const plainList = {
    toObject() {
      return this.toArray();
    },
  };
  const deepList = {
    toObject() {
      const all = [];
      for (let i = 0, n = this.length; i < n; i++) all[i] = this.at(i).toObject();
      return all;
    },
  };
  const structMethods = {
    toJSON() {
      return this.toObject();
    },
  };

  function addMethods(proto, methods) {
    for (const key of ownKeys(methods)) {
      defineProperty(proto, key, { value: methods[key] });
    }
  }

  /** Cuts a generated class off Object.prototype, hides its constructor and freezes it. */
  function finish(Class, name) {
    const proto = Class.prototype;
    const own = getOwnPropertyDescriptor(proto, 'constructor');
    if (own !== undefined && own.value === Class) delete proto.constructor;
    setPrototypeOf(proto, null);
    defineProperty(proto, toStringTag, { value: name });
    defineProperty(proto, toPrimitive, { value: () => `[${name}]` });
    freeze(proto);
    return freeze(Class);
  }
  const finishStruct = (Class, name) => {
    addMethods(Class.prototype, structMethods);
    return finish(Class, name);
  };
  const finishList = (Class, name, isDeep) => {
    addMethods(Class.prototype, listMethods);
    addMethods(Class.prototype, isDeep ? deepList : plainList);
    return finish(Class, name);
  };
  finish(ListIterator, 'ListIterator');

  // ---------------------------------------------------------------- building

  /**
   * Builds one message at a time: `begin`, a generated encode function, `end`. Then the message
   * is [offset, offset + length) of `buffer` and the segments of `blobs`. While small it lies in
   * the scratch buffer given here; once that is full, in a larger buffer of its own at the same
   * offset, with `isOwn` set.
   *
   * Encoding runs getters of the value, so a service can start another call in the middle; a
   * busy builder cannot be begun again until `end` or `abort`: use another one then.
   */
  class Builder {
    constructor(buffer, capacityBytes, options) {
      this.scratch = new Chunk(buffer);
      this.scratchEnd = capacityBytes - (capacityBytes % 8);
      this.blobThreshold = options?.blobThreshold ?? 16384;
      this.maxBytes = options?.maxBytes ?? MESSAGE_LIMIT_BYTES;
      this.offset = 0;
      this.length = 0;
      this.pos = 0;
      this.limit = this.scratchEnd;
      this.blobs = null;
      this.isOwn = false;
      this.isBusy = false;
      this.use(this.scratch);
    }
    use(chunk) {
      this.buffer = chunk.buffer;
      this.u8 = chunk.u8;
      this.i8 = chunk.i8;
      this.u16 = chunk.u16;
      this.i16 = chunk.i16;
      this.u32 = chunk.u32;
      this.i32 = chunk.i32;
      this.f32 = chunk.f32;
      this.f64 = chunk.f64;
      this.u64 = chunk.u64;
      this.i64 = chunk.i64;
    }
    /** Starts a message at byte `offset` of the scratch buffer, a multiple of 8. */
    begin(offset) {
      if (this.isBusy) throw new MessageError('builder: a message is being built already');
      if (this.isOwn) this.use(this.scratch);
      this.isOwn = false;
      this.isBusy = true;
      this.blobs = null;
      this.limit = this.scratchEnd;
      this.offset = offset;
      this.pos = offset;
      return allocate(this, 8);
    }
    /** Ends the message; returns the length of its segment 0 in bytes. */
    end() {
      this.isBusy = false;
      return (this.length = this.pos - this.offset);
    }
    /** Gives up the message after an error. Blobs that were sealed for it stay sealed. */
    abort() {
      this.isBusy = false;
      this.blobs = null;
    }
  }
  freeze(Builder.prototype);

  /** Reserves `bytes`, a multiple of 8, without clearing them. */
  function reserve(b, bytes) {
    const at = b.pos;
    if (at + bytes > b.limit) grow(b, bytes);
    b.pos = at + bytes;
    return at;
  }

  /** Reserves `bytes`, a multiple of 8, set to 0. */
  function allocate(b, bytes) {
    const at = reserve(b, bytes);
    const f64 = b.f64;
    if (bytes > 512) fillWords(f64, 0, at >> 3, (at + bytes) >> 3);
    else for (let i = at >> 3, end = (at + bytes) >> 3; i < end; i++) f64[i] = 0;
    return at;
  }

  function grow(b, bytes) {
    const used = b.pos - b.offset;
    if (used + bytes > b.maxBytes) {
      throw new MessageError(`message: larger than ${b.maxBytes} bytes; send it in parts`);
    }
    let size = 2 * (b.limit - b.offset);
    if (size < used + bytes) size = used + bytes + 64;
    size = b.offset + size;
    const chunk = new Chunk(new Buffer(size + 7 - ((size + 7) % 8)));
    setBytes(chunk.u8, new Bytes(b.buffer, b.offset, used), b.offset);
    b.use(chunk);
    b.isOwn = true;
    b.limit = bufferLength(chunk.buffer);
  }

  /** Allocates a struct for the pointer at byte `p`; returns its first byte. */
  function newStruct(b, p, dataWords, pointers) {
    const at = allocate(b, (dataWords + pointers) * 8);
    const i = p >> 2;
    b.i32[i] = dataWords + pointers === 0 ? -4 : ((at - p - 8) >> 3) << 2;
    b.i32[i + 1] = dataWords | (pointers << 16);
    return at;
  }

  /** Allocates a list for the pointer at byte `p`; returns its first byte. */
  function newList(b, p, code, count, bytes) {
    if (count >= 0x20000000) throw new Problem('expected a list of fewer than 2^29 elements');
    const at = allocate(b, bytes + 7 - ((bytes + 7) % 8));
    listPointer(b, p, at, code, count);
    return at;
  }

  /** Allocates a list of structs; returns its first element's first byte. */
  function newStructList(b, p, count, dataWords, pointers) {
    const words = count * (dataWords + pointers);
    if (words >= 0x20000000) throw new Problem('expected a list of fewer than 2^29 words');
    const at = allocate(b, (words + 1) * 8);
    listPointer(b, p, at, 7, words);
    b.i32[at >> 2] = count << 2;
    b.i32[(at >> 2) + 1] = dataWords | (pointers << 16);
    return at + 8;
  }

  function writeText(b, p, text) {
    const length = text.length;
    if (length < SHORT_TEXT_BYTES) {
      const at = reserve(b, (length >> 3) * 8 + 8);
      const u8 = b.u8;
      b.f64[(b.pos >> 3) - 1] = 0;
      let i = 0;
      for (; i < length; i++) {
        const c = charCodeAt(text, i);
        if (c > 127) break;
        u8[at + i] = c;
      }
      if (i === length) {
        return listPointer(b, p, at, 2, length + 1);
      }
      b.pos = at;
    }
    // UTF-8 takes at most three bytes for each UTF-16 unit.
    const at = reserve(b, ((length * 3) >> 3) * 8 + 8);
    const written = length === 0 ? 0 : utf8Encode(text, b.u8, at);
    b.pos = at + (written >> 3) * 8 + 8;
    for (let i = at + written; i < b.pos; i++) b.u8[i] = 0;
    if (written >= 0x1fffffff) throw new Problem('expected a text of less than 512 MiB');
    listPointer(b, p, at, 2, written + 1);
  }

  /**
   * Writes Data. From `blobThreshold` bytes on it becomes a segment of its own, without a copy
   * if `value` spans its whole buffer (which is sealed, so `value` is empty afterwards) or views
   * an immutable one at a multiple of 8. The receiver can see the whole of such a buffer.
   */
  function writeData(b, p, value) {
    if (!isView(value) || typedArrayTag(value) !== 'Uint8Array') {
      throw new Problem(expected('a Uint8Array', value));
    }
    const length = byteLengthOf(value);
    if (length === 0 || length >= b.blobThreshold) {
      const buffer = bufferOf(value);
      if (length === 0 && !isShared(buffer) && isDetached(buffer)) return repeatBlob(b, p, buffer);
      if (length > 0) return writeBlob(b, p, value, buffer, length);
    }
    const at = reserve(b, (length + 7) & ~7);
    if (length > 0) b.f64[(b.pos >> 3) - 1] = 0;
    if (length > 64) setBytes(b.u8, value, at);
    else for (let i = 0, u8 = b.u8; i < length; i++) u8[at + i] = value[i];
    listPointer(b, p, at, 2, length);
  }

  function listPointer(b, p, target, code, count) {
    b.i32[p >> 2] = (((target - p - 8) >> 3) << 2) | 1;
    b.i32[(p >> 2) + 1] = code | (count << 3);
  }

  function writeBlob(b, p, value, buffer, length) {
    let base = byteOffsetOf(value);
    let sealed = null;
    if (!isShared(buffer)) {
      if (isImmutable(buffer)) {
        if ((base & 7) === 0) sealed = buffer;
      } else if (length === bufferLength(buffer) && !bufferResizable(buffer)) {
        sealed = seal(buffer);
      }
    }
    if (sealed === null) {
      const copy = new Bytes(length);
      setBytes(copy, value);
      sealed = seal(bufferOf(copy));
      base = 0;
    }
    if (b.blobs === null) b.blobs = setPrototypeOf([], null);
    const id = b.blobs.length + 1;
    b.blobs[id - 1] = { buffer: sealed, base, end: base + length, from: buffer };
    blobPointer(b, p, id, length);
  }

  /** One value twice in a message: sealing it the first time has emptied it. */
  function repeatBlob(b, p, from) {
    for (let i = 0; b.blobs !== null && i < b.blobs.length; i++) {
      const blob = b.blobs[i];
      if (blob.from === from) return blobPointer(b, p, i + 1, blob.end - blob.base);
    }
    throw new Problem(
      'the bytes were moved away, as by an earlier call; to keep them, pass a copy: bytes.slice()',
    );
  }

  /** A double-far pointer: its landing pad, in segment 0, leads to the start of segment `id`. */
  function blobPointer(b, p, id, length) {
    if (length >= 0x20000000) throw new Problem('expected less than 512 MiB of bytes');
    const pad = reserve(b, 16);
    const i32 = b.i32;
    i32[p >> 2] = (((pad - b.offset) >> 3) << 3) | 6;
    i32[(p >> 2) + 1] = 0;
    i32[pad >> 2] = 2;
    i32[(pad >> 2) + 1] = id;
    i32[(pad >> 2) + 2] = 1;
    i32[(pad >> 2) + 3] = 2 | (length << 3);
  }

  // ---------------------------------------------------------------- values that do not fit

  /** Why a value cannot be encoded; becomes a TypeError once the path is known. */
  class Problem {
    path = '';
    constructor(text) {
      this.text = text;
    }
  }

  function show(value) {
    switch (typeof value) {
      case 'string':
        return value.length > 40 ? `"${stringSlice(value, 0, 40)}..."` : `"${value}"`;
      case 'number':
      case 'boolean':
      case 'undefined':
        return `${value}`;
      case 'bigint':
        return `${value}n`;
      case 'object':
        return value === null ? 'null' : isArray(value) ? 'an array' : 'an object';
      default:
        return `a ${typeof value}`;
    }
  }
  const expected = (what, value) => `expected ${what}, got ${show(value)}`;

  /** The error for the field or element `name` whose value is not `what`. */
  const bad = (name, what, value) => inField(new Problem(expected(what, value)), name);

  /** Puts the field or element `name` before the problem's path; leaves other errors alone. */
  function inField(error, name) {
    if (error instanceof Problem) {
      const rest = error.path;
      const head = typeof name === 'number' ? `[${name}]` : name;
      error.path = rest === '' || rest[0] === '[' ? head + rest : `${head}.${rest}`;
    }
    return error;
  }

  /** What a service sees: a TypeError that begins with `where`, "auth.Auth.check params". */
  function atTop(error, where) {
    if (!(error instanceof Problem)) return error;
    const field = error.path === '' ? '' : ` field "${error.path}":`;
    return new FieldError(`${where}:${field} ${error.text}`);
  }

  const twoMembers = (one, other) =>
    new Problem(`"${one}" and "${other}" are members of one union; set one of them`);

  /** Called when `value` has another number of keys than the struct knows of. */
  function checkKeys(value, names, struct) {
    const own = keys(value);
    for (let i = 0; i < own.length; i++) {
      if (!includes(names, own[i])) {
        const near = nearest(own[i], names);
        const hint = near === '' ? `; it has ${list(names)}` : `; did you mean "${near}"?`;
        throw new Problem(`field "${own[i]}" is not in struct ${struct}${hint}`);
      }
    }
  }

  /** The name at `number`, or the number itself: a newer schema's. */
  const named = (names, number) => (number < names.length ? names[number] : number);

  function enumNumber(names, numbers, value, name) {
    if (typeof value === 'string') {
      const number = numbers[value];
      if (number !== undefined) return number;
    } else if (typeof value === 'number' && (value & 0xffff) === value) {
      return value;
    }
    throw badEnum(name, value, names);
  }

  function badEnum(name, value, names) {
    const near = typeof value === 'string' ? nearest(value, names) : '';
    const hint = near === '' ? '' : `; did you mean "${near}"?`;
    return inField(new Problem(`${expected(`one of ${list(names)}`, value)}${hint}`), name);
  }

  function includes(names, name) {
    for (let i = 0; i < names.length; i++) if (names[i] === name) return true;
    return false;
  }

  function list(names) {
    let text = names.length === 0 ? 'no fields' : '';
    for (let i = 0; i < names.length && i < 20; i++) text += (i > 0 ? ', ' : '') + names[i];
    return names.length > 20 ? `${text}, ...` : text;
  }

  /** The name at most two edits away from `word`, or ''. */
  function nearest(word, names) {
    let best = '';
    let least = 3;
    for (let n = 0; n < names.length; n++) {
      const name = names[n];
      if (name.length - word.length > 2 || word.length - name.length > 2) continue;
      let row = [0];
      for (let i = 1; i <= name.length; i++) row[i] = i;
      for (let j = 1; j <= word.length; j++) {
        const next = [j];
        for (let i = 1; i <= name.length; i++) {
          const swap = row[i - 1] + (name[i - 1] === word[j - 1] ? 0 : 1);
          const skip = (row[i] < next[i - 1] ? row[i] : next[i - 1]) + 1;
          next[i] = swap < skip ? swap : skip;
        }
        row = next;
      }
      if (row[name.length] < least && row[name.length] < name.length) {
        least = row[name.length];
        best = name;
      }
    }
    return best;
  }

  /** A 64-bit value: a bigint, or a number that is a safe integer. */
  function int64(name, value) {
    const n = typeof value === 'number' && isSafeInteger(value) ? toBigInt(value) : value;
    if (typeof n !== 'bigint' || asIntN(64, n) !== n) {
      throw bad(name, 'a bigint from -2^63 to 2^63-1', value);
    }
    return n;
  }
  function uint64(name, value) {
    const n = typeof value === 'number' && isSafeInteger(value) ? toBigInt(value) : value;
    if (typeof n !== 'bigint' || asUintN(64, n) !== n) {
      throw bad(name, 'a bigint from 0 to 2^64-1', value);
    }
    return n;
  }

  /** What a list field was given, as something with `length` and indices. */
  function elements(value) {
    if (isArray(value)) return value;
    if (typeof value === 'object' && value !== null) {
      if (isView(value) && typedArrayTag(value) !== undefined) return value;
      if (typeof value[iterator] === 'function') return arrayFrom(value);
    }
    throw new Problem(expected('an array', value));
  }

  // A float's bits, for defaults other than 0.
  const bits = new Chunk(new Buffer(8));
  function float32(low) {
    bits.i32[0] = low;
    return bits.f32[0];
  }
  function float64(bigint) {
    bits.i64[0] = bigint;
    return bits.f64[0];
  }

  /** A constant list of names; without a prototype, so that nothing put on Array's is seen. */
  const constant = (array) => freeze(setPrototypeOf(array, null));
  const copy = (array) => copyBytes(array, 0, array.length);
  const notObject = (value) => new Problem(expected('an object', value));

  /** An entry of a generated interface. */
  function method({ name, ordinal, where, Params, encodeParams, Results, encodeResults }) {
    const encoder = (encode, place) => (b, value) => {
      try {
        encode(b, value === undefined ? nothing : value, b.offset, DEPTH_LIMIT);
      } catch (error) {
        throw atTop(error, place);
      }
    };
    return freeze({
      name,
      ordinal,
      readParams: (message) => readRoot(Params, message),
      readResults: (message) => readRoot(Results, message),
      encodeParams: encoder(encodeParams, `${where} params`),
      encodeResults: encoder(encodeResults, `${where} results`),
    });
  }
  const nothing = freeze({ __proto__: null });

  return freeze({
    DEPTH_LIMIT,
    Chunk,
    Message,
    MessageError,
    Builder,
    ABSENT,
    method,
    names: constant,
    named,
    copy,
    notObject,
    enumNumber,
    readRoot,
    readStruct,
    readList,
    readText,
    readData,
    finishStruct,
    finishList,
    newStruct,
    newList,
    newStructList,
    writeText,
    writeData,
    elements,
    int64,
    uint64,
    float32,
    float64,
    Problem,
    bad,
    inField,
    atTop,
    twoMembers,
    checkKeys,
    tooDeep,
    freeze,
  });
})
