const hex = (buffer) => [...new Uint8Array(buffer)].map((b) => b.toString(16).padStart(2, "0")).join("");
const from = (text) => new Uint8Array(text.match(/../g).map((x) => parseInt(x, 16)));
const utf8 = (text) => new TextEncoder().encode(text);
const { subtle } = crypto;
assert(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()));
assert(crypto.randomUUID() !== crypto.randomUUID());
const filled = new BigUint64Array(20);
assert(crypto.getRandomValues(filled) === filled && new Set(filled).size === 20);
throws(() => crypto.getRandomValues(new Float64Array(1)), "TypeMismatchError");
throws(() => crypto.getRandomValues(new Uint8Array(65537)), "QuotaExceededError");

equal(hex(await subtle.digest("SHA-1", utf8("abc"))), "a9993e364706816aba3e25717850c26c9cd0d89d");
equal(hex(await subtle.digest({ name: "sha-256" }, utf8("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
await rejects(subtle.digest("MD5", utf8("")), "NotSupportedError", "MD5");
await rejects(subtle.digest("SHA-256", "text"), "TypeError", "ArrayBuffer");

// RFC 4231, case 2
const mac = await subtle.importKey("raw", utf8("Jefe"), { name: "HMAC", hash: "SHA-256" }, true, ["sign", "verify"]);
const tag = await subtle.sign("HMAC", mac, utf8("what do ya want for nothing?"));
equal(hex(tag), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
equal([await subtle.verify("HMAC", mac, tag, utf8("what do ya want for nothing?")), await subtle.verify("HMAC", mac, tag, utf8("other"))], [true, false]);
equal(await subtle.exportKey("jwk", mac), { kty: "oct", k: "SmVmZQ", alg: "HS256", key_ops: ["sign", "verify"], ext: true });
equal([mac.type, mac.extractable, mac.algorithm], ["secret", true, { name: "HMAC", hash: { name: "SHA-256" }, length: 32 }]);
const closed = await subtle.importKey("jwk", { kty: "oct", k: "SmVmZQ" }, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
await rejects(subtle.sign("HMAC", closed, utf8("x")), "InvalidAccessError", "sign");
await rejects(subtle.exportKey("raw", closed), "InvalidAccessError", "extractable");
await rejects(subtle.importKey("raw", utf8("k"), { name: "HMAC", hash: "SHA-256" }, true, ["encrypt"]), "SyntaxError", "encrypt");

// GCM specification, test case 4 for AES-128 (without its last block)
const gcm = await subtle.importKey("raw", from("feffe9928665731c6d6a8f9467308308"), "AES-GCM", false, ["encrypt", "decrypt"]);
const algorithm = { name: "AES-GCM", iv: from("cafebabefacedbaddecaf888"), additionalData: from("feedfacedeadbeeffeedfacedeadbeefabaddad2") };
const plain = from("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
const sealed = await subtle.encrypt(algorithm, gcm, plain);
equal(hex(sealed).slice(-32), "5bc94fbc3221a5db94fae95ae7121a47");
equal(new Uint8Array(await subtle.decrypt(algorithm, gcm, sealed)), plain);
await rejects(subtle.decrypt({ ...algorithm, iv: new Uint8Array(12) }, gcm, sealed), "OperationError", "authentic");

// RFC 8032, test 2; then ECDSA there and back in every format
const ed = await subtle.importKey("jwk", { kty: "OKP", crv: "Ed25519", d: "TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs", x: "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw" }, "Ed25519", true, ["sign"]);
equal(hex(await subtle.sign("Ed25519", ed, from("72"))), "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
const pair = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
equal([pair.privateKey.extractable, pair.publicKey.extractable, pair.privateKey.usages, pair.publicKey.usages], [false, true, ["sign"], ["verify"]]);
const es256 = { name: "ECDSA", hash: "SHA-256" };
const signature = await subtle.sign(es256, pair.privateKey, utf8("m"));
for (const format of ["jwk", "raw", "spki"]) {
  const key = await subtle.importKey(format, await subtle.exportKey(format, pair.publicKey), { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]);
  equal([await subtle.verify(es256, key, signature, utf8("m")), await subtle.verify(es256, key, signature, utf8("n"))], [true, false], format);
}
await rejects(subtle.sign({ name: "ECDSA", hash: "SHA-512" }, pair.privateKey, utf8("m")), "NotSupportedError", "SHA-256");
await rejects(subtle.importKey("spki", new Uint8Array(5), { name: "ECDSA", namedCurve: "P-256" }, true, []), "DataError", "spki");
// A private key that is not the one of its public half is refused.
const other = await subtle.exportKey("jwk", (await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"])).privateKey);
const open = await subtle.exportKey("jwk", pair.publicKey);
await rejects(subtle.importKey("jwk", { ...other, x: open.x, y: open.y, key_ops: undefined }, { name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]), "DataError", "not valid");

// RFC 6070 (SHA-1, 2 rounds) and RFC 5869, case 1
const password = await subtle.importKey("raw", utf8("password"), "PBKDF2", false, ["deriveBits", "deriveKey"]);
equal(hex(await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-1", salt: utf8("salt"), iterations: 2 }, password, 160)), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
await rejects(subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: utf8("salt"), iterations: 1e9 }, password, 256), "OperationError", "iterations");
const ikm = await subtle.importKey("raw", new Uint8Array(22).fill(0x0b), "HKDF", false, ["deriveBits"]);
equal(hex(await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: from("000102030405060708090a0b0c"), info: from("f0f1f2f3f4f5f6f7f8f9") }, ikm, 336)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
const derived = await subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt: utf8("salt"), iterations: 10 }, password, { name: "AES-GCM", length: 256 }, false, ["encrypt"]);
equal(derived.algorithm, { name: "AES-GCM", length: 256 });
