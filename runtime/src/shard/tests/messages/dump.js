// Reads each of `messages`, lists of segments in hex, as results of the method `name`, and writes
// out what it found, or the error, in the form of `reader.rs`.
(function (rt, generated, name, messages) {
  'use strict';
  const face = Object.values(generated.interfaces).find((f) => f.name === 'fixture.Fixture');
  const method = face.methods.find((m) => m.name === name);
  const float = new Float64Array(1);
  const bits = new BigUint64Array(float.buffer);
  const pad = (n, width) => n.toString(16).padStart(width, '0');
  function dump(value) {
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
    if (value instanceof Uint8Array) return `x${Array.from(value, (b) => pad(b, 2)).join('')}`;
    if (Array.isArray(value)) return `[${value.map(dump).join(',')}]`;
    return `{${Object.keys(value).sort().map((key) => `${key}:${dump(value[key])}`).join(',')}}`;
  }
  const unhex = (h) => Uint8Array.from({ length: h.length / 2 }, (_, i) => parseInt(h.substr(i * 2, 2), 16));
  return JSON.stringify(messages.map((message) => {
    try {
      const [first, ...others] = message.map((h) => unhex(h).buffer);
      const segments = others.map((buffer) => ({ buffer, base: 0, end: buffer.byteLength }));
      return dump(method.readResults(rt.Message(new rt.Chunk(first), 0, first.byteLength, segments)).toObject());
    } catch (error) {
      // Anything else is a mistake here.
      return error.name === 'MessageError' ? `! ${error.message}` : `${error.stack}`;
    }
  }));
})
