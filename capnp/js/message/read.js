// Memory, pointers, text and data: reading a message in place.

/** Typed views over one buffer, made once and shared by all messages in it. */
class Chunk {
  constructor(buffer) {
    const words = (bufferLength(buffer) / 8) | 0;
    this.buffer = buffer;
    this.u8 = new Bytes(buffer);
    this.i8 = new Int8s(buffer);
    this.u16 = new Uint16s(buffer, 0, words * 4);
    this.i16 = new Int16s(buffer, 0, words * 4);
    this.u32 = new Uint32s(buffer, 0, words * 2);
    this.i32 = new Int32s(buffer, 0, words * 2);
    this.f32 = new Float32s(buffer, 0, words * 2);
    this.f64 = new Float64s(buffer, 0, words);
    this.u64 = new BigUint64s(buffer, 0, words);
    this.i64 = new BigInt64s(buffer, 0, words);
  }
}
// A setter put on Object.prototype must not see what a constructor here assigns.
setPrototypeOf(Chunk.prototype, null);

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
    // What the host keeps for this message's capabilities; nothing here looks at it.
    this.caps = null;
    this.budget = TRAVERSAL_LIMIT_WORDS;
    this.limit = TRAVERSAL_LIMIT_WORDS;
  }
}
setPrototypeOf(Segment.prototype, null);

/**
 * A message whose segment 0 is [base, end) of `chunk`; base is a multiple of 8. `segments`
 * holds segments 1..n as {buffer, base, end}, each in an immutable buffer that holds nothing
 * else. The traversal limit is 8 Mi words, or twice the message if that is more.
 */
function Message(chunk, base, end, segments) {
  const message = new Segment(null, chunk, chunk.buffer, base, end);
  if (segments !== undefined && segments !== null && segments.length > 0) {
    let all = null;
    let bytes = end - base;
    for (let i = 0; i < segments.length; i++) {
      const s = segments[i];
      if ((s.base & 7) !== 0) throw malformed('a segment does not start at a word');
      const segment = new Segment(message, null, s.buffer, s.base, s.end);
      if (all === null) all = [message, segment];
      else append(all, segment);
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

// What `resolve` found: the segment, the object's first byte, the pointer's kind, the sizes.
let foundSegment = ABSENT;
let foundAt = 0;
let foundKind = 0;
let foundSizes = 0;

function segmentAt(message, id) {
  if (id === 0) return message;
  const segments = message.segments;
  // An index past the end would be looked up in Array.prototype.
  if (segments === null || id >>> 0 >= segments.length) {
    throw malformed('a far pointer names a segment that is not there');
  }
  return segments[id >>> 0];
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
  if (message.end - message.base < 8) throw malformed('it has no root');
  return readStruct(Reader, message, message.base, DEPTH_LIMIT);
}

// What element sizes 0..5 take, in bytes; 1 (bits) is handled apart.
const ELEMENT_BYTES = [0, 0, 1, 2, 4, 8];

/** Instead of an element size code: whatever is there. */
const ANY = 8;

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
    const bytes = code === 1 ? (count + 7) >> 3 : count * (code === 6 ? 8 : ELEMENT_BYTES[code]);
    if (at + bytes > s.end) throw outOfBounds();
    data = code === 6 ? 0 : ELEMENT_BYTES[code];
    pointers = code === 6 ? 1 : 0;
    step = data + pointers * 8;
    pay(s.m, 1 + ((bytes / 8) | 0) + (code === 0 ? count : 0));
  }
  // Also when it is empty, as other implementations do.
  if (want === 6) {
    if (pointers === 0) throw malformed('expected a list of pointers');
  } else if (want === 1) {
    if (code !== 1) throw malformed('expected a list of bits');
  } else if (code === 1) {
    if (want !== ANY) throw malformed('expected no list of bits');
  } else if (want < 6 && data < ELEMENT_BYTES[want]) {
    throw malformed('expected a list of another element size');
  }
  return new List(s, at, count, step, data, pointers, l - 1);
}

/**
 * The capability of the pointer at byte `p`, or null. The pointer holds an index into a table that
 * travels beside the message. The host keeps that table, `message.caps` is its to set, and
 * `capability` gives the object for an index (0 to 2^32-1, not checked here) as one with the
 * methods of `face`, a generated interface.
 */
function readCapability(s, p, face) {
  const index = s.v.i32[(p >> 2) + 1];
  if (s.v.i32[p >> 2] !== 3) {
    if (isNull(s, p)) return null;
    throw malformed('expected a capability');
  }
  return capability(s.m, index >>> 0, face);
}

/**
 * Follows a pipelined path: the pointer index at each step, from the root's struct to the struct
 * that holds the capability. Returns the index into the message's table, -1 if there is none.
 */
function capabilityIndex(message, path) {
  let at = readRoot(Step, message);
  for (let i = 0; i < path.length; i++) {
    const pointer = path[i];
    if (at.c <= pointer) return -1;
    const { s } = at;
    const p = at.d + at.n + pointer * 8;
    if (i < path.length - 1) {
      at = readStruct(Step, s, p, at.l);
      continue;
    }
    if (s.v.i32[p >> 2] === 3) return s.v.i32[(p >> 2) + 1] >>> 0;
    if (!isNull(s, p)) throw malformed('expected a capability');
  }
  return -1;
}

/** A struct on the way of `capabilityIndex`. */
class Step {
  constructor(s, d, n, c, l) {
    this.s = s;
    this.d = d;
    this.n = n;
    this.c = c;
    this.l = l;
  }
}
setPrototypeOf(Step.prototype, null);

function readBytes(s, p, what) {
  resolve(s, p);
  if (foundKind !== 1 || (foundSizes & 7) !== 2) throw malformed(`expected ${what}`);
  const length = foundSizes >>> 3;
  if (foundAt < foundSegment.base || foundAt + length > foundSegment.end) throw outOfBounds();
  return length;
}

function readText(s, p, absent) {
  const lo = s.v.i32[p >> 2];
  const hi = s.v.i32[(p >> 2) + 1];
  let length = hi >>> 3;
  let at = p + 8 + (lo >> 2) * 8;
  if ((lo & 3) !== 1 || (hi & 7) !== 2) {
    if (lo === 0 && hi === 0) return absent;
    length = readBytes(s, p, 'Text');
    at = foundAt;
    s = foundSegment;
  } else if (at < s.base || at + length > s.end) {
    throw outOfBounds();
  }
  pay(s.m, 1 + (length >> 3));
  const u8 = viewsOf(s).u8;
  if (length === 0 || u8[at + length - 1] !== 0) throw malformed('Text without its final 0');
  if (length > SHORT_TEXT_BYTES || at + ((length + 7) & ~7) > s.end) {
    return utf8Decode(u8, at, at + length - 1);
  }
  return shortText(s.v, at, length - 1);
}

/** Fewer than 32 bytes, read by words. Few parts, for a string in many is slow to read. */
function shortText(v, at, length) {
  const { i32 } = v;
  let w = at >> 2;
  let left = length;
  let text = '';
  if (left >= 16) {
    const a = i32[w], b = i32[w + 1], c = i32[w + 2], d = i32[w + 3];
    if (((a | b | c | d) & 0x80808080) !== 0) return utf8Decode(v.u8, at, at + length);
    text = fromCharCode(
      a & 255, (a >> 8) & 255, (a >> 16) & 255, a >> 24,
      b & 255, (b >> 8) & 255, (b >> 16) & 255, b >> 24,
      c & 255, (c >> 8) & 255, (c >> 16) & 255, c >> 24,
      d & 255, (d >> 8) & 255, (d >> 16) & 255, d >> 24,
    );
    if (left === 16) return text;
    left -= 16;
    w += 4;
  }
  // The bytes after the text, up to the end of its word, may be anything.
  let part;
  if (left >= 8) {
    const a = i32[w], b = i32[w + 1];
    const c = firstBytes(i32[w + 2], left - 8), d = firstBytes(i32[w + 3], left - 12);
    if (((a | b | c | d) & 0x80808080) !== 0) return utf8Decode(v.u8, at, at + length);
    part = moreCharacters(a, b, c, d, left - 8);
  } else {
    const a = firstBytes(i32[w], left), b = firstBytes(i32[w + 1], left - 4);
    if (((a | b) & 0x80808080) !== 0) return utf8Decode(v.u8, at, at + length);
    part = fewCharacters(a, b, left);
  }
  return left === length ? part : text + part;
}

function firstBytes(word, count) {
  if (count >= 4) return word;
  return count > 0 ? word & ((1 << (count * 8)) - 1) : 0;
}

function fewCharacters(a, b, count) {
  const c0 = a & 255, c1 = (a >> 8) & 255, c2 = (a >> 16) & 255, c3 = a >> 24;
  switch (count) {
    case 0: return '';
    case 1: return fromCharCode(c0);
    case 2: return fromCharCode(c0, c1);
    case 3: return fromCharCode(c0, c1, c2);
    case 4: return fromCharCode(c0, c1, c2, c3);
    case 5: return fromCharCode(c0, c1, c2, c3, b);
    case 6: return fromCharCode(c0, c1, c2, c3, b & 255, b >> 8);
    default: return fromCharCode(c0, c1, c2, c3, b & 255, (b >> 8) & 255, b >> 16);
  }
}

/** Eight, and `count` more. */
function moreCharacters(a, b, c, d, count) {
  const a0 = a & 255, a1 = (a >> 8) & 255, a2 = (a >> 16) & 255, a3 = a >> 24;
  const b0 = b & 255, b1 = (b >> 8) & 255, b2 = (b >> 16) & 255, b3 = b >> 24;
  const c0 = c & 255, c1 = (c >> 8) & 255, c2 = (c >> 16) & 255, c3 = c >> 24;
  const d0 = d & 255, d1 = (d >> 8) & 255, d2 = d >> 16;
  switch (count) {
    case 0: return fromCharCode(a0, a1, a2, a3, b0, b1, b2, b3);
    case 1: return fromCharCode(a0, a1, a2, a3, b0, b1, b2, b3, c0);
    case 2: return fromCharCode(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1);
    case 3: return fromCharCode(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2);
    case 4: return fromCharCode(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3);
    case 5: return fromCharCode(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0);
    case 6: return fromCharCode(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1);
    default: return fromCharCode(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2);
  }
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
