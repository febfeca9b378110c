// Host APIs that are made when something first asks for them. Most services use few of them, and
// those that nobody uses would take a third of an idle isolate's heap.
(function (host, p, internals) {
  "use strict";
  const { ObjectDefineProperty, ObjectGetOwnPropertyDescriptor, ObjectSetPrototypeOf,
    StringPrototypeIncludes } = p;

  // What the files of a group define: globals, which `internals` has too, and other internals.
  const groups = [
    { __proto__: null, files: ["console.js"], globals: "console reportError",
      internals: "inspect setErrorReporter" },
    { __proto__: null, files: ["events.js"],
      globals: "DOMException Event CustomEvent ErrorEvent EventTarget AbortSignal AbortController",
      internals: "anySignal throwIfAborted abortReason newSignal onAbort signalAbort" },
    { __proto__: null, files: ["performance.js"], globals: "Performance performance", internals: "" },
    { __proto__: null, files: ["encoding.js"], globals: "TextEncoder TextDecoder atob btoa",
      internals: "encodeUtf8 decodeUtf8 decodeWith base64 fromBase64Url toBase64Url" },
    { __proto__: null, files: ["url.js"], globals: "URL URLSearchParams", internals: "setPair urlQueryChanged" },
    { __proto__: null, files: ["streams_queue.js", "streams_readable.js", "streams_writable.js", "streams_transform.js"],
      globals: "CountQueuingStrategy ByteLengthQueuingStrategy ReadableStream " +
        "ReadableStreamDefaultController ReadableByteStreamController ReadableStreamDefaultReader " +
        "ReadableStreamBYOBReader WritableStream WritableStreamDefaultController " +
        "WritableStreamDefaultWriter TransformStream TransformStreamDefaultController " +
        "TextEncoderStream TextDecoderStream",
      internals: "Queue queued highWaterMark sizeAlgorithm algorithm upon rejectedHandled resolved " +
        "streamState newStream newReader read releaseReader cancelState canTake teeStream " +
        "writableState newWritable errorWritable pipe newTransform getWriter writeTo closeWriter " +
        "abortWriter pipeTo readableSide writableSide" },
    { __proto__: null, files: ["blob.js", "headers.js", "body.js", "request_response.js"],
      globals: "Blob File FormData Headers Request Response",
      internals: "bytesStream newForm newHeaders lockHeaders header addHeader newBody extractBody " +
        "bodyUsed checkUsable bodyStream cloneBody takeBody pumpBody createBodyStream mixBody " +
        "createRequest newRequest requestParts readResponse createResponse kindOf" },
    { __proto__: null, files: ["crypto_keys.js", "crypto.js"], globals: "CryptoKey SubtleCrypto Crypto crypto",
      internals: "cryptoFail normalizeAlgorithm hashName cryptoBytes bufferOf keyParts secretKey " +
        "keyKind importKey exportKey keyBytes generateKey" },
  ];

  // There is nothing of these kinds before their groups are there.
  for (const name of ["isReadableStream", "isWritableStream", "isAbortSignal", "isRequest",
    "isResponse", "isFile"]) internals[name] = () => false;
  for (const name of ["urlHref", "searchList", "headerList", "formList", "blobBytes"]) {
    internals[name] = () => undefined;
  }

  // Makes `value` a global as Web IDL wants it: writable, configurable, not enumerable.
  const define = (name, value) => {
    ObjectDefineProperty(globalThis, name,
      { __proto__: null, value, writable: true, configurable: true, enumerable: false });
  };
  // The globals of the group that is being made. They are defined when all are there: what was
  // ended half way, as code may be anywhere, is made anew by whoever asks next.
  let making = null;
  internals.global = (name, value) => {
    if (making === null) return define(name, value);
    making[name] = value;
    internals[name] = value;
  };
  const make = (group) => {
    const outer = making;
    const made = making = { __proto__: null };
    for (let i = 0; i < group.files.length; i++) {
      host.source(group.files[i])(host, p, internals);
    }
    making = outer;
    group.made = made;
    for (const name in made) {
      // A service may have put something of its own there.
      if (ObjectGetOwnPropertyDescriptor(globalThis, name)?.get === group.getters[name]) {
        define(name, made[name]);
      }
    }
    return made;
  };

  for (const group of groups) {
    group.made = null;
    group.getters = { __proto__: null };
    for (const name of group.globals.split(" ")) {
      const get = group.getters[name] = () => (group.made ?? make(group))[name];
      ObjectDefineProperty(globalThis, name, { __proto__: null, get,
        set(value) { define(name, value); }, configurable: true, enumerable: false });
    }
  }
  const has = (names, name) => StringPrototypeIncludes(` ${names} `, ` ${name} `);
  // Each name of `internals` that is not there yet is looked up here.
  ObjectSetPrototypeOf(internals, new Proxy({ __proto__: null }, { __proto__: null,
    get(target, name) {
      for (let i = 0; typeof name === "string" && i < groups.length; i++) {
        const group = groups[i];
        if (group.made === null && (has(group.globals, name) || has(group.internals, name))) {
          make(group);
          return internals[name];
        }
      }
      return undefined;
    },
  }));
  internals.groups = groups;
})
