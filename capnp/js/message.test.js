// Tries the parts in message/ and the code generated for fixture.capnp; throws at the first mistake.
// `rt` is what those parts returned for `host`, `generated` what the generated code returned for
// `rt`. Patches built-ins of its context.
(function (rt, generated, host) {
  'use strict';

  const CHUNK_BYTES = 65536;
  const fixture = Object.values(generated.interfaces).find(({ name }) => name === 'fixture.Fixture');
  const method = (name) => fixture.methods.find((m) => m.name === name);
  const kinds = method('kinds');
  const small = method('small');
  const blob = method('blob');
  const evolve = method('evolve');

  const builder = new rt.Builder(new ArrayBuffer(CHUNK_BYTES), CHUNK_BYTES, { blobThreshold: 1024 });
  const segments = (blobs) => (blobs === null ? undefined : blobs);

  function build(encode, value, offset = 64) {
    builder.begin(offset);
    try {
      encode(builder, value);
    } catch (error) {
      builder.abort();
      throw error;
    }
    builder.end();
  }
  /** Encodes, copies the message between two others into a chunk, and returns where it is. */
  function send(encode, value, fill = 0x41) {
    build(encode, value);
    const base = 4096;
    const buffer = new ArrayBuffer(base + builder.length + 4096);
    const bytes = new Uint8Array(buffer).fill(fill);
    bytes.set(new Uint8Array(builder.buffer, builder.offset, builder.length), base);
    return { chunk: new rt.Chunk(buffer), base, end: base + builder.length, blobs: segments(builder.blobs) };
  }
  const open = ({ chunk, base, end, blobs }) => rt.Message(chunk, base, end, blobs);
  const params = (m, value) => m.readParams(open(send(m.encodeParams, value)));
  const results = (m, value) => m.readResults(open(send(m.encodeResults, value)));

  function show(value) {
    return JSON.stringify(value, (key, v) => {
      if (typeof v === 'bigint') return `${v}n`;
      if (v instanceof Uint8Array) return `bytes ${Array.from(v)}`;
      if (typeof v === 'object' && v !== null && !Array.isArray(v)) {
        return Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)));
      }
      return v;
    });
  }
  function same(got, want, what) {
    if (show(got) !== show(want)) throw new Error(`${what}: got ${show(got)}, want ${show(want)}`);
  }
  function check(condition, what) {
    if (!condition) throw new Error(what);
  }
  function fails(f, message) {
    try {
      f();
    } catch (error) {
      const text = `${error.name}: ${error.message}`;
      if (text !== message) throw new Error(`want error\n  ${message}\ngot\n  ${text}`);
      return;
    }
    throw new Error(`want error ${message}, got none`);
  }

  // ------------------------------------------------------------ values

  const defaults = {
    void: null, bool: true, int8: -3, int16: 0, int32: -7, int64: -5000000000n, uint8: 0, uint16: 0,
    uint32: 4000000000, uint64: 0n, float32: 1.5, float64: -2.25, text: 'default',
    data: new Uint8Array([1, 2, 3]), color: 'green', voids: [], bools: [], int8s: [], uint16s: [],
    int32s: [], int64s: [], float64s: [], texts: [], datas: [], colors: [], users: [], matrix: [],
    none: null, place: { x: 0, y: 0, label: '' }, contact: { email: '' }, constructor: false,
  };
  const user = { id: 2n ** 64n - 1n, name: 'Zoë 🦊 with a name longer than thirty-two bytes', tags: ['', 'a'] };
  const full = {
    void: null, bool: false, int8: -128, int16: -32768, int32: 2147483647, int64: -(2n ** 63n),
    uint8: 255, uint16: 65535, uint32: 4294967295, uint64: 2n ** 64n - 1n, float32: 0.5,
    float64: 1e300, text: 'héllo', data: new Uint8Array([9, 8]), color: 'blue', user,
    voids: [null, null], bools: [true, false, true, true, false, false, false, false, true],
    int8s: [-1, 127], uint16s: [1, 65535, 3], int32s: [-2147483648, 5], int64s: [-1n, 7n],
    float64s: [0.1, -0.5], texts: ['x', '', 'a text of exactly thirty-one b.', 'a text of exactly thirty-two by.'],
    datas: [new Uint8Array([1]), new Uint8Array(0)], colors: ['red', 'blue'],
    users: [user, { id: 1n, name: 'b', tags: [], friend: { id: 3n, name: 'c', tags: ['t'] } }],
    matrix: [[1, 2], [], [3]], pair: { left: -5, right: 'r' }, place: { x: 1, y: -2, label: 'here' },
    contact: { phone: 4000000000 }, constructor: true,
  };

  function values() {
    same(params(kinds, {}).kinds.toObject(), { ...defaults }, 'absent kinds');
    same(params(kinds, { kinds: {} }).kinds.toObject(), defaults, 'defaults');
    same(params(kinds, undefined).toObject(), {}, 'absent params');
    const back = params(kinds, { kinds: full }).kinds;
    same(back.toObject(), full, 'every kind');
    same(JSON.parse(JSON.stringify(params(small, { id: 3 }))).id, 3, 'toJSON');
    // A reader as the value, twice over.
    same(results(kinds, { kinds: back }).kinds.toObject(), full, 'a reader as value');
    const friend = results(small, { user }).user;
    same(friend.friend.friend.name, '', 'an absent struct has defaults');
    same(results(small, { user: friend }).toObject(), { user }, 'an absent struct stays absent');
    const taken = params(method('taken'), { toJSON_: 'j', toObject_: { which_: 'w' } });
    same([taken.which(), taken.which_, taken.toJSON_, taken.toObject_.which_], ['toObject_', undefined, 'j', 'w'], 'names that readers use');
    same(JSON.parse(JSON.stringify(taken)), { toJSON_: 'j', toObject_: { which_: 'w' } }, 'names that readers use');
    // Readers.
    check(back.which() === 'pair' && back.contact.which() === 'phone', 'which');
    check(back.none === undefined && back.contact.email === undefined, 'inactive members');
    check(back.constructor === true && back.user.constructor === undefined, 'no constructor');
    check(Object.getPrototypeOf(Object.getPrototypeOf(back)) === null, 'prototype chain');
    check(Reflect.ownKeys(back).length === 0, 'a reader shows no fields');
    const { texts, users, int32s } = back;
    check(texts.length === 4 && texts.at(-1) === full.texts[3], 'at');
    check(texts.at(4) === undefined && texts.at(0.5) === undefined && texts.at('0') === undefined, 'at');
    same([...users].map((u) => u.id), [user.id, 1n], 'iteration');
    same(int32s.map((n, i) => n + i), [-2147483648, 6], 'map');
    const loose = { kinds: { int64s: [1, 2n], int32s: new Int32Array([4, 5]), texts: new Set(['s']), color: 2, none: true } };
    const read = params(kinds, loose).kinds;
    same([read.int64s.toArray(), read.int32s.toArray(), read.texts.toArray(), read.color], [[1n, 2n], [4, 5], ['s'], 'blue'], 'loose');
    same(params(kinds, { kinds: { color: 700 } }).kinds.color, 700, 'an enum value from a newer schema');
    for (let length = 0; length < 36; length++) {
      const plain = 'abcdefghijklmnopqrstuvwxyz0123456789'.slice(0, length);
      const texts = [plain];
      for (let i = 0; i < length; i++) {
        for (const c of ['\0', '\x7f', 'é', '中', '😀']) texts.push(plain.slice(0, i) + c + plain.slice(i + 1));
      }
      same(params(kinds, { kinds: { texts } }).kinds.texts.toArray(), texts, `texts of ${length}`);
    }
    let reads = 0;
    params(small, { get name() { reads++; return 'x'; } });
    check(reads === 1, 'each property is read once');
  }

  // ------------------------------------------------------------ what does not fit

  function mistakes() {
    const p = 'TypeError: fixture.Fixture.kinds params:';
    const k = (value) => () => params(kinds, { kinds: value });
    fails(k({ int32: 'x' }), `${p} field "kinds.int32": expected a whole number from -2147483648 to 2147483647, got "x"`);
    fails(k({ int8: 128 }), `${p} field "kinds.int8": expected a whole number from -128 to 127, got 128`);
    fails(k({ uint32: -1 }), `${p} field "kinds.uint32": expected a whole number from 0 to 4294967295, got -1`);
    fails(k({ int64: 2n ** 63n }), `${p} field "kinds.int64": expected a bigint from -2^63 to 2^63-1, got 9223372036854775808n`);
    fails(k({ uint64: 1.5 }), `${p} field "kinds.uint64": expected a bigint from 0 to 2^64-1, got 1.5`);
    fails(k({ float64: 1n }), `${p} field "kinds.float64": expected a number, got 1n`);
    fails(k({ texts: ['a', 7] }), `${p} field "kinds.texts[1]": expected a string, got 7`);
    fails(k({ users: [{}, { tags: [undefined] }] }), `${p} field "kinds.users[1].tags[0]": expected a string, got undefined`);
    fails(k({ matrix: [[1], [2, 'x']] }), `${p} field "kinds.matrix[1][1]": expected a whole number from -2147483648 to 2147483647, got "x"`);
    fails(k({ color: 'gren' }), `${p} field "kinds.color": expected one of red, green, blue, got "gren"; did you mean "green"?`);
    fails(k({ number: 1, word: 'w' }), `${p} field "kinds": "number" and "word" are members of one union; set one of them`);
    fails(k({ contact: { emial: '' } }), `${p} field "kinds.contact": field "emial" is not in struct contact; did you mean "email"?`);
    fails(k({ data: [1] }), `${p} field "kinds.data": expected a Uint8Array, got an array`);
    fails(k({ texts: 'ab' }), `${p} field "kinds.texts": expected an array, got "ab"`);
    fails(k(7), `${p} field "kinds": expected an object, got 7`);
    fails(() => params(kinds, 7), `${p} expected an object, got 7`);
    fails(() => params(small, { idd: 1 }), 'TypeError: fixture.Fixture.small params: field "idd" is not in struct small params; did you mean "id"?');
    const cyclic = { name: 'me' };
    cyclic.friend = cyclic;
    fails(() => results(small, { user: cyclic }), 'MessageError: message: nested deeper than 64 levels; is the value cyclic?');
    const own = new Error('mine');
    fails(() => params(small, { get name() { throw own; } }), 'Error: mine');
    const tiny = new rt.Builder(new ArrayBuffer(64), 64, { maxBytes: 4096 });
    tiny.begin(0);
    fails(() => kinds.encodeParams(tiny, { kinds: { int32s: Array(2000).fill(1) } }), 'MessageError: message: larger than 4096 bytes; send it in parts');
    fails(() => tiny.begin(0), 'MessageError: builder: a message is being built already');
    tiny.abort();
    tiny.begin(0);
    small.encodeParams(tiny, { id: 5 });
    check(tiny.end() === 32, 'a builder works on after an error');
  }

  // ------------------------------------------------------------ blobs and growth

  function blobs() {
    const bytes = new Uint8Array(5003);
    bytes[0] = 1;
    bytes[5002] = 2;
    const sent = send(blob.encodeParams, { data: bytes, more: [bytes, new Uint8Array([3])] });
    check(bytes.length === 0, 'the blob was moved');
    check(sent.blobs.length === 1 && sent.end - sent.base < 200, 'one segment for one blob');
    const got = blob.readParams(open(sent));
    check(got.data.length === 5003 && got.data[0] === 1 && got.data[5002] === 2, 'blob');
    check(got.data === got.data && got.more.at(0) === got.data, 'one view');
    check(got.data.buffer === sent.blobs[0].buffer, 'no copy');
    check(host.isImmutable(got.data.buffer), 'sealed');
    same(got.more.at(1), new Uint8Array([3]), 'inline data');
    check(got.more.at(1).buffer !== sent.chunk.buffer, 'inline data is a copy');
    fails(() => params(blob, { data: bytes }), 'TypeError: fixture.Fixture.blob params: field "data": the bytes were moved away, as by an earlier call; to keep them, pass a copy: bytes.slice()');
    // An immutable buffer goes on as it is, also in part; a part of a mutable one is copied.
    const again = send(blob.encodeResults, { data: got.data });
    check(again.blobs[0].buffer === got.data.buffer && got.data.length === 5003, 'passed on');
    const part = send(blob.encodeResults, { data: got.data.subarray(8, 2000) });
    check(part.blobs[0].buffer === got.data.buffer, 'aligned part');
    check(blob.readResults(open(part)).data.length === 1992, 'aligned part');
    const odd = send(blob.encodeResults, { data: got.data.subarray(1) });
    check(odd.blobs[0].buffer !== got.data.buffer && blob.readResults(open(odd)).data[5001] === 2, 'odd part');
    const mutable = new Uint8Array(4096).fill(7);
    const copied = results(blob, { data: mutable.subarray(0, 2048) }).data;
    mutable.fill(8);
    check(copied.length === 2048 && copied[2047] === 7, 'a part of a mutable buffer');
    // More than the scratch buffer holds.
    const numbers = Array.from({ length: 50000 }, (_, i) => i);
    const long = 'ö'.repeat(100000);
    const large = params(kinds, { kinds: { int32s: numbers, text: long } }).kinds;
    check(large.int32s.length === 50000 && large.int32s.at(-1) === 49999, 'growth');
    check(large.text === long && large.bool === true, 'growth');
    check(params(small, { id: 4 }).id === 4 && !builder.isOwn, 'scratch again');
  }

  // ------------------------------------------------------------ other writers

  function evolution() {
    const old = send(evolve.encodeParams, { id: 4, sizes: [3, 5] });
    const asNew = evolve.readResults(open(old));
    same(asNew.toObject(), { id: 4, sizes: [{ value: 3, unit: '' }, { value: 5, unit: '' }], note: 'new', count: 9 }, 'older writer');
    const sizes = [{ value: 3, unit: 'cm' }, { value: 5, unit: 'm' }];
    const asOld = evolve.readParams(open(send(evolve.encodeResults, { id: 4, sizes, note: 'n', count: 1 })));
    same(asOld.toObject(), { id: 4, sizes: [3, 5] }, 'newer writer');
  }

  /** Segments from rows of 32-bit halves, two for a word. */
  function handmade(...rows) {
    const [first, ...rest] = rows.map((row) => new Uint32Array(row).buffer);
    const others = rest.map((buffer) => ({ buffer: host.seal(buffer), base: 0, end: buffer.byteLength }));
    others.forEach((s) => (s.end = s.buffer.byteLength));
    return rt.Message(new rt.Chunk(first), 0, first.byteLength, others);
  }

  function farPointers() {
    // Old: 1 word of data, 1 pointer.
    const sizes = 1 | (1 << 16);
    const near = handmade([0, sizes, 42, 0, 0, 0]);
    check(evolve.readParams(near).id === 42, 'near');
    const far = handmade([2 | (1 << 3), 1], [0, 0, 0, sizes, 43, 0, 0, 0]);
    check(evolve.readParams(far).id === 43, 'far');
    const double = handmade([6, 1], [2 | (1 << 3), 2, 0, sizes], [0, 0, 44, 0, 0, 0]);
    check(evolve.readParams(double).id === 44, 'double far');
    const list = handmade([0, sizes, 45, 0, 6, 1], [2, 2, 1, 3 | (2 << 3)], [7 | (9 << 16), 0]);
    same(evolve.readParams(list).sizes.toArray(), [7, 9], 'double far to a list');
    const error = (text) => `MessageError: malformed message: ${text}`;
    fails(() => evolve.readParams(handmade([])), error('it has no root'));
    fails(() => evolve.readParams(handmade([2, 7])), error('a far pointer names a segment that is not there'));
    fails(() => evolve.readParams(handmade([2, 1], [2, 0])), error('a far pointer leads to another one'));
    fails(() => evolve.readParams(handmade([2 | (9 << 3), 1], [0, 0])), error('a pointer leads out of its segment'));
    fails(() => evolve.readParams(handmade([1, 2])), error('expected a struct'));
    fails(() => evolve.readParams(handmade([0, 9])), error('a pointer leads out of its segment'));
    fails(() => evolve.readParams(handmade([-8, 1])), error('a pointer leads out of its segment'));
    // Lists that are longer than their segment, or than their own words.
    const beyond = error('a pointer leads out of its segment');
    const sizesOf = (...words) => () => evolve.readParams(handmade([0, sizes, 0, 0, ...words])).sizes;
    fails(sizesOf(1, 3 | (5 << 3), 0, 0), beyond);
    fails(sizesOf(1, 7 | (2 << 3), 4, 1, 0, 0), beyond);
    fails(sizesOf(1, 7 | (1 << 3), 8, 1, 0, 0), error('a list of structs is longer than its words'));
    fails(sizesOf(-19, 3 | (1 << 3)), beyond);
    fails(sizesOf(1, 1 | (8 << 3), 0, 0), error('expected no list of bits'));
    fails(sizesOf(1, 1), error('expected no list of bits'));
    fails(sizesOf(1, 6 | (1 << 3), 0, 0), error('expected a list of another element size'));
    fails(sizesOf(0, 1), error('expected a list'));
    // Lists of bits up to the last bit of their segment, and one of no bits behind it. The first
    // struct is params of `kinds`, its only pointer leads to Kinds, where `bools` is pointer 4.
    const bits = (count, ...words) => kinds.readParams(handmade([0, 1 << 16, 0, 5 << 16, ...Array(8).fill(0), 1, 1 | (count << 3), ...words])).kinds.bools;
    check(bits(64, -1, -1).length === 64 && bits(64, -1, -1).at(63), 'a list of 64 bits');
    check(bits(0).length === 0 && bits(58, 0, 1 << 25).at(57), 'lists of 0 and 58 bits');
    fails(() => bits(65, -1, -1), beyond);
    // One pointer, over and over: a list of 2^29-1 structs of no size costs as if it were large.
    const bomb = handmade([0, 1 | (1 << 16), 0, 0, 1, 7, 0x7ffffffc, 0]);
    fails(() => evolve.readResults(bomb).sizes, 'MessageError: message: read more than 8388608 words; read a large field once and keep it');
  }

  function hostile() {
    const sent = send(kinds.encodeParams, { kinds: full }, 0x51);
    const clean = new Uint8Array(sent.chunk.buffer).slice();
    const { u8 } = sent.chunk;
    let errors = 0;
    for (let i = sent.base; i < sent.end; i++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        u8[i] ^= flip;
        try {
          const text = show(kinds.readParams(open(sent)).toObject());
          check(!text.includes('QQ') && !text.includes('81,81'), `byte ${i}: a neighbour was read`);
        } catch (error) {
          if (error.name !== 'MessageError') throw error;
          errors++;
        }
        u8[i] ^= flip;
      }
    }
    check(errors > 500, 'damage is noticed');
    for (let end = sent.base; end < sent.end; end += 8) {
      try {
        const text = show(kinds.readParams(open({ ...sent, end })).toObject());
        check(!text.includes('QQ'), 'a neighbour was read');
      } catch (error) {
        if (error.name !== 'MessageError') throw error;
      }
    }
    for (let i = 0; i < clean.length; i++) check(clean[i] === u8[i], 'reading wrote');
  }

  // ------------------------------------------------------------ capabilities

  function capabilities() {
    // The host's part, as simple as can be: `host.table` is the one table of all messages.
    const open5 = method('open');
    const lookup = method('lookup');
    const table = (host.table = []);
    const watcher = { seen() {} };
    const session = {};
    const given = params(open5, { watcher, others: [watcher, null, session] });
    check(given.watcher === watcher && given.others.at(0) === watcher, 'a capability as parameter');
    check(given.others.at(1) === null && given.others.at(2) === session, 'capabilities in a list');
    same(table.map(({ face }) => face.name), Array(3).fill('fixture.Watcher'), 'faces of what is passed');
    check(host.lastFace.name === 'fixture.Watcher', 'the face that a reader asks for');
    check(given.toObject().watcher === watcher, 'toObject keeps capabilities');
    check(params(open5, {}).watcher === null && params(open5, { watcher: null }).watcher === null, 'none');
    fails(() => params(open5, { watcher: 7 }), 'TypeError: fixture.Fixture.open params: field "watcher": expected an object, got 7');
    fails(() => params(open5, { others: [watcher, 'x'] }), 'TypeError: fixture.Fixture.open params: field "others[1]": expected an object, got "x"');
    // One pointer, no data: a word where a capability is expected.
    const sizes = 2 << 16;
    const of = (...words) => open5.readParams(handmade([0, sizes, ...words]));
    check(of(0, 0, 0, 0).watcher === null, 'a null pointer');
    fails(() => of(0, 1, 0, 0).watcher, 'MessageError: malformed message: expected a capability');
    fails(() => of(7, 0, 0, 0).watcher, 'MessageError: malformed message: expected a capability');
    fails(() => of(3, 99, 0, 0).watcher, 'MessageError: no capability 99');

    // What a call's promise can offer before the results are there.
    const Session = open5.pipeline.session.face;
    check(open5.sole === open5.pipeline.session && open5.sole.pointer === 0, 'sole');
    check(lookup.sole === null && kinds.pipeline === null && kinds.sole === null, 'not sole');
    const { entry, near } = lookup.pipeline;
    same(Object.keys(lookup.pipeline), ['entry', 'near'], 'pipelined fields');
    same([entry.pointer, entry.face, near.pointer, near.fields.watcher.pointer], [0, null, -1, 1], 'places');
    same(Object.keys(entry.fields), ['owner', 'next'], 'no members of unions');
    check(entry.fields.next.fields === entry.fields && entry.fields.owner.face === Session, 'recursion');
    const sent = send(lookup.encodeResults, { entry: { name: "x", next: { owner: session } }, near: { watcher } });
    const indexOf = (path) => rt.capabilityIndex(open(sent), path);
    check(table[indexOf([0, 2, 1])].value === session && table[indexOf([1])].value === watcher, 'paths');
    same([indexOf([0, 1]), indexOf([0, 2, 2, 1]), indexOf([9])], [-1, -1, -1], 'absent');
    fails(() => indexOf([0, 0]), 'MessageError: malformed message: expected a capability');

    // Inherited methods, each ancestor once, named by the interface that declares them.
    same(Session.methods.map((m) => `${m.name} ${m.ordinal}`), ['user 0', 'session 1', 'close 0', 'name 0', 'seen 0'], 'methods');
    same(Session.lineage.length, 4, 'lineage');
    const { interfaceId, interfaceLow, interfaceHigh } = Session.methods[3];
    same(interfaceId, (BigInt.asUintN(32, BigInt(interfaceHigh)) << 32n | BigInt.asUintN(32, BigInt(interfaceLow))).toString(16).padStart(16, '0'), 'halves');
    check(generated.interfaces[interfaceId].methods[0].name === 'name', 'by id');

    const push = method('push');
    check(push.streaming && !small.streaming, 'streaming');
    for (const value of [undefined, null, {}]) check(results(push, value) === undefined, 'a streaming method');
    fails(() => results(push, 7), 'TypeError: fixture.Fixture.push results: a streaming method returns nothing, got 7');
  }

  // ------------------------------------------------------------ generics, open types, defaults

  function openTypes() {
    const face = (name) => Object.values(generated.interfaces).find((f) => f.name === `fixture.${name}`);
    const [open0, users] = face('Open').methods;
    const typeId = (name) => ({ typeId: host.typeIds[name] });
    const give = (value) => open0.readParams(open(send(open0.encodeParams, value)));

    // Defaults of lists and structs: any number of times, whatever else is set.
    const none = give({});
    for (let i = 0; i < 3; i++) {
      same(none.int32s.toArray(), [1, -2, 3], 'a list default');
      same(none.users.map((u) => [u.id, u.name, u.tags.toArray()]), [[7n, 'seven', []], [0n, 'x', ['t', 'u']]], 'struct list default');
      same([none.user.id, none.user.friend.name], [9n, 'f'], 'struct default');
      same([none.bools.toArray(), none.matrix.toObject()], [[true, false, true], [['a'], [], ['b', 'c']]], 'more defaults');
    }
    const empty = give({ int32s: [], users: [], user: {}, matrix: [[]] });
    same([empty.int32s.length, empty.users.length, empty.user.id, empty.matrix.toObject()], [0, 0, 0n, [[]]], 'set to nothing is not the default');
    same(give({ user: give({}).user.friend.friend }).user.id, 0n, 'an absent reader is not the default');
    same(give({ user: none.user }).user.friend.name, 'f', 'a default as value');
    same([none.any, none.struct, none.list, none.cap, none.anys.length, none.box.a], [null, null, null, null, 0, null], 'null');

    // Generic structs.
    const tree = { value: { name: 'root' }, children: [{ value: { id: 1n }, node: { weight: 5, next: { value: { a: { name: 'in a pair' }, b: 'b' } } } }], inner: { t: { name: 'inner' } } };
    const back = give({ pair: { a: { name: 'u' }, b: ['red', 'blue'] }, tree });
    same([back.pair.a.name, back.pair.b.toArray()], ['u', ['red', 'blue']], 'a pair');
    const child = back.tree.children.at(0);
    same([back.tree.value.name, child.value.id, child.node.weight, child.node.next.value.a.name, back.tree.inner.t.name], ['root', 1n, 5, 'in a pair', 'inner'], 'a tree');
    fails(() => give({ pair: { b: ['pink'] } }), 'TypeError: fixture.Open.open params: field "pair.b[0]": expected one of red, green, blue, got "pink"');
    const store = users.pipeline.store.face;
    const [put, pairs, as] = store.methods;
    const stored = put.readParams(open(send(put.encodeParams, { key: 'k', value: { name: 'v' } })));
    same(stored.value.name, 'v', 'a generic interface');
    const numbers = users.pipeline.numbers.face.methods[1];
    same(numbers.readResults(open(send(numbers.encodeResults, { pairs: [{ a: 'x', b: [1, 2] }] }))).pairs.at(0).b.toArray(), [1, 2], 'another one');
    check(store !== users.pipeline.numbers.face && store.id === users.pipeline.numbers.face.id, 'one id');
    same(as.readParams(open(send(as.encodeParams, { value: 'text' }))).value.as('Text'), 'text', 'a generic method');

    // AnyPointer: what it is given, what it is read as.
    const bytes = new Uint8Array([1, 2, 3]);
    const cap = {};
    const sent = give({ any: { type: typeId('User'), value: user }, struct: none.user, list: { type: 'List(Int16)', value: [1, -1] }, cap,
      anys: [{ a: 'text', b: bytes }, { a: null, b: cap }, { a: back.tree, b: { type: { list: { list: 'Int32' } }, value: [[1], [2, -3]] } }, { a: { type: { list: typeId('Color') }, value: ['blue'] } }] });
    const any = (i) => { const pair = sent.anys.at(i >> 1); return i & 1 ? pair.b : pair.a; };
    same([sent.any.kind, sent.struct.kind, sent.list.kind, any(3).kind], ['struct', 'struct', 'list', 'capability'], 'kinds');
    same(sent.any.as(typeId('User')).toObject(), user, 'a struct of any type');
    same(sent.struct.as(typeId('User')).friend.name, 'f', 'a reader as a struct of any type');
    same(sent.list.as('List(Int16)').toArray(), [1, -1], 'a list of any type');
    check(sent.cap === cap && any(3).as({ typeId: face('Watcher').id }) === cap, 'a capability');
    same([any(0).as('Text'), any(1).as('Data'), any(2)], ['text', bytes, null], 'text, data, null');
    same(any(5).as({ list: { list: 'Int32' } }).toObject(), [[1], [2, -3]], 'lists of lists');
    same(any(6).as({ list: typeId('Color') }).toArray(), ['blue'], 'enums');
    // What was read goes on as it is, with all that is in it.
    const on = give({ any: sent.any, struct: any(4), list: any(5), anys: sent.anys });
    same(on.any.as(typeId('User')).toObject(), user, 'passed on');
    same(on.list.as('List(List(Int32))').toObject(), [[1], [2, -3]], 'passed on');
    same(on.anys.at(2).a.as(typeId('User')).id, 0n, 'as another type');
    check(on.anys.at(1).b.as({ typeId: face('Watcher').id }) === cap && on.anys.length === 4, 'passed on');
    const newer = send(evolve.encodeResults, { id: 4, sizes: [{ value: 3, unit: 'cm' }], note: 'n', count: 1 });
    const older = evolve.readParams(open(newer));
    builder.begin(64);
    evolve.encodeParams(builder, older);
    builder.end();
    const kept = evolve.readResults(rt.Message(new rt.Chunk(builder.buffer), 64, 64 + builder.length));
    same(kept.toObject(), { id: 4, sizes: [{ value: 3, unit: 'cm' }], note: 'n', count: 1 }, 'unknown fields survive');
    const o = 'TypeError: fixture.Open.open params: field';
    fails(() => give({ any: 7 }), `${o} "any": expected something that was read, or { type, value }, got 7`);
    fails(() => give({ list: sent.any }), `${o} "list": expected a list, got an object`);
    fails(() => give({ struct: { type: 'List(Int8)', value: [] } }), `${o} "struct": expected a struct, got a value of type List(Int8)`);
    fails(() => give({ any: { type: typeId('User'), value: { nam: '' } } }), `${o} "any": field "nam" is not in struct User; did you mean "name"?`);
    fails(() => sent.any.as('User'), 'TypeError: AnyPointer: expected a type: "Text", "Data", "List(Int32)", { typeId }, or { list: type }; got "User"');
    fails(() => sent.any.as('Text'), 'MessageError: malformed message: expected Text');
    fails(() => sent.any.as('copyStruct'), 'TypeError: AnyPointer: expected a type: "Text", "Data", "List(Int32)", { typeId }, or { list: type }; got "copyStruct"');
  }

  // ------------------------------------------------------------ patched built-ins

  /** Last: what it does to the context cannot be undone everywhere. */
  function patches() {
    // A string, since spies sit in arrays too.
    let seen = '';
    const note = (label) => { seen += `${label}\n`; };
    const { apply } = Reflect;
    const { defineProperty: define, getOwnPropertyDescriptor: described, assign } = Object;
    const bare = (descriptor) => descriptor && assign({ __proto__: null }, descriptor);
    let undo = () => {};
    const patch = (object, name, value) => {
      const old = bare(described(object, name));
      define(object, name, bare(assign({ configurable: true }, value(old))));
      const before = undo;
      undo = () => {
        if (old === undefined) delete object[name];
        else define(object, name, old);
        before();
      };
    };
    const spy = (label) => (old) => {
      if (old !== undefined && old.get === undefined) return { writable: true, value: function (...a) { note(label); return new.target ? new old.value(...a) : apply(old.value, this, a); } };
      return { get() { note(label); return old?.get === undefined ? undefined : apply(old.get, this, []); }, set() { note(`${label} set`); } };
    };
    const proto = Object.getPrototypeOf(Uint8Array.prototype);
    const spied = [
      [Object.prototype, ['then', 'get', 'id', 'blobs', 'v', 'u8', 'buffer', 'kinds', 'toObject', 'toJSON']],
      [Array.prototype, ['0', '1', 'push', 'map', 'at', Symbol.iterator]],
      [String.prototype, ['charCodeAt', 'slice', 'replace', 'at', Symbol.iterator]],
      [proto, ['set', 'slice', 'subarray', 'fill', 'length', 'buffer', 'byteOffset', 'byteLength', Symbol.toStringTag, Symbol.iterator]],
      [ArrayBuffer.prototype, ['byteLength', 'slice']],
      [Function.prototype, ['call', 'apply', 'bind']],
      [Reflect, ['apply', 'ownKeys']],
      [Array, ['isArray', 'from']],
      [String, ['fromCharCode']],
      [BigInt, ['asIntN', 'asUintN']],
      [Object, ['keys', 'freeze', 'setPrototypeOf', 'defineProperty']],
      [globalThis, ['ArrayBuffer', 'TypeError', 'BigInt', 'Uint8Array', 'Int8Array', 'Uint16Array', 'Int16Array', 'Uint32Array', 'Int32Array', 'Float32Array', 'Float64Array', 'BigUint64Array', 'BigInt64Array']],
    ];
    let after;
    let used;
    const value = { kinds: { ...full, data: new Uint8Array(300).fill(6), int16: 1, float64s: Array(9000).fill(0.5) } };
    const parted = { data: new Uint8Array(4096).fill(9).subarray(1) };
    const raw = new ArrayBuffer(64);
    for (const [object, names] of spied) for (const name of names) patch(object, name, spy(String(name)));
    try {
      seen = '';
      builder.begin(64);
      kinds.encodeParams(builder, value);
      builder.end();
      const chunk = new rt.Chunk(builder.buffer);
      const message = rt.Message(chunk, builder.offset, builder.offset + builder.length);
      after = kinds.readParams(message).kinds.toObject();
      builder.begin(64);
      blob.encodeParams(builder, parted);
      builder.end();
      new rt.Chunk(raw);
      used = seen;
    } finally {
      undo();
    }
    // Array index setters do see the elements of plain arrays that `toObject` makes for a service.
    same(used.split('\n').filter((label) => !['0 set', '1 set', ''].includes(label)), [], 'patched built-ins were used');
    check(after.text === 'héllo' && after.data.length === 300 && builder.blobs[0].end === 4095, 'patched built-ins');
  }

  values();
  mistakes();
  blobs();
  evolution();
  farPointers();
  hostile();
  capabilities();
  openTypes();
  patches();
  return 'ok';
})
