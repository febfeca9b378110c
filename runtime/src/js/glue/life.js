  // ---- The life of the isolate.

  function stub(importIndex, service, face) {
    const methods = create(null);
    const target = new Target(TO_EXPORT, 0, 0, importIndex << 16, { flow: null }, undefined);
    for (const method of face.methods) {
      const label = `${service}.${method.name}`;
      const isPlain = method.interfaceId === face.id && !infoOf(face).streams;
      let value = (params, options) => callOn(target, method, label, params, options);
      if (isPlain && method.pipeline === null) {
        value = (params, options) => call(importIndex, method, label, params, options);
      } else if (isPlain) {
        value = (params, options) => poseOwn(importIndex, method, label, params, options);
      }
      defineProperty(methods, method.name, { enumerable: true, value: named(method.name, value) });
    }
    return freeze(methods);
  }

  // Once, before any of the bundle's code: `generated` is what the schema's code was made into.
  function attach(facts, ringBuffer, outboxBuffer, generated) {
    internals.begin(facts.wasm);
    isImmutable = bufferGetter('immutable');
    transferToImmutable = uncurry(ArrayBuffer.prototype.transferToImmutable);
    registry = new FinalizationRegistry((thing) => thing.collected());
    config = facts.config;
    rings = new Int32Array(ringBuffer);
    recordWords = config.recordWords;
    ringRecords = config.ringRecords;
    inRing = config.inRing;
    outRing = config.outRing;
    outboxBytes = bufferLength(outboxBuffer);
    builderOptions = { blobThreshold: config.moveThresholdBytes, maxBytes: config.messageBytes };
    encoder = new message.Builder(outboxBuffer, outboxBytes, builderOptions);
    moduleName = `${facts.service}@${facts.version}`;
    bundle = freeze({ service: facts.service, version: facts.version, digest: facts.digest });
    const interfaces = generated === undefined ? create(null) : generated(message).interfaces;
    env = create(Object.prototype);
    for (const { name, value } of facts.vars) env[name] = value;
    facts.imports.forEach(({ name, service, interfaceId }, index) => {
      env[name] = stub(index, service, interfaces[interfaceId]);
    });
    // Not enumerable, so that printing or cloning `env` as a whole does not show them.
    for (const { name, value } of facts.secrets) defineProperty(env, name, { __proto__: null, value });
    facts.fetches.forEach((name, index) => {
      env[name] = fetchBinding(index, `${name}.fetch`);
    });
    freeze(env);
    served = facts.exports.map(({ name, className, interfaceId }) => {
      const face = interfaces[interfaceId];
      const methods = [];
      for (const method of face.methods) {
        if (method.interfaceId === interfaceId) methods[method.ordinal] = method;
      }
      return { name, className, face, methods, instance: undefined };
    });
    handler = facts.http ? undefined : null;
    // Made now rather than for the first request.
    if (facts.http) void (internals.createRequest, internals.AbortController);
    internals.setTimerScheduler((dueMs) => host.schedule(dueMs), () => host.waste());
    internals.setContinuationAccess(getContext, setContext);
  }

  // Once, after the main module was evaluated: constructs what it exports. It counts instead of
  // iterating, since the module may have replaced what iterates.
  function start(namespace) {
    for (let i = 0; i < served.length; i++) {
      const entry = served[i];
      const Class = namespace[entry.className];
      if (typeof Class !== 'function') {
        throw new TypeError(`[exports.${entry.name}] names class "${entry.className}", which the main module does not export`);
      }
      entry.instance = new Class(env);
      for (let m = 0; m < entry.face.methods.length; m++) {
        const method = entry.face.methods[m];
        if (typeof entry.instance[method.name] !== 'function') {
          throw new TypeError(`class ${entry.className} lacks method "${method.name}", which its interface declares`);
        }
      }
    }
    if (handler === undefined) {
      handler = namespace.default;
      if (typeof handler !== 'object' || handler === null || typeof handler.fetch !== 'function') {
        throw new TypeError('the main module\'s default export has no function "fetch"; write: export default { async fetch(request, env, ctx) { ... } }');
      }
    }
  }

  // Runs the timers that are due and has the host wake this isolate for the next one.
  function fireTimers(nowMs) {
    const dueMs = internals.fireTimers(nowMs);
    if (dueMs >= 0) host.schedule(dueMs);
  }

  // The text of `error.stack`, with positions mapped to the bundle's sources.
  function formatStack(error, sites) {
    let text;
    try {
      text = errorToString(error);
    } catch {
      text = 'Error';
    }
    for (let i = 0; i < sites.length; i++) {
      const site = sites[i];
      const file = site.getFileName();
      // Only the bundle's own code: host frames say nothing to its author.
      if (file !== moduleName) continue;
      const name = site.getFunctionName();
      const line = site.getLineNumber();
      const column = site.getColumnNumber();
      const where = host.position(line, column) ?? `${file}:${line}:${column}`;
      text += name ? `\n    at ${name} (${where})` : `\n    at ${where}`;
    }
    return text;
  }

  // What ran for a request was ended: its timers are not to go on with it.
  function dropTimers(rootLow, rootHigh) {
    const low = unmarked(rootLow);
    const isOf = (frame) => frame !== undefined && unmarked(frame.rootLow) === low && frame.rootHigh === rootHigh;
    internals.cancelTimers(isOf);
  }

  // The host ended what ran here.
  function recover() {
    if (encoder.isBusy) encoder.abort();
    internals.mendTimers();
  }

  return {
    attach, start, turn, defect, settleError, fetch, compare, bodyChunk, writable, abort, answer, refuse,
    callJson, formatStack, fireTimers, dropTimers, recover,
  };
})
