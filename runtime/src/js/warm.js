// What every service runs at its start and for its first calls, run once in a context that the
// snapshot does not keep. V8 compiles a function when it is first called; those called here are in
// the snapshot compiled. The numbers are those of wire.rs.
(function (glue, wire) {
  'use strict';
  const CALL = 1, RETURN = 2, CHUNK = 7;
  // A struct with one text, as generated code reads and writes it.
  const generated = (rt) => {
    class Note {
      #s; #d; #n; #c;
      constructor(s, d, n, c) {
        this.#s = s; this.#d = d; this.#n = n; this.#c = c;
      }
      get text() {
        return this.#c > 0 ? rt.readText(this.#s, this.#d + this.#n, '') : '';
      }
    }
    rt.finishStruct(Note, 'Note');
    const read = (message) => rt.readRoot(Note, message);
    const encode = (b, note) => rt.writeText(b, rt.newStruct(b, b.offset, 0, 1), note.text);
    const method = new rt.Method({
      name: 'pass', interfaceId: 'warm', interfaceLow: 0, interfaceHigh: 0, ordinal: 0,
      streaming: false, pipeline: null, answers: null, sole: null,
      invoke: (instance, params, ctx) => instance.pass(params, ctx),
      readParams: read, readResults: read, encodeParams: encode, encodeResults: encode,
    });
    const face = new rt.Face('warm', 'Warm', ['warm']);
    face.methods = [method];
    return { interfaces: { warm: face } };
  };

  // V8 leaves out of the snapshot's contexts what a flag enables.
  Object.defineProperty(ArrayBuffer.prototype, 'immutable', { get: () => false });
  ArrayBuffer.prototype.transferToImmutable = function () {
    return this;
  };

  const rings = new ArrayBuffer(wire.ringBytes);
  const words = new Int32Array(rings);
  glue.attach({
    service: 'warm', version: '1.0.0', digest: '', http: false,
    imports: [{ name: 'SELF', service: 'warm', interfaceId: 'warm' }],
    exports: [{ name: 'WARM', className: 'Warm', interfaceId: 'warm' }],
    fetches: [], vars: [], secrets: [], wasm: true, config: wire.config,
  }, rings, new ArrayBuffer(wire.outboxBytes), generated);
  const heard = [];
  glue.start({
    Warm: class {
      constructor(env) {
        this.self = env.SELF;
      }
      pass({ text }) {
        heard.push(text);
        this.self.pass({ text }).then((results) => heard.push(results.text));
        return { text };
      }
    },
  });

  // A message with the text "warm".
  const chunk = new Int32Array([0, 1 << 16, 1, 2 | (5 << 3), 0x6d726177, 0]);
  const put = (index, kind, length, moved) => {
    const at = wire.config.inRing + index * wire.config.recordWords;
    words.fill(0, at, at + wire.config.recordWords);
    words[at] = kind;
    words[at + 7] = length;
    words[at + 8] = moved;
  };
  put(0, CHUNK, 0, 1);
  put(1, CALL, chunk.byteLength, 0);
  words[0] = 2;
  glue.turn(chunk.buffer, 0, chunk.byteLength);
  put(0, RETURN, chunk.byteLength, 0);
  words[0] = 1;
  words[2] = words[3] = 0;
  glue.turn();
  return () => {
    if (words[4] !== 0) glue.defect();
    if (`${heard}` !== 'warm,warm') throw new Error(`heard ${heard}`);
  };
})
