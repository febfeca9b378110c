// Rows of values, one or more for each construct of `constructs.capnp`: `[method, type, value, text]`.
// JavaScript writes `value` as params of `method` and reads the same again; the reference reads and
// writes `text` as `type`, which has the same wire format, if not always the same declaration. What
// JavaScript reads can be looked at by a fifth part, `(params) => value`.
//
// `write` encodes the rows. `read` compares what `messages[row]` are read as. `ids`: type ids by name.
(function (rt, generated, ids, input) {
  'use strict';
  const id = (name) => ({ typeId: ids[name] });
  const bytes = (...b) => new Uint8Array(b);
  const TREE = 'Tree(User, List(Color))';
  const user = (n, name) => ({ id: BigInt(n), name });

  const rows = [
    ['numbers', 'Numbers', {}, '()'],
    [
      'numbers', 'Numbers',
      { void: null, bool: true, int8: -128, int16: -32768, int32: -2147483648, int64: -(2n ** 63n), float32: -0.5, float64: 5e-324, color: 'blue' },
      '(void = void, bool = true, int8 = -128, int16 = -32768, int32 = -2147483648, int64 = -9223372036854775808, float32 = -0.5, float64 = 5e-324, color = blue)',
    ],
    [
      'numbers', 'Numbers',
      { int8: 127, int16: 32767, int32: 2147483647, int64: 2n ** 63n - 1n, uint8: 255, uint16: 65535, uint32: 4294967295, uint64: 2n ** 64n - 1n, float32: Infinity, float64: NaN },
      '(int8 = 127, int16 = 32767, int32 = 2147483647, int64 = 9223372036854775807, uint8 = 255, uint16 = 65535, uint32 = 4294967295, uint64 = 18446744073709551615, float32 = inf, float64 = nan)',
    ],
    ['defaults', 'Defaults', {}, '()'],
    [
      'defaults', 'Defaults',
      { bool: true, int8: -3, int16: -300, int32: -70000, int64: -5000000000n, uint8: 200, uint16: 40000, uint32: 4000000000, uint64: 2n ** 64n - 1n, float32: 1.5, float64: -Infinity, color: 'blue' },
      '()',
    ],
    [
      'defaults', 'Defaults',
      { bool: false, int8: 0, int16: 0, int32: 0, int64: 0n, uint8: 0, uint16: 0, uint32: 0, uint64: 0n, float32: 0, float64: 0, color: 'red' },
      '(bool = false, int8 = 0, int16 = 0, int32 = 0, int64 = 0, uint8 = 0, uint16 = 0, uint32 = 0, uint64 = 0, float32 = 0, float64 = 0, color = red)',
    ],
    [
      'defaults', 'Defaults',
      { bool: false, int8: 5, int16: 300, int32: -1, int64: 5000000000n, uint8: 55, uint16: 1, uint32: 7, uint64: 1n, float32: -1.5, float64: 0.1, color: 'green' },
      '(bool = false, int8 = 5, int16 = 300, int32 = -1, int64 = 5000000000, uint8 = 55, uint16 = 1, uint32 = 7, uint64 = 1, float32 = -1.5, float64 = 0.1, color = green)',
    ],
    ['texts', 'Texts', {}, '()', ({ text, data, greeting, bytes }) => [text, [...data], greeting, [...bytes]], ['', [], 'héllo', [0xc0, 0xff, 0xee]]],
    [
      'texts', 'Texts',
      { text: 'Zoë 🦊 "q" \\ \n, longer than thirty-two bytes', data: bytes(0, 255, 34), greeting: '', bytes: bytes() },
      '(text = "Zoë 🦊 \\"q\\" \\\\ \\n, longer than thirty-two bytes", data = 0x"00 ff 22", greeting = "", bytes = "")',
    ],
    [
      'lists', 'Lists',
      {
        voids: [null, null, null], bools: [true, false, true, true, false, false, false, false, true],
        int8s: [-1, 127], int16s: [-2, 3, 4, 5, 6], int32s: [-3], int64s: [-4n, 2n ** 62n],
        uint8s: [255], uint16s: [65535, 0], uint32s: [4294967295], uint64s: [2n ** 64n - 1n],
        float32s: [0.5, -Infinity], float64s: [0.1, NaN], colors: ['blue', 'red'],
        texts: ['', 'a', 'ü'], datas: [bytes(1), bytes()], users: [user(1, 'a'), user(2, 'nobody')], primes: [7],
      },
      '(voids = [void, void, void], bools = [true, false, true, true, false, false, false, false, true], ' +
        'int8s = [-1, 127], int16s = [-2, 3, 4, 5, 6], int32s = [-3], int64s = [-4, 4611686018427387904], ' +
        'uint8s = [255], uint16s = [65535, 0], uint32s = [4294967295], uint64s = [18446744073709551615], ' +
        'float32s = [0.5, -inf], float64s = [0.1, nan], colors = [blue, red], ' +
        'texts = ["", "a", "ü"], datas = [0x"01", ""], users = [(id = 1, name = "a"), (id = 2, name = "nobody")], primes = [7])',
    ],
    ['lists', 'Lists', {}, '()', ({ bools, users, primes }) => [bools.length, users.length, primes.toArray()], [0, 0, [2, 3, 5]]],
    [
      'lists', 'Lists',
      { voids: [], bools: [], int8s: [], int64s: [], texts: [], users: [], primes: [] },
      '(voids = [], bools = [], int8s = [], int64s = [], texts = [], users = [], primes = [])',
    ],
    [
      'nested', 'Nested',
      { numbers: [[1, 2], [], [3]], texts: [[['a'], []], []], users: [[user(1, 'x')], []], bools: [[], [true, true]] },
      '(numbers = [[1, 2], [], [3]], texts = [[["a"], []], []], users = [[(id = 1, name = "x")], []], bools = [[], [true, true]])',
    ],
    ['nested', 'Nested', {}, '()', ({ bools }) => bools.toObject(), [[true], [], [false, true]]],
    ['groups', 'Groups', {}, '()', ({ place }) => [place.label, place.deep.on], ['', true]],
    [
      'groups', 'Groups',
      { place: { x: 2.5, label: 'here', deep: { on: false, user: user(3, 'u') } } },
      '(place = (x = 2.5, label = "here", deep = (on = false, user = (id = 3, name = "u"))))',
    ],
    ['unions', 'Unions', {}, '()', (p) => [p.which(), p.contact.which(), p.choice.which()], ['nothing', 'email', 'a']],
    ['unions', 'Unions', { nothing: null, contact: { email: 'e' }, choice: { a: true } }, '(nothing = void, contact = (email = "e"), choice = (a = true))'],
    ['unions', 'Unions', { before: -1, number: -5n, contact: { phone: 7 }, choice: { b: false } }, '(before = -1, number = -5, contact = (phone = 7), choice = (b = false))'],
    ['unions', 'Unions', { pair: { left: 'l', right: 9 }, contact: { colors: ['green'] } }, '(pair = (left = "l"), contact = (colors = [green]))'],
    ['unions', 'Unions', { user: user(4, 'member') }, '(user = (id = 4, name = "member"))'],
    // The one side has an older schema than the other.
    [
      'older', 'Newer', { id: 4, sizes: [3, 5], names: ['a', ''] },
      '(id = 4, sizes = [(value = 3), (value = 5)], names = [(name = "a"), (name = "")])',
    ],
    [
      'newer', 'Older', { id: 4, sizes: [{ value: 3, unit: 'm' }, { value: 5, unit: 'm' }], names: [{ name: 'a', rank: -1 }], added: 12, note: 'new' },
      '(id = 4, sizes = [3, 5], names = ["a"])',
    ],
    // Types that the one side leaves open, and the other side names.
    [
      'open', 'Closed',
      {
        any: { type: id('User'), value: user(1, 'any') }, struct: { type: id('User'), value: user(2, 'struct') },
        list: { type: 'List(Int16)', value: [-1, 2] }, text: 'text', users: { type: { list: id('User') }, value: [user(3, 'list')] },
      },
      '(any = (id = 1, name = "any"), struct = (id = 2, name = "struct"), list = [-1, 2], text = "text", users = [(id = 3, name = "list")])',
      (p) => [
        p.any.as(id('User')).toObject(), p.struct.as(id('User')).toObject(), p.list.as('List(Int16)').toArray(),
        p.text.as('Text'), p.users.as({ list: id('User') }).toObject(), p.any.kind, p.users.kind,
      ],
      [user(1, 'any'), user(2, 'struct'), [-1, 2], 'text', [user(3, 'list')], 'struct', 'list'],
    ],
    ['open', 'Closed', {}, '()', ({ any, struct, list }) => [any, struct, list], [null, null, null]],
    [
      'generic', TREE,
      {
        value: user(1, 'root'),
        children: [{ value: user(2, 'child'), branch: { kinds: ['red', 'blue'], next: { value: ['green'], leaf: null } } }],
        leaf: null,
        inner: { value: user(3, 'inner'), pairs: [{ a: 'a', b: user(4, 'b') }] },
      },
      '(value = (id = 1, name = "root"), ' +
        'children = [(value = (id = 2, name = "child"), branch = (kinds = [red, blue], next = (value = [green], leaf = void)))], leaf = void, ' +
        'inner = (value = (id = 3, name = "inner"), pairs = [(a = "a", b = (id = 4, name = "b"))]))',
    ],
    [
      'loose', TREE,
      { value: { type: id('User'), value: user(1, 'root') }, branch: { kinds: { type: { list: id('Color') }, value: ['blue'] } } },
      '(value = (id = 1, name = "root"), branch = (kinds = [blue]))',
      (p) => [p.value.as(id('User')).toObject(), p.branch.kinds.as({ list: id('Color') }).toArray(), p.which()],
      [user(1, 'root'), ['blue'], 'branch'],
    ],
    // Inherited methods, of a generic interface; a generic method.
    ['put', 'Put', { key: 'k', value: user(5, 'v') }, '(key = "k", value = (id = 5, name = "v"))'],
    [
      'as', 'As', { value: { type: { list: id('Color') }, value: ['red', 'green'] }, more: user(6, 'w') },
      '(value = [red, green], more = (id = 6, name = "w"))',
      ({ value, more }) => [value.as({ list: id('Color') }).toArray(), more.name],
      [['red', 'green'], 'w'],
    ],
    // Defaults that are structs, lists, constants of another file.
    [
      'pointers', 'Pointers', {}, '()',
      (p) => [p.user.name, p.owner.toObject(), p.users.toObject(), p.self.self.owner.id],
      ['nobody', user(7, 'someone'), [user(1, 'nobody'), user(0, 'two')], 7n],
    ],
    [
      'pointers', 'Pointers', { user: user(1, 'a'), owner: user(0, 'nobody'), users: [], self: { self: { user: user(2, 'b') } } },
      '(user = (id = 1, name = "a"), owner = (id = 0, name = "nobody"), users = [], self = (self = (user = (id = 2, name = "b"))))',
    ],
    ['annotated', 'Annotated', { field: 1, kind: { b: null } }, '(field = 1, kind = (b = void))'],
  ];

  // ---- the two phases

  const face = Object.values(generated.interfaces).find(({ name }) => name === 'constructs.Constructs');
  const methodOf = (row) => face.methods.find(({ name }) => name === row[0]);
  const hex = (b) => Array.from(b, (n) => n.toString(16).padStart(2, '0')).join('');
  const unhex = (h) => Uint8Array.from({ length: h.length / 2 }, (_, i) => parseInt(h.substr(i * 2, 2), 16));
  const show = (value) =>
    JSON.stringify(value, (key, v) =>
      typeof v === 'bigint' ? `${v}n` : v instanceof Uint8Array ? `bytes ${v}` : typeof v === 'number' ? (Object.is(v, -0) ? '-0' : String(v)) : v);
  /** `got`, without what `want` does not speak of. */
  function part(got, want) {
    if (Array.isArray(want) && Array.isArray(got)) return got.map((g, i) => part(g, want[i]));
    if (typeof want !== 'object' || want === null || want instanceof Uint8Array || typeof got !== 'object' || got === null) return got;
    return Object.fromEntries(Object.keys(want).map((key) => [key, part(got[key], want[key])]));
  }
  function read(row, message) {
    const [first, ...others] = message.map((h) => unhex(h).buffer);
    const segments = others.map((buffer) => ({ buffer, base: 0, end: buffer.byteLength }));
    const params = methodOf(row).readParams(rt.Message(new rt.Chunk(first), 0, first.byteLength, segments));
    const [, , value, , look, want] = row;
    const got = look === undefined ? part(params.toObject(), value) : look(params);
    const wanted = look === undefined ? value : want;
    if (show(got) !== show(wanted)) throw new Error(`${row[0]} ${row[3]}\n  got  ${show(got)}\n  want ${show(wanted)}`);
  }
  const builder = new rt.Builder(new ArrayBuffer(65536), 65536, {});
  function write(row) {
    builder.begin(0);
    methodOf(row).encodeParams(builder, row[2]);
    builder.end();
    const message = [hex(new Uint8Array(builder.buffer, 0, builder.length))];
    read(row, message);
    return { type: row[1], text: row[3], message };
  }
  if (input === null) return JSON.stringify(rows.map(write));
  rows.forEach((row, index) => input[index].forEach((message) => read(row, message)));
  return JSON.stringify(null);
})
