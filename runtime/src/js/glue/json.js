  // ---- Calls from the command line.

  // A call whose argument and result are JSON, for the command line. It takes the same way
  // through the message as any other: encoded, read in place, encoded, read in place.
  function callJson(id, rootLow, rootHigh, exportIndex, name, text) {
    const frame = new Frame(rootLow, rootHigh, 0, 0);
    setContext(frame);
    handleJson(id, frame, exportIndex, name, text);
    setContext(undefined);
  }

  async function handleJson(id, frame, exportIndex, name, text) {
    try {
      const entry = served[exportIndex];
      const { methods } = entry.face;
      let method;
      for (let i = 0; i < methods.length; i++) {
        if (methods[i].name === name) method = methods[i];
      }
      if (method === undefined) {
        const known = [];
        for (let i = 0; i < methods.length; i++) known[known.length] = methods[i].name;
        host.replyJson(id, 'notFound', `${entry.name} has no method "${name}"; it has: ${`${known}`}`);
        return;
      }
      let params;
      try {
        const argument = jsonParse(text === '' ? '{}' : text);
        params = method.readParams(encodeAlone(method.encodeParams, argument));
      } catch (error) {
        host.replyJson(id, 'badArgument', `${error.message}`);
        return;
      }
      const value = await method.invoke(entry.instance, params, new Context(frame));
      const results = method.readResults(encodeAlone(method.encodeResults, value === undefined ? EMPTY : value));
      host.replyJson(id, '', jsonStringify(results === undefined ? EMPTY : results.toObject(), jsonValue, 2));
    } catch (error) {
      const d = describe(error);
      host.replyJson(id, d[0], d[5] === '' ? d[2] : d[5]);
    }
  }

  function jsonValue(key, value) {
    if (typeof value === 'bigint') return `${value}`;
    if (internals.isUint8Array(value)) return internals.base64(value);
    return value;
  }

  function encodeAlone(encode, value) {
    const b = privateBuilder();
    b.begin(0);
    encode(b, value);
    const length = b.end();
    const body = message.Message(new message.Chunk(b.buffer), 0, length, b.blobs);
    body.caps = b.caps;
    return body;
  }

