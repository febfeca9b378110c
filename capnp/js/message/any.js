// AnyPointer: reading what has no type in the schema, writing it, and copying what is unknown.

const CAPABILITY = 3;
const KINDS = ['struct', 'list', '', 'capability'];
setPrototypeOf(KINDS, null);

/** The face of a capability whose interface is not known. */
const anyFace = freeze({
  __proto__: null,
  id: '',
  name: 'Capability',
  lineage: freeze([]),
  methods: freeze([]),
  own: { __proto__: null, made: null },
});

/** The kind of what the pointer at byte `p` leads to: 0 struct, 1 list, 3 capability. */
function kindAt(s, p) {
  if ((s.v.i32[p >> 2] & 3) === CAPABILITY) {
    if (s.v.i32[p >> 2] !== CAPABILITY) throw malformed('a pointer of an unknown kind');
    return CAPABILITY;
  }
  resolve(s, p);
  if (foundKind > 1) throw malformed('a far pointer leads to no struct or list');
  return foundKind;
}

/**
 * A pointer to something whose type the schema leaves open. `types` says how each type is read:
 * "Text", "Data", an id of 16 hex digits, "List(...)".
 */
class AnyPointer {
  #s; #p; #l; #types;
  constructor(s, p, l, types) {
    this.#s = s;
    this.#p = p;
    this.#l = l;
    this.#types = types;
  }
  get kind() {
    return KINDS[kindAt(this.#s, this.#p)];
  }
  as(type) {
    return typeNamed(this.#types, type).read(this.#s, this.#p, this.#l);
  }
  toJSON() {
    return `AnyPointer to a ${this.kind}`;
  }
  static copy(b, o, ptr, l, want) {
    if (!(o instanceof AnyPointer && #s in o)) return false;
    if (want >= 0 && kindAt(o.#s, o.#p) !== want) throw new Problem(expected(`a ${KINDS[want]}`, o));
    copyPointer(b, ptr, o.#s, o.#p, l);
    return true;
  }
}
const copyAny = AnyPointer.copy;
delete AnyPointer.copy;
finish(AnyPointer, 'AnyPointer');

/** What the pointer at byte `p` leads to, or null. `want`: the kind that it must have, or -1. */
function readAny(s, p, l, types, want) {
  if (isNull(s, p)) return null;
  if (want >= 0 && kindAt(s, p) !== want) throw malformed(`expected a ${KINDS[want]}`);
  return new AnyPointer(s, p, l, types);
}

/** The name in `types` of what a service names as "Text", { typeId }, { list: ... }. */
function typeName(type, levels) {
  if (typeof type === 'string') return type;
  if (typeof type === 'object' && type !== null && levels > 0) {
    const { typeId } = type;
    if (typeof typeId === 'string') return typeId;
    const inner = typeName(type.list, levels - 1);
    if (inner !== '') return `List(${inner})`;
  }
  return '';
}

function typeNamed(types, type) {
  const entry = types[typeName(type, 8)];
  if (typeof entry === 'object') return entry;
  throw new FieldError(
    'AnyPointer: expected a type: "Text", "Data", "List(Int32)", { typeId }, or { list: type }; ' +
      `got ${show(type)}`,
  );
}

/**
 * Writes what a service gives for an AnyPointer (neither null nor undefined): a text, bytes,
 * something that was read, { type, value }, or else a capability.
 */
function writeAny(b, p, value, l, types, want) {
  if (want < 0) {
    if (typeof value === 'string') return writeText(b, p, value);
    if (isView(value)) return writeData(b, p, value);
  }
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') {
    throw new Problem(expected('something that was read, or { type, value }', value));
  }
  if (l <= 0) throw tooDeep();
  if (copyAny(b, value, p, l, want)) return;
  if (want !== 1 && types.copyStruct(b, value, p, l)) return;
  if (want !== 0 && types.copyList(b, value, p, l)) return;
  const { type } = value;
  const name = typeName(type, 8);
  if (name === '' || types[name] === undefined) {
    if (want < 0) return writeCapability(b, p, value, anyFace);
    throw new Problem(expected('something that was read, or { type, value }', value));
  }
  const isList = name[0] === 'L';
  if ((want === 0 && isList) || (want === 1 && !isList)) {
    throw new Problem(`expected a ${KINDS[want]}, got a value of type ${name}`);
  }
  types[name].write(b, p, value.value, l - 1);
}

/** Copies what the pointer at byte `q` of segment `s` leads to, for the pointer at byte `p`. */
function copyPointer(b, p, s, q, l) {
  if (isNull(s, q)) return;
  if (l <= 0) throw tooDeep();
  const kind = kindAt(s, q);
  if (kind === CAPABILITY) {
    const held = readCapability(s, q, anyFace);
    if (held !== null && held !== undefined) writeCapability(b, p, held, anyFace);
  } else if (kind === 0) {
    readStruct(StructCopy, s, q, DEPTH_LIMIT).to(b, p, l);
  } else {
    copyList(b, p, s, q, l);
  }
}

/** A struct that is about to be copied. */
class StructCopy {
  constructor(s, d, n, c) {
    this.s = s;
    this.d = d;
    this.n = n;
    this.c = c;
  }
  to(b, p, l) {
    copyStruct(b, p, this.s, this.d, this.n, this.c, l);
  }
}
setPrototypeOf(StructCopy.prototype, null);

/** Copies the struct at byte `d` of `s`: `n` bytes of data, a multiple of 8, `c` pointers. */
function copyStruct(b, p, s, d, n, c, l) {
  if (l <= 0) throw tooDeep();
  // The element of a list of numbers, read as a struct, has less than a word.
  const words = (n + 7) >> 3;
  copyBody(b, newStruct(b, p, words, c), words, s, d, n, c, l);
}

function copyBody(b, at, words, s, d, n, c, l) {
  const from = s.v.u8;
  for (let i = 0; i < n; i++) b.u8[at + i] = from[d + i];
  for (let i = 0; i < c; i++) copyPointer(b, at + (words + i) * 8, s, d + n + i * 8, l - 1);
}

function copyList(b, p, s, q, l) {
  const list = readList(ListCopy, s, q, DEPTH_LIMIT, ANY);
  const { code, from, at, count, data, pointers } = list;
  if (code === 7) {
    const to = newStructList(b, p, count, data >> 3, pointers);
    const step = data + pointers * 8;
    for (let i = 0; i < count; i++) {
      copyBody(b, to + i * step, data >> 3, from, at + i * step, data, pointers, l - 1);
    }
  } else if (code === 6) {
    const to = newList(b, p, 6, count, count * 8);
    for (let i = 0; i < count; i++) copyPointer(b, to + i * 8, from, at + i * 8, l - 1);
  } else {
    const bytes = code === 1 ? (count + 7) >> 3 : count * ELEMENT_BYTES[code];
    if (code === 2 && bytes >= b.blobThreshold && from !== from.m) {
      // A sealed segment goes on as it is.
      return writeData(b, p, new Bytes(from.buffer, at, bytes));
    }
    const to = newList(b, p, code, count, bytes);
    if (bytes > 64) setBytes(b.u8, new Bytes(from.v.buffer, at, bytes), to);
    else for (let i = 0; i < bytes; i++) b.u8[to + i] = from.v.u8[at + i];
  }
}

/** A list that is about to be copied: `resolve` found it last, so its code is known. */
class ListCopy {
  constructor(s, at, count, step, data, pointers) {
    this.code = foundSizes & 7;
    this.from = s;
    this.at = at;
    this.count = count;
    this.data = data;
    this.pointers = pointers;
  }
}
setPrototypeOf(ListCopy.prototype, null);

/** The message with the default of a list or struct, from its 32-bit halves. */
function defaultMessage(halves) {
  const buffer = new Buffer(halves.length * 4);
  const chunk = new Chunk(buffer);
  for (let i = 0; i < halves.length; i++) chunk.u32[i] = halves[i];
  return Message(chunk, 0, halves.length * 4, null);
}

/** A default's message, to be read once more: each reading has the whole budget. */
function fresh(message) {
  message.budget = TRAVERSAL_LIMIT_WORDS;
  return message;
}
