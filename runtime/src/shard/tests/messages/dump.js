// Returns a function that takes `[name, messages, budget]` as JSON. It reads each of the messages,
// lists of segments in hex, as results of the method `name`, such as `Fixture.kinds`, at most `budget`
// words of each, and gives as JSON what it found, or the error, in the form of `reader.rs`. `user`:
// the id of struct User.
(function (rt, generated, user) {
  'use strict';
  const all = Object.values(generated.interfaces).flatMap((f) => f.methods.map((m) => [`${f.name}.${m.name}`, m]));
  const methods = new Map(all);
  const float = new Float64Array(1);
  const bits = new BigUint64Array(float.buffer);
  const pad = (n, width) => n.toString(16).padStart(width, '0');
  function form(value) {
    switch (typeof value) {
      case 'boolean': return `${value}`;
      case 'bigint': return `${value}n`;
      case 'number':
        float[0] = value;
        return value !== value ? 'nan' : pad(bits[0], 16);
      case 'string': {
        let text = '"';
        for (let i = 0; i < value.length; i++) text += pad(value.charCodeAt(i), 4);
        return `${text}"`;
      }
    }
    if (value === null) return 'null';
    if (typeof value.as === 'function') {
      // What is of any type: a struct is read as a User, a list as one of Void.
      if (value.kind === 'struct') return form(value.as({ typeId: user }).toObject());
      return value.kind === 'list' ? `<${value.as('List(Void)').length}>` : '<capability>';
    }
    if (value instanceof Uint8Array) return `x${Array.from(value, (b) => pad(b, 2)).join('')}`;
    if (Array.isArray(value)) return `[${value.map(form).join(',')}]`;
    return `{${Object.keys(value).sort().map((key) => `${key}:${form(value[key])}`).join(',')}}`;
  }
  const unhex = (h) => Uint8Array.from({ length: h.length / 2 }, (_, i) => parseInt(h.substr(i * 2, 2), 16));
  return (input) => {
    const [name, messages, budget] = JSON.parse(input);
    const method = methods.get(`fixture.${name}`);
    return JSON.stringify(messages.map((message) => read(method, message, budget)));
  };
  function read(method, hexes, budget) {
    try {
      const [first, ...others] = hexes.map((h) => unhex(h).buffer);
      const segments = others.map((buffer) => ({ buffer, base: 0, end: buffer.byteLength }));
      const message = rt.Message(new rt.Chunk(first), 0, first.byteLength, segments);
      message.budget = message.limit = budget;
      return form(method.readResults(message).toObject());
    } catch (error) {
      // Anything else is a mistake here.
      return error.name === 'MessageError' ? `! ${error.message}` : `${error.stack}`;
    }
  }
})
