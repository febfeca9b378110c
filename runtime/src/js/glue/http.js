  // ---- HTTP. `exchange` names the request to the host.

  const CLIENT_GONE = 'the client closed the connection';

  // Body transfers that wait for the host, by exchange.
  const pulls = create(null);
  const writes = create(null);
  const controllers = create(null);

  function fetch(exchange, rootLow, rootHigh, method, url, headers, hasBody) {
    const frame = new Frame(rootLow, rootHigh, 0, 0);
    setContext(frame);
    handle(exchange, frame, method, url, headers, hasBody);
    setContext(undefined);
  }

  async function handle(exchange, frame, method, url, headers, hasBody) {
    const controller = new internals.AbortController();
    controllers[exchange] = controller;
    frame.controller = controller;
    try {
      const body = hasBody
        ? internals.createBodyStream(() => pull(exchange), () => host.cancelBody(exchange))
        : null;
      const request = internals.createRequest(method, url, headers, body, controller.signal);
      const response = await handler.fetch(request, env, new Context(frame));
      const head = internals.readResponse(response);
      const streamed = head.body !== null && !internals.isUint8Array(head.body);
      host.respond(exchange, head.status, head.headers, streamed ? null : head.body, streamed);
      if (streamed) await pump(exchange, head.body);
    } catch (error) {
      const d = describe(error);
      host.failExchange(exchange, d[0], d[1], d[2], d[3], d[4], d[5]);
    }
    delete controllers[exchange];
  }

  // Asks the service whether two answers to one request are alike: what the client got, and what a
  // copy of the request got from this version. A body that is not there is null. Without a
  // comparator, answers with the same status are.
  function compare(id, rootLow, rootHigh, status, headers, body, ownStatus, ownHeaders, ownBody) {
    const frame = new Frame(rootLow, rootHigh, 0, 0);
    setContext(frame);
    askComparator(id, frame, internals.createResponse(status, '', headers, body, '', false),
      internals.createResponse(ownStatus, '', ownHeaders, ownBody, '', false));
    setContext(undefined);
  }

  async function askComparator(id, frame, shown, own) {
    try {
      const alike = typeof handler.compare !== 'function' ||
        await handler.compare(shown, own, env, new Context(frame)) === true;
      host.replyJson(id, '', alike ? 'alike' : 'different');
    } catch (error) {
      const d = describe(error);
      host.replyJson(id, d[0], d[5] === '' ? d[2] : d[5]);
    }
  }

  function pull(exchange) {
    return new Promise((resolve, reject) => {
      pulls[exchange] = { resolve, reject };
      host.pullBody(exchange);
    });
  }

  function bodyChunk(exchange, bytes, error) {
    const waiting = pulls[exchange];
    delete pulls[exchange];
    if (waiting === undefined) return;
    if (error === undefined) waiting.resolve(bytes);
    else waiting.reject(new TypeError(error));
  }

  // Writes a stream to the client; settles when it is complete or the client is gone.
  function pump(exchange, stream) {
    const frame = getContext();
    return new Promise((resolve, reject) => {
      const onChunk = (bytes) => {
        const state = host.writeBody(exchange, bytes);
        if (state === 0) {
          body.pull();
        } else if (state === 1) {
          writes[exchange] = resume;
        } else {
          body.cancel(new TypeError(CLIENT_GONE));
          abort(exchange, CLIENT_GONE);
          resolve();
        }
      };
      const onEnd = () => {
        host.endBody(exchange);
        resolve();
      };
      // The host calls it; the stream goes on as the request that it answers.
      const resume = () => {
        const before = getContext();
        setContext(frame);
        body.pull();
        setContext(before);
      };
      const body = internals.pumpBody(stream, onChunk, onEnd, reject);
      body.pull();
    });
  }

  function writable(exchange) {
    const pullNext = writes[exchange];
    delete writes[exchange];
    if (pullNext !== undefined) pullNext();
  }

  // The client is gone or the deadline passed.
  function abort(exchange, reason) {
    const controller = controllers[exchange];
    delete controllers[exchange];
    if (controller !== undefined) controller.abort(new internals.DOMException(reason, 'AbortError'));
    bodyChunk(exchange, null, reason);
    writable(exchange);
  }

