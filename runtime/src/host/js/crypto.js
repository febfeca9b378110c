// crypto: random values and SubtleCrypto. The work is done before the promise is returned: it
// counts against the CPU budget of the request that asked for it.
(function (host, p, internals) {
  "use strict";
  const { ArrayPrototypeIncludes, MathCeil, StringPrototypeSlice,
    TypedArrayPrototypeGetByteLength, TypedArrayPrototypeGetLength,
    TypedArrayPrototypeGetSymbolToStringTag, TypedArrayPrototypeSet, Uint8Array } = p;
  const { allocate, bufferOf, cryptoBytes, cryptoFail, defineClass, global, hashName, illegal,
    keyKind, keyParts, need, normalizeAlgorithm, secret, settle } = internals;
  const MAX_RANDOM_BYTES = 65536;
  const MAX_ITERATIONS = 1000000;
  const MAX_DERIVED_BYTES = 65536;
  const TAG_BYTES = 16;

  // The parts of a key that may be used so; the algorithm must be the key's own.
  const usable = (algorithm, cryptoKey, usage) => {
    const normal = normalizeAlgorithm(algorithm);
    const key = keyParts(cryptoKey, usage);
    if (key.name !== normal.name) cryptoFail("InvalidAccessError", `the key is for ${key.name}, not for ${normal.name}`);
    if (!ArrayPrototypeIncludes(key.usages, usage)) cryptoFail("InvalidAccessError", `the key must not be used to ${usage}`);
    key.given = normal.given;
    return key;
  };
  // The hash and padding of a signature; the native side knows one hash for each curve.
  const scheme = (key) => {
    if (key.name === "Ed25519") return { __proto__: null, padding: "", hash: "SHA-512" };
    if (key.name === "ECDSA") {
      const hash = hashName(key.given.hash);
      if (hash !== (key.algorithm.namedCurve === "P-256" ? "SHA-256" : "SHA-384")) {
        cryptoFail("NotSupportedError", `${key.algorithm.namedCurve} with ${hash} is not supported; use SHA-256 with P-256, SHA-384 with P-384`);
      }
      return { __proto__: null, padding: "", hash };
    }
    const hash = key.algorithm.hash.name;
    if (key.name !== "RSA-PSS") return { __proto__: null, padding: "pkcs1", hash };
    const salt = key.given.saltLength;
    if (+salt * 8 !== +StringPrototypeSlice(hash, 4)) {
      cryptoFail("NotSupportedError", "RSA-PSS is supported with a saltLength equal to the hash's length");
    }
    return { __proto__: null, padding: "pss", hash };
  };

  const aes = (seal, algorithm, cryptoKey, data) => {
    const key = usable(algorithm, cryptoKey, seal ? "encrypt" : "decrypt");
    if (key.name !== "AES-GCM") cryptoFail("NotSupportedError", `${key.name} cannot ${seal ? "encrypt" : "decrypt"}`);
    const { iv, additionalData, tagLength } = key.given;
    const nonce = cryptoBytes(iv, "the algorithm's iv");
    if (TypedArrayPrototypeGetLength(nonce) !== 12) cryptoFail("NotSupportedError", "AES-GCM is supported with an iv of 12 bytes");
    if (tagLength !== undefined && +tagLength !== TAG_BYTES * 8) {
      cryptoFail("NotSupportedError", "AES-GCM is supported with a tagLength of 128");
    }
    const extra = additionalData === undefined ? new Uint8Array(0) : cryptoBytes(additionalData, "additionalData");
    const out = host.aesGcm(seal, key.parts[0], nonce, extra, cryptoBytes(data, "the data"), allocate);
    if (out === undefined) cryptoFail("OperationError", seal ? "the data could not be encrypted" : "the data is not authentic: key, iv or additionalData differ, or it was changed");
    return bufferOf(out);
  };

  const derive = (algorithm, cryptoKey, length, usage) => {
    const key = usable(algorithm, cryptoKey, usage);
    const { given } = key;
    const hash = hashName(given.hash);
    const salt = cryptoBytes(given.salt, "the algorithm's salt");
    if (!(length > 0) || length % 1 !== 0 || length > MAX_DERIVED_BYTES) {
      cryptoFail("OperationError", `the length must be a multiple of 8 bits, at most ${MAX_DERIVED_BYTES * 8}`);
    }
    let out;
    if (key.name === "PBKDF2") {
      const iterations = +given.iterations;
      // One call cannot be interrupted, so what it may cost is bounded.
      if (!(iterations >= 1 && iterations * MathCeil(length / 32) <= MAX_ITERATIONS)) {
        cryptoFail("OperationError", `iterations (times 32-byte blocks) must be from 1 to ${MAX_ITERATIONS}`);
      }
      out = host.pbkdf2(hash, key.parts[0], salt, iterations, length, allocate);
    } else if (key.name === "HKDF") {
      out = host.hkdf(hash, key.parts[0], salt, cryptoBytes(given.info, "the algorithm's info"), length, allocate);
    } else {
      cryptoFail("NotSupportedError", `${key.name} cannot derive`);
    }
    if (out === undefined) cryptoFail("OperationError", "that many bits cannot be derived");
    return out;
  };

  class SubtleCrypto {
    constructor(key) { illegal(key); }
    digest(algorithm, data) {
      return settle(() => {
        const hash = hashName(algorithm);
        return bufferOf(host.digest(hash, cryptoBytes(data, "the data"), allocate));
      });
    }
    sign(algorithm, key, data) {
      return settle(() => {
        const k = usable(algorithm, key, "sign");
        const bytes = cryptoBytes(data, "the data");
        if (k.name === "HMAC") return bufferOf(host.hmacSign(k.algorithm.hash.name, k.parts[0], bytes, allocate));
        const { padding, hash } = scheme(k);
        const out = host.sign(keyKind(k.algorithm), padding, hash, k.parts, bytes, allocate);
        if (out === undefined) cryptoFail("NotSupportedError", `the key cannot sign with ${hash}`);
        return bufferOf(out);
      });
    }
    verify(algorithm, key, signature, data) {
      return settle(() => {
        const k = usable(algorithm, key, "verify");
        const value = cryptoBytes(signature, "the signature");
        const bytes = cryptoBytes(data, "the data");
        if (k.name === "HMAC") return host.hmacVerify(k.algorithm.hash.name, k.parts[0], value, bytes);
        const { padding, hash } = scheme(k);
        return host.verify(keyKind(k.algorithm), padding, hash, k.parts, value, bytes);
      });
    }
    encrypt(algorithm, key, data) { return settle(() => aes(true, algorithm, key, data)); }
    decrypt(algorithm, key, data) { return settle(() => aes(false, algorithm, key, data)); }
    importKey(format, data, algorithm, extractable, usages) {
      return settle(() => {
        need(arguments, 5, "importKey");
        return internals.importKey(format, data, algorithm, extractable, usages);
      });
    }
    exportKey(format, key) { return settle(() => internals.exportKey(format, key)); }
    generateKey(algorithm, extractable, usages) {
      return settle(() => {
        need(arguments, 3, "generateKey");
        return internals.generateKey(algorithm, extractable, usages);
      });
    }
    deriveBits(algorithm, key, length) {
      return settle(() => bufferOf(derive(algorithm, key, +length / 8, "deriveBits")));
    }
    deriveKey(algorithm, key, derived, extractable, usages) {
      return settle(() => {
        const bytes = derive(algorithm, key, internals.keyBytes(derived), "deriveKey");
        return internals.secretKey(normalizeAlgorithm(derived), bytes, extractable, usages);
      });
    }
    wrapKey() { return settle(() => cryptoFail("NotSupportedError", "wrapKey is not supported; export the key and encrypt it")); }
    unwrapKey() { return settle(() => cryptoFail("NotSupportedError", "unwrapKey is not supported; decrypt the key and import it")); }
  }
  defineClass(SubtleCrypto);

  const subtle = new SubtleCrypto(secret);
  const HEX = "0123456789abcdef";
  const INTEGERS = ["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array",
    "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array"];

  class Crypto {
    constructor(key) { illegal(key); }
    get subtle() { return subtle; }
    getRandomValues(array) {
      need(arguments, 1, "getRandomValues");
      if (!ArrayPrototypeIncludes(INTEGERS, TypedArrayPrototypeGetSymbolToStringTag(array))) {
        throw new internals.DOMException("getRandomValues needs a typed array of integers", "TypeMismatchError");
      }
      if (TypedArrayPrototypeGetByteLength(array) > MAX_RANDOM_BYTES) {
        throw new internals.DOMException(`getRandomValues fills at most ${MAX_RANDOM_BYTES} bytes at once`, "QuotaExceededError");
      }
      // Into a buffer of our own first: only set() refuses to write into an immutable one.
      const bytes = new Uint8Array(TypedArrayPrototypeGetByteLength(array));
      host.randomFill(bytes);
      TypedArrayPrototypeSet(internals.viewBytes(array), bytes);
      return array;
    }
    randomUUID() {
      const bytes = new Uint8Array(16);
      host.randomFill(bytes);
      bytes[6] = (bytes[6] & 0x0F) | 0x40;
      bytes[8] = (bytes[8] & 0x3F) | 0x80;
      let text = "";
      for (let i = 0; i < 16; i++) {
        if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
        text += HEX[bytes[i] >> 4] + HEX[bytes[i] & 15];
      }
      return text;
    }
  }
  defineClass(Crypto);
  global("crypto", new Crypto(secret));
})
