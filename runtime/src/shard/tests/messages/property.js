// Makes random values of a random schema, and compares what became of them.
//
// `write` encodes them and gives them as JSON for the reference; `read` makes the same values again
// and compares with what the reference read, and with what it wrote. Values are compared in a
// canonical form that leaves out what equals its default.
(function (rt, generated, input) {
  'use strict';
  const { schema, seed, count, phase, json, messages } = input;
  const method = Object.values(generated.interfaces)[0].methods[0];
  let state = BigInt(seed);
  const next = () => {
    state ^= state >> 12n;
    state = BigInt.asUintN(64, state ^ (state << 25n));
    state ^= state >> 27n;
    return Number(BigInt.asUintN(64, state * 0x2545f4914f6cdd1dn) >> 32n);
  };
  const below = (n) => next() % n;
  const chance = (percent) => below(100) < percent;

  const WIDTH = { Int8: 8, Int16: 16, Int32: 32, Int64: 64, UInt8: 8, UInt16: 16, UInt32: 32, UInt64: 64 };
  const CHARS = ['a', 'Z', '0', '"', '\\', '\n', ' ', 'é', 'ß', '€', '漢', '🦊', '\u007f', '\u0080', '\uffff'];

  // ---- making

  function integer(type) {
    const width = WIDTH[type];
    const bits = (BigInt(next()) << 32n) | BigInt(next());
    const kinds = [0n, 1n, -1n, 1n << BigInt(width - 1), (1n << BigInt(width - 1)) - 1n, bits, BigInt(below(200))];
    const picked = kinds[below(kinds.length)];
    const n = type[0] === 'U' ? BigInt.asUintN(width, picked) : BigInt.asIntN(width, picked);
    return width === 64 ? n : Number(n);
  }
  function text() {
    let t = '';
    for (let n = chance(2) ? below(100) : below(9); n > 0; n--) t += chance(80) ? 'a' : CHARS[below(CHARS.length)];
    return t;
  }
  function make(type, depth) {
    if (typeof type === 'object') {
      if (type.enum) return schema.enums[type.enum][below(schema.enums[type.enum].length)];
      if (type.struct) return makeStruct(schema.structs[type.struct], depth - 1);
      const n = depth <= 0 ? 0 : chance(2) ? below(70) : below(3);
      return Array.from({ length: n }, () => make(type.list, depth - 1));
    }
    switch (type) {
      case 'Void': return null;
      case 'Bool': return chance(50);
      case 'Text': return text();
      case 'Data': return Uint8Array.from({ length: chance(2) ? 128 + below(50) : below(9) }, () => below(256));
      case 'Float32': return Math.fround([0, -0, 1.5, -1e30, 1e-40, next() / 7][below(6)]);
      case 'Float64': return [0, -0, 1.5, -1e300, 5e-324, 0.1, next() / 7, Number.MAX_VALUE][below(8)];
      default: return integer(type);
    }
  }
  function makeStruct(fields, depth) {
    const value = {};
    const members = fields.filter((field) => field.union);
    const member = members.length > 0 && chance(90) ? members[below(members.length)] : undefined;
    for (const field of fields) {
      if (field.union ? field !== member : chance(25)) continue;
      const isStruct = field.group === undefined && field.type.struct !== undefined;
      if (isStruct && depth <= 0) {
        if (field.union) value[field.name] = {};
        continue;
      }
      value[field.name] = field.group ? makeStruct(field.group, depth) : make(field.type, depth);
      if (field.type === 'Void') value[field.name] = true;
    }
    return value;
  }

  // ---- comparing: what one of the three has, in a form of its own

  const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
  const number = (n) => (Object.is(n, -0) ? '-0' : String(n));
  function canonical(type, value) {
    if (typeof type === 'object') {
      if (type.enum) return value;
      if (type.struct) return canonicalStruct(schema.structs[type.struct], value);
      return Array.from(value, (v) => canonical(type.list, v));
    }
    switch (type) {
      case 'Void': return null;
      case 'Bool':
      case 'Text': return value;
      case 'Data': return hex(value);
      case 'Float32': return number(Math.fround(Number(value)));
      default: return number(typeof value === 'string' && WIDTH[type] !== 64 ? Number(value) : value);
    }
  }
  function absent({ type, default: value }) {
    if (value !== null) return type === 'Data' ? hex(value) : type.enum ? value : value;
    if (typeof type === 'object') return type.enum ? schema.enums[type.enum][0] : type.struct ? {} : [];
    return type === 'Void' ? null : type === 'Bool' ? false : type === 'Text' || type === 'Data' ? '' : '0';
  }
  function canonicalStruct(fields, value) {
    const result = {};
    let first = true;
    for (const field of fields) {
      const isFirst = field.union && first;
      if (field.union) first = false;
      const given = value[field.name];
      if (given === undefined) continue;
      const isNull = given === null && field.type !== 'Void';
      const c = isNull ? absent(field) : field.group ? canonicalStruct(field.group, given) : canonical(field.type, given);
      const none = field.group ? {} : absent(field);
      // A union's other members differ from its first one even where they have their defaults.
      if ((!field.union || isFirst) && JSON.stringify(c) === JSON.stringify(none)) continue;
      result[field.name] = c;
    }
    return result;
  }

  // ---- JSON as the reference wants it

  function toJson(type, value) {
    if (typeof type === 'object') {
      if (type.struct) return structToJson(schema.structs[type.struct], value);
      return type.list ? `[${Array.from(value, (v) => toJson(type.list, v)).join(',')}]` : JSON.stringify(value);
    }
    if (type === 'Void') return 'null';
    if (type === 'Data') return `[${Array.from(value).join(',')}]`;
    if (type === 'Bool' || type === 'Text') return JSON.stringify(value);
    return WIDTH[type] === 64 ? `"${value}"` : number(value);
  }
  function structToJson(fields, value) {
    const parts = [];
    for (const { name, type, group } of fields) {
      if (value[name] === undefined) continue;
      parts.push(`"${name}":${group ? structToJson(group, value[name]) : toJson(type, value[name])}`);
    }
    return `{${parts.join(',')}}`;
  }

  const unhex = (h) => Uint8Array.from({ length: h.length / 2 }, (_, i) => parseInt(h.substr(i * 2, 2), 16));
  const builder = new rt.Builder(new ArrayBuffer(65536), 65536, { blobThreshold: 128 });
  const out = { messages: [], json: [] };
  const root = schema.structs.S0;
  for (let index = 0; index < count; index++) {
    const value = makeStruct(root, 4);
    if (phase === 'write') {
      const text = structToJson(root, value);
      builder.begin(0);
      method.encodeParams(builder, value);
      builder.end();
      const segments = [new Uint8Array(builder.buffer, 0, builder.length)];
      for (const { buffer, base, end } of builder.blobs ?? []) segments.push(new Uint8Array(buffer, base, end - base));
      out.messages.push(segments.map(hex));
      out.json.push(text);
      continue;
    }
    const want = JSON.stringify(canonicalStruct(root, value));
    const compare = (got, who) => {
      const text = JSON.stringify(canonicalStruct(root, got));
      if (text !== want) throw new Error(`value ${index}: ${who}\n  got  ${text}\n  want ${want}`);
    };
    compare(JSON.parse(json[index]), 'the reference read what JavaScript wrote');
    const [first, ...others] = messages[index].map((h) => unhex(h).buffer);
    const segments = others.map((buffer) => ({ buffer, base: 0, end: buffer.byteLength }));
    const message = rt.Message(new rt.Chunk(first), 0, first.byteLength, segments);
    compare(method.readResults(message).toObject(), 'JavaScript read what the reference wrote');
  }
  return JSON.stringify(out);
})
