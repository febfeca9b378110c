// CryptoKey: algorithms, usages, import, export and generation of keys.
(function (host, p, internals) {
  "use strict";
  const { ArrayPrototypeIncludes, ArrayPrototypePush, ArrayPrototypeSlice, ObjectFreeze,
    StringPrototypeToLowerCase, SymbolIterator, TypeError, TypedArrayPrototypeGetBuffer,
    TypedArrayPrototypeGetLength, TypedArrayPrototypeSet, Uint8Array } = p;
  const { allocate, copy, defineClass, DOMException, fromBase64Url, illegal, isObject, part,
    secret, toBase64Url, viewBytes } = internals;

  const fail = internals.cryptoFail = (name, message) => {
    throw new DOMException(message, name);
  };
  const KINDS = ["HMAC", "AES-GCM", "ECDSA", "Ed25519", "RSASSA-PKCS1-v1_5", "RSA-PSS", "PBKDF2",
    "HKDF", "SHA-1", "SHA-256", "SHA-384", "SHA-512"];
  const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];
  const ALLOWED = { __proto__: null, "HMAC": ["sign", "verify"],
    "AES-GCM": ["encrypt", "decrypt", "wrapKey", "unwrapKey"],
    "PBKDF2": ["deriveKey", "deriveBits"], "HKDF": ["deriveKey", "deriveBits"] };
  const BLOCK_BYTES = { __proto__: null, "SHA-1": 64, "SHA-256": 64, "SHA-384": 128, "SHA-512": 128 };

  // The algorithm's standard name and the object it came in.
  const normalize = internals.normalizeAlgorithm = (algorithm) => {
    const given = typeof algorithm === "string" ? { __proto__: null, name: algorithm } : algorithm;
    if (!isObject(given)) throw new TypeError("an algorithm must be a name or an object with a name");
    const wanted = StringPrototypeToLowerCase(`${given.name}`);
    for (let i = 0; i < KINDS.length; i++) {
      if (StringPrototypeToLowerCase(KINDS[i]) === wanted) return { __proto__: null, name: KINDS[i], given };
    }
    return fail("NotSupportedError", `the algorithm "${given.name}" is not supported; there are ${p.ArrayPrototypeJoin(KINDS, ", ")}`);
  };
  const hashOf = internals.hashName = (hash) => {
    if (hash === undefined) throw new TypeError("the algorithm needs a hash, such as SHA-256");
    const { name } = normalize(hash);
    if (BLOCK_BYTES[name] === undefined) fail("NotSupportedError", `"${name}" is not a hash`);
    return name;
  };
  const bytesOf = internals.cryptoBytes = (value, what) => {
    const bytes = viewBytes(value);
    if (bytes === undefined) throw new TypeError(`${what} must be an ArrayBuffer or a view of one`);
    return bytes;
  };
  internals.bufferOf = (bytes) => TypedArrayPrototypeGetBuffer(bytes);

  class CryptoKey {
    #type;
    #extractable;
    #algorithm;
    #usages;
    #parts;
    constructor(key, type, extractable, algorithm, usages, parts) {
      illegal(key);
      this.#type = type;
      this.#extractable = extractable;
      this.#algorithm = ObjectFreeze(algorithm);
      this.#usages = ObjectFreeze(usages);
      this.#parts = parts;
    }
    get type() { return this.#type; }
    get extractable() { return this.#extractable; }
    get algorithm() { return this.#algorithm; }
    get usages() { return ArrayPrototypeSlice(this.#usages); }
    static {
      internals.keyParts = (key, what) => {
        if (!isObject(key) || !(#parts in key)) throw new TypeError(`${what} needs a CryptoKey`);
        return { __proto__: null, type: key.#type, extractable: key.#extractable, name: key.#algorithm.name,
          algorithm: key.#algorithm, usages: key.#usages, parts: key.#parts };
      };
    }
  }
  defineClass(CryptoKey);

  const usagesOf = (given, name, type) => {
    const allowed = ALLOWED[name] ?? (type === "private" ? ["sign"] : type === "public" ? ["verify"] : ["sign", "verify"]);
    const list = [];
    const iterator = given[SymbolIterator]();
    for (let step = iterator.next(); !step.done; step = iterator.next()) {
      const usage = `${step.value}`;
      if (!ArrayPrototypeIncludes(USAGES, usage)) throw new TypeError(`"${usage}" is not a key usage`);
      if (!ArrayPrototypeIncludes(allowed, usage)) {
        fail("SyntaxError", `a ${type} ${name} key cannot be used to ${usage}; it can ${p.ArrayPrototypeJoin(allowed, ", ")}`);
      }
      if (!ArrayPrototypeIncludes(list, usage)) ArrayPrototypePush(list, usage);
    }
    return list;
  };
  const newKey = (type, extractable, algorithm, usages, parts) => {
    if (usages.length === 0 && type !== "public") fail("SyntaxError", `a ${type} key needs at least one usage`);
    return new CryptoKey(secret, type, type === "public" ? true : !!extractable, algorithm, usages, parts);
  };
  const bits = (bytes) => TypedArrayPrototypeGetLength(bytes) * 8;

  const secretKey = (algorithm, bytes, extractable, usages) => {
    const { name, given } = algorithm;
    let info = { name };
    if (name === "HMAC") {
      if (bits(bytes) === 0) fail("DataError", "an HMAC key must not be empty");
      info = { name, hash: ObjectFreeze({ name: hashOf(given.hash) }), length: bits(bytes) };
    } else if (name === "AES-GCM") {
      if (bits(bytes) !== 128 && bits(bytes) !== 256) {
        fail(bits(bytes) === 192 ? "NotSupportedError" : "DataError", "an AES-GCM key must have 128 or 256 bits");
      }
      info = { name, length: bits(bytes) };
    } else if (extractable) {
      fail("SyntaxError", `a ${name} key cannot be extractable`);
    }
    return newKey("secret", extractable, info, usagesOf(usages, name, "secret"), [bytes]);
  };
  internals.secretKey = secretKey;

  const CURVE_BYTES = { __proto__: null, "P-256": 32, "P-384": 48 };
  // The native side's name for the kind of an asymmetric key.
  const kindOf = internals.keyKind = (algorithm) =>
    (algorithm.name === "ECDSA" ? algorithm.namedCurve : algorithm.name === "Ed25519" ? "Ed25519" : "RSA");

  // An asymmetric key from the native side's parts; the kind must be the algorithm's.
  const pairHalf = (algorithm, type, kind, parts, extractable, usages) => {
    const { name, given } = algorithm;
    let info;
    if (name === "ECDSA") {
      const size = CURVE_BYTES[kind];
      if (size === undefined || kind !== `${given.namedCurve}`) fail("DataError", `the key is ${kind}, not ${given.namedCurve}`);
      const point = parts[parts.length - 1];
      if (TypedArrayPrototypeGetLength(point) !== 2 * size + 1 || point[0] !== 4) {
        fail("DataError", "the key's public point is not a full, uncompressed point");
      }
      info = { name, namedCurve: kind };
    } else if (name === "Ed25519") {
      if (kind !== "Ed25519" || bits(parts[0]) !== 256) fail("DataError", "the key is not an Ed25519 key");
      if (type === "private" && parts.length === 1) parts = [parts[0], host.edPublic(parts[0], allocate)];
      info = { name };
    } else {
      if (kind !== "RSA") fail("DataError", "the key is not an RSA key");
      info = { name, modulusLength: bits(parts[0]), publicExponent: copy(parts[1]),
        hash: ObjectFreeze({ name: hashOf(given.hash) }) };
    }
    if (type === "private" && host.sign(kind, "pkcs1", "SHA-256", parts, new Uint8Array(1), allocate) === undefined) {
      fail("DataError", `the ${kind} key is not valid`);
    }
    return newKey(type, extractable, info, usagesOf(usages, name, type), parts);
  };

  const field = (jwk, name) => {
    const bytes = typeof jwk[name] === "string" ? fromBase64Url(jwk[name]) : undefined;
    if (bytes === undefined) fail("DataError", `the JWK's "${name}" is missing or not base64url`);
    return bytes;
  };
  const point = (x, y) => {
    const size = TypedArrayPrototypeGetLength(x);
    const out = new Uint8Array(1 + size + TypedArrayPrototypeGetLength(y));
    out[0] = 4;
    TypedArrayPrototypeSet(out, x, 1);
    TypedArrayPrototypeSet(out, y, 1 + size);
    return out;
  };
  const RSA_FIELDS = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];

  const fromJwk = (jwk, algorithm, extractable, usages) => {
    if (!isObject(jwk) || viewBytes(jwk) !== undefined) throw new TypeError("a JWK must be an object");
    if (jwk.ext === false && extractable) fail("DataError", "the JWK forbids an extractable key");
    if (p.ArrayIsArray(jwk.key_ops)) {
      const wanted = usagesOf(usages, algorithm.name, "d" in jwk ? "private" : jwk.kty === "oct" ? "secret" : "public");
      for (let i = 0; i < wanted.length; i++) {
        if (!ArrayPrototypeIncludes(jwk.key_ops, wanted[i])) fail("DataError", `the JWK's key_ops lack "${wanted[i]}"`);
      }
    }
    const type = jwk.d === undefined ? "public" : "private";
    switch (jwk.kty) {
      case "oct":
        if (algorithm.name !== "HMAC" && algorithm.name !== "AES-GCM") break;
        return secretKey(algorithm, field(jwk, "k"), extractable, usages);
      case "EC": {
        if (algorithm.name !== "ECDSA") break;
        const whole = point(field(jwk, "x"), field(jwk, "y"));
        return pairHalf(algorithm, type, `${jwk.crv}`, type === "private" ? [field(jwk, "d"), whole] : [whole], extractable, usages);
      }
      case "OKP": {
        if (algorithm.name !== "Ed25519") break;
        const x = field(jwk, "x");
        return pairHalf(algorithm, type, `${jwk.crv}`, type === "private" ? [field(jwk, "d"), x] : [x], extractable, usages);
      }
      case "RSA": {
        if (algorithm.name !== "RSASSA-PKCS1-v1_5" && algorithm.name !== "RSA-PSS") break;
        const parts = [];
        for (let i = 0; i < (type === "private" ? 8 : 2); i++) ArrayPrototypePush(parts, field(jwk, RSA_FIELDS[i]));
        return pairHalf(algorithm, type, "RSA", parts, extractable, usages);
      }
    }
    return fail("DataError", `a JWK of kty "${jwk.kty}" is not a key for ${algorithm.name}`);
  };

  internals.importKey = (format, data, algorithm, extractable, usages) => {
    algorithm = normalize(algorithm);
    const { name, given } = algorithm;
    if (BLOCK_BYTES[name] !== undefined) fail("NotSupportedError", `${name} has no keys`);
    switch (`${format}`) {
      case "jwk": return fromJwk(data, algorithm, extractable, usages);
      case "raw": {
        const bytes = copy(bytesOf(data, "the key"));
        if (ALLOWED[name] !== undefined) return secretKey(algorithm, bytes, extractable, usages);
        if (name === "ECDSA") return pairHalf(algorithm, "public", `${given.namedCurve}`, [bytes], extractable, usages);
        if (name === "Ed25519") return pairHalf(algorithm, "public", name, [bytes], extractable, usages);
        break;
      }
      case "spki": case "pkcs8": {
        if (ALLOWED[name] !== undefined) break;
        const read = host.keyRead(`${format}`, bytesOf(data, "the key"), allocate);
        if (read === undefined) fail("DataError", `the bytes are not a ${format} key that is known here (RSA, P-256, P-384, Ed25519)`);
        return pairHalf(algorithm, format === "spki" ? "public" : "private", read[0], ArrayPrototypeSlice(read, 1), extractable, usages);
      }
    }
    return fail("NotSupportedError", `${name} keys cannot be imported from "${format}"`);
  };

  const jwkAlg = (algorithm) => {
    const hash = algorithm.hash === undefined ? "" : p.StringPrototypeSlice(algorithm.hash.name, 4);
    switch (algorithm.name) {
      case "HMAC": return `HS${hash}`;
      case "AES-GCM": return `A${algorithm.length}GCM`;
      case "RSASSA-PKCS1-v1_5": return `RS${hash}`;
      case "RSA-PSS": return `PS${hash}`;
    }
    return undefined;
  };
  const toJwk = (key) => {
    const { algorithm, parts, type, name } = key;
    const jwk = {};
    if (type === "secret") {
      jwk.kty = "oct";
      jwk.k = toBase64Url(parts[0]);
    } else if (name === "ECDSA") {
      const size = CURVE_BYTES[algorithm.namedCurve];
      const whole = parts[parts.length - 1];
      jwk.kty = "EC";
      jwk.crv = algorithm.namedCurve;
      jwk.x = toBase64Url(part(whole, 1, 1 + size));
      jwk.y = toBase64Url(part(whole, 1 + size, 1 + 2 * size));
      if (type === "private") jwk.d = toBase64Url(parts[0]);
    } else if (name === "Ed25519") {
      jwk.kty = "OKP";
      jwk.crv = "Ed25519";
      jwk.x = toBase64Url(parts[parts.length - 1]);
      if (type === "private") jwk.d = toBase64Url(parts[0]);
    } else {
      jwk.kty = "RSA";
      for (let i = 0; i < parts.length; i++) jwk[RSA_FIELDS[i]] = toBase64Url(parts[i]);
    }
    const alg = jwkAlg(algorithm);
    if (alg !== undefined) jwk.alg = alg;
    jwk.key_ops = ArrayPrototypeSlice(key.usages);
    jwk.ext = key.extractable;
    return jwk;
  };

  internals.exportKey = (format, cryptoKey) => {
    const key = internals.keyParts(cryptoKey, "exportKey");
    if (key.name === "PBKDF2" || key.name === "HKDF") fail("NotSupportedError", `${key.name} keys cannot be exported`);
    if (!key.extractable) fail("InvalidAccessError", "the key is not extractable");
    const { parts, type } = key;
    switch (`${format}`) {
      case "jwk": return toJwk(key);
      case "raw":
        if (type === "secret" || (type === "public" && parts.length === 1)) {
          return TypedArrayPrototypeGetBuffer(copy(parts[0]));
        }
        break;
      case "spki": case "pkcs8":
        if (type === (format === "spki" ? "public" : "private")) {
          const list = key.name === "Ed25519" ? [parts[0]] : parts;
          return TypedArrayPrototypeGetBuffer(host.keyWrite(`${format}`, kindOf(key.algorithm), list, allocate));
        }
        break;
    }
    return fail("NotSupportedError", `a ${type} ${key.name} key cannot be exported as "${format}"`);
  };

  const randomBytes = (length) => {
    const bytes = new Uint8Array(length);
    host.randomFill(bytes);
    return bytes;
  };
  // The length that a key derived or generated for this algorithm has.
  internals.keyBytes = (algorithm) => {
    const { name, given } = normalize(algorithm);
    if (name === "HMAC" && given.length === undefined) return BLOCK_BYTES[hashOf(given.hash)];
    const length = given.length >>> 0;
    if (length === 0 || length % 8 !== 0 || length > 65536) fail("OperationError", "the key's length must be a multiple of 8 bits");
    return length / 8;
  };
  internals.generateKey = (algorithm, extractable, usages) => {
    const normal = normalize(algorithm);
    const { name, given } = normal;
    if (name === "HMAC" || name === "AES-GCM") {
      return secretKey(normal, randomBytes(internals.keyBytes(algorithm)), extractable, usages);
    }
    if (name !== "ECDSA" && name !== "Ed25519") {
      fail("NotSupportedError", `${name} keys cannot be generated here; import one, or use ECDSA or Ed25519`);
    }
    const kind = name === "ECDSA" ? `${given.namedCurve}` : name;
    if (name === "ECDSA" && CURVE_BYTES[kind] === undefined) {
      fail("NotSupportedError", `the curve "${kind}" is not supported; use P-256 or P-384`);
    }
    let parts;
    if (name === "ECDSA") {
      parts = host.ecGenerate(kind, allocate);
    } else {
      const seed = randomBytes(32);
      parts = [seed, host.edPublic(seed, allocate)];
    }
    const all = usagesOf(usages, name, "pair");
    const only = (usage) => (ArrayPrototypeIncludes(all, usage) ? [usage] : []);
    return { privateKey: pairHalf(normal, "private", kind, parts, extractable, only("sign")),
      publicKey: pairHalf(normal, "public", kind, [parts[1]], true, only("verify")) };
  };
})
