// Building messages.

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
    // What the host keeps for this message's capabilities; nothing here looks at it.
    this.caps = null;
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
    this.caps = null;
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
    this.caps = null;
  }
}
setPrototypeOf(Builder.prototype, null);
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
    const i32 = b.i32;
    b.f64[(b.pos >> 3) - 1] = 0;
    let w = at >> 2;
    let all = 0;
    let i = 0;
    for (; i + 4 <= length; i += 4) {
      const c = charCodeAt(text, i), d = charCodeAt(text, i + 1);
      const e = charCodeAt(text, i + 2), f = charCodeAt(text, i + 3);
      all |= c | d | e | f;
      i32[w++] = c | (d << 8) | (e << 16) | (f << 24);
    }
    if (i < length) {
      let last = 0;
      for (let shift = 0; i < length; i++, shift += 8) {
        const c = charCodeAt(text, i);
        all |= c;
        last |= c << shift;
      }
      i32[w] = last;
    }
    if (all <= 127) return listPointer(b, p, at, 2, length + 1);
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

/**
 * Writes a capability: the host's `addCapability` puts `value` (neither null nor undefined) into
 * the table of the message being built, `builder.caps` is its to use, and returns the index there.
 * It refuses a value by throwing `rt.Problem`, which becomes a TypeError with the field's path.
 */
function writeCapability(b, p, value, face) {
  const index = addCapability(b, value, face);
  b.i32[p >> 2] = 3;
  b.i32[(p >> 2) + 1] = index;
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
  const blob = { buffer: sealed, base, end: base + length, from: buffer };
  if (b.blobs === null) b.blobs = [blob];
  else append(b.blobs, blob);
  blobPointer(b, p, b.blobs.length, length);
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
