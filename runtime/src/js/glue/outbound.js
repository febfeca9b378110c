  // ---- Outbound requests. `exchange` names one to the host, as it does those that come in.

  // Requests without an answer, by exchange.
  const asked = create(null);

  // What a granted `fetch` is on `env`. The function needs no receiver, so that it can be given to
  // libraries that take one.
  function fetchBinding(binding, label) {
    return freeze({ __proto__: null, fetch: (input, init = undefined) => ask(binding, label, input, init) });
  }

  function ask(binding, label, input, init) {
    return new Promise((resolve, reject) => {
      const frame = getContext();
      if (frame === undefined) {
        throw new CallError('requestEnded', '', 'no request is being handled here; an outbound ' +
          'request needs one (module scope and constructors have none)', '', '', '', label);
      }
      const { method, url, headers, body, signal, redirect } =
        internals.requestParts(internals.newRequest(input, init));
      if (signal !== null) internals.throwIfAborted(signal);
      const content = internals.takeBody(body);
      const streamed = content !== null && !internals.isUint8Array(content);
      const exchange = host.ask(frame.rootLow, frame.rootHigh, binding, method, url, headers,
        streamed ? null : content, streamed, redirect);
      const entry = { __proto__: null, resolve, reject, label, signal };
      asked[exchange] = entry;
      if (streamed) upload(exchange, content);
      if (signal !== null) {
        internals.onAbort(signal, () => {
          host.endExchange(exchange);
          delete asked[exchange];
          delete writes[exchange];
          const reason = internals.abortReason(signal);
          reject(reason);
          const waiting = pulls[exchange];
          delete pulls[exchange];
          if (waiting !== undefined) waiting.reject(reason);
        });
      }
    });
  }

  function upload(exchange, stream) {
    const body = internals.pumpBody(stream, (bytes) => {
      const state = host.writeBody(exchange, bytes);
      if (state === 0) body.pull();
      else if (state === 1) writes[exchange] = body.pull;
      else body.cancel(new TypeError('the server takes no more of the request body'));
    }, () => host.endBody(exchange), (error) => host.breakBody(exchange, describe(error)[2]));
    body.pull();
  }

  // The head of the answer is there.
  function answer(exchange, status, statusText, headers, url, redirected) {
    const entry = asked[exchange];
    delete asked[exchange];
    if (entry === undefined) return;
    // 204 and 304 have no body; what is left of the exchange ends at once.
    const empty = status === 204 || status === 304;
    if (empty) host.endExchange(exchange);
    const body = empty ? null
      : internals.createBodyStream(() => pull(exchange), () => host.cancelBody(exchange));
    entry.resolve(internals.createResponse(status, statusText, headers, body, url, redirected));
  }

  // There is no answer.
  function refuse(exchange, kind, name, text, service, version, stack) {
    const entry = asked[exchange];
    delete asked[exchange];
    delete writes[exchange];
    if (entry === undefined) return;
    entry.reject(new CallError(kind, name, text, service, version, stack, entry.label));
  }

