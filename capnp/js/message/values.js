// Values that services give: checks, error messages, and what is handed to generated code.

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

/** What a streaming method may return. Its results are an empty struct. */
function noResults(b, value, where) {
  if (value !== undefined && value !== null && (typeof value !== 'object' || keys(value).length > 0)) {
    throw new FieldError(`${where}: a streaming method returns nothing, got ${show(value)}`);
  }
  newStruct(b, b.offset, 0, 0);
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
const notText = (value) => new Problem(expected('a string', value));
const notObject = (value) => new Problem(expected('an object', value));

const nothing = freeze({ __proto__: null });

// What is generated for interfaces: see the crate's `javascript` module. Made by constructors, for
// a literal without a prototype is a hash table to V8, and these are looked at with each call.
/** What the host makes of an interface or a method, once. */
class Own {
  constructor() {
    this.made = null;
  }
}
setPrototypeOf(Own.prototype, null);

class Face {
  constructor(id, name, lineage) {
    this.id = id;
    this.name = name;
    this.lineage = lineage;
    this.methods = null;
    this.own = new Own();
  }
}
setPrototypeOf(Face.prototype, null);

class Method {
  constructor(from) {
    this.name = from.name;
    this.interfaceId = from.interfaceId;
    this.interfaceLow = from.interfaceLow;
    this.interfaceHigh = from.interfaceHigh;
    this.ordinal = from.ordinal;
    this.streaming = from.streaming;
    this.invoke = from.invoke;
    this.readParams = from.readParams;
    this.readResults = from.readResults;
    this.encodeParams = from.encodeParams;
    this.encodeResults = from.encodeResults;
    this.pipeline = from.pipeline;
    this.answers = from.answers;
    this.sole = from.sole;
    this.own = new Own();
  }
}
setPrototypeOf(Method.prototype, null);

class Part {
  constructor(pointer, face, fields, get) {
    this.pointer = pointer;
    this.face = face;
    this.fields = fields;
    this.get = get;
  }
}
setPrototypeOf(Part.prototype, null);

const rt = freeze({
  DEPTH_LIMIT,
  Chunk,
  Message,
  MessageError,
  Builder,
  Face,
  Method,
  Part,
  append,
  ABSENT,
  nothing,
  names: constant,
  named,
  copy,
  notObject,
  notText,
  enumNumber,
  readRoot,
  readStruct,
  readList,
  readText,
  readData,
  readCapability,
  capabilityIndex,
  anyFace,
  readAny,
  writeAny,
  copyStruct,
  isNull,
  defaultMessage,
  fresh,
  finishStruct,
  finishList,
  newStruct,
  newList,
  newStructList,
  writeText,
  writeData,
  writeCapability,
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
  noResults,
  checkKeys,
  tooDeep,
  freeze,
});
