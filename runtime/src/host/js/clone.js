// structuredClone: V8's serialiser, with the DOM's errors.
(function (host, p, internals) {
  "use strict";
  const { ArrayBufferPrototypeGetDetached, ArrayPrototypeIncludes, ArrayPrototypePush,
    SymbolIterator } = p;

  const refuse = (message) => {
    throw new internals.DOMException(message, "DataCloneError");
  };
  internals.global("structuredClone", function structuredClone(value, options = undefined) {
    internals.need(arguments, 1, "structuredClone");
    const transfer = internals.dictionary(options, "structuredClone's options").transfer;
    const buffers = [];
    if (transfer !== undefined) {
      const iterator = transfer[SymbolIterator]();
      for (let step = iterator.next(); !step.done; step = iterator.next()) {
        const buffer = step.value;
        if (!internals.isArrayBuffer(buffer)) refuse("only an ArrayBuffer can be transferred");
        if (ArrayPrototypeIncludes(buffers, buffer)) refuse("an ArrayBuffer is in the transfer list twice");
        if (ArrayBufferPrototypeGetDetached(buffer)) refuse("an ArrayBuffer to transfer is detached");
        ArrayPrototypePush(buffers, buffer);
      }
    }
    // Instances whose state is in private fields would clone to empty objects.
    if (internals.isPlatformObject(value)) refuse("this object cannot be cloned; clone what you read from it");
    const result = host.clone(value, buffers);
    if (typeof result === "string") refuse(result);
    return result[0];
  });
})
