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

// Keys and signatures that OpenSSL made for this test.
const der = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const base64 = (buffer) => internals.base64(new Uint8Array(buffer));
const rsaPrivate = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCLl3pMXv0otiEpbjskUK0vku+8N20GCaLD94GJQ2vr" +
  "qe43s87EMngUl6tbmjgnx9HICabWC07lhTJ8Dp/kpeN/OQBT3y92ZO2nIaZGmk1XSyLGKAi6Td3c1WYAtM4l1ml5rPwk" +
  "f0UhPSDI4YuvQCCGrzSLo3g9VKIF2arMVmJu0nHrD/3ZHfNkQ4la/Mm66/Mu9eRWn+08apZhOr+6K/YDfSTR81dSh2Gh" +
  "cvNgZZV/gikcTqXgdI9Aq7HxU5iLQJyH8vDcegWGWAReiRvV8czhCZDLqCJcNxBvp8xJ0/Lgs+wJOSJhgstFKd3qFeeL" +
  "QoCPhYejAAP3WHb3lni2ck3HAgMBAAECggEAAic4I+xKNi08uwKrVOkXE69SrQYZ60mlGJe/t62q8tjSF4PB+615nhNn" +
  "JCKQsEItTMs7PsjDKp9JmGJAZ1QuCb9KXHda6qQ3bbjdSN1UkENsfiv2GjT+WfGPLkpiy3CoTEHBmFz4pwf0X5meKJZ0" +
  "Zm5DnW8hjBqQfQS5f+ZTXlWscWSXkGKwDUssqxnOcWinCvAJkNGkzUqQClVluJdRrAP9FiTozUxzxByQb4PZ3k7V+NTz" +
  "x9qUPerMcydhPZxZ2dJSHjOcjASUfkVvfEMwipEJyu5E1VJH7P7fgSPvz6BUQ373govrvBaf3fqG8T3nMduTM94jXOqK" +
  "AiqTVqqLjQKBgQC+3WilWpCjshLuqsK6gHryKloQZydfjWMp+dBXwM1JRPyh+uVQ91PfVtwvB3/yeSjT75dcWiAmTx5b" +
  "t5AAInx9hmsakQWRoBhvu/czdNdY057cTLWID65qD1GekFdwacgQVAeL+z3jJ1f0hbOzzEn6yE64Qfk18tgrTFUjOxW5" +
  "+wKBgQC7OqydFdSn43Um9/0UO93G91hTOBoQrPsqUQBJIQAyhhQSQZulM3CBDlB9rIAym5+Go+SWma+0waRyrhcZ+I3I" +
  "fuHQE0uTh978ftpzn8JCT4sYHFHDPo2m7hQul+oW6V46SOnmo8DOBXJBXbyyygj/xKCiVzM0IjrVbg7pBCAdpQKBgBg0" +
  "TcwCYytPLtVzdERgfLbvJgLEghq8/GFbW891FNOA2yTTg3c0Fj/RbRTNt60RLltKHADLMR6KlAf/jFRoCy+D91skHver" +
  "vM2Woa+11oVeONwpIjBCBNVQYgJgvaX01Dk13ssirmN7Hs1Uk0hu1Mbn1gvJ2ge8Zyt+f6F7IbM3AoGAIVP2ehfyvNf+" +
  "eKtYP4vQlKRe8qFf8mv4YbX9iQb41AWN+Rn4rNWVR0PXDCfywg91vC/cdvpwjoqRzWAz+ImII5KCe9mTcHWVOfkSxdZA" +
  "bDFgnzAbVdgCux5SNWERaHauMU3dZRLtNT8+8WfQOTtBktXbikpfcP5O3sMyoEP9u4kCgYEAtTqSCWDREnWwHbtTKC5k" +
  "2ywhB/15lmvvrn98cgKCqJJTcdcFcRi1iQNW94VSeKnrpabxKB4oYUTY2PEo2xrLBbBdcNHIlpVJlPLx8ZrlQFTXP8rI" +
  "FdVR84zVsPvkq1ZfNctIoaW/gDDZv+pullm18WSlcv5kRE11Xlolc3Kkrbw=";
const rsaPublic = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAi5d6TF79KLYhKW47JFCtL5LvvDdtBgmiw/eBiUNr66nuN7PO" +
  "xDJ4FJerW5o4J8fRyAmm1gtO5YUyfA6f5KXjfzkAU98vdmTtpyGmRppNV0sixigIuk3d3NVmALTOJdZpeaz8JH9FIT0g" +
  "yOGLr0Aghq80i6N4PVSiBdmqzFZibtJx6w/92R3zZEOJWvzJuuvzLvXkVp/tPGqWYTq/uiv2A30k0fNXUodhoXLzYGWV" +
  "f4IpHE6l4HSPQKux8VOYi0Cch/Lw3HoFhlgEXokb1fHM4QmQy6giXDcQb6fMSdPy4LPsCTkiYYLLRSnd6hXni0KAj4WH" +
  "owAD91h295Z4tnJNxwIDAQAB";
const pkcs1 = "CpO8OUNpuCMZnZYRBVzi/yiSBe+UwSTkYEV9HkOaowmJIvwxEmAREMxSSNm3Pnf1apbE8Lm5HK5tzadryTUgif9K8MUP" +
  "OeU0Lm9EduAIjW6MrvK9HJjI+GWYOZj/KBMxQdo8AJ6oDQW3hfX2/vv3OxzzzMKNQIMsx4Qyp2c8eYCa/WUZ677vIb8z" +
  "TI+AW5P6URnut1eCN4+Jci98tWiJSf+4g0xk/zsiK0/vzh5t1ziAaqwikB3IiaUp+G6tVZgmPArmd/j6+BZ1Ob1wk1LD" +
  "yYctqL5FKMXwguHS7myZsOGE+wOO2go1LsdBXzfJjuQ2j6f+h2wrkW1hYizwc5yCcQ==";
const pss = "GPElOiFUrJLHVcE/vzzFT4vdH1WFeosoWpDxo4ptgwLscqaqZng1AMyWAh0R95RESntskITnh/WK16MIuM++A88sPoXg" +
  "dzLDWCXT7jsBFY4GnMLPqxpXkb9Ks2lUkED2NcJ84QoorzbZKDSdkQYJ4ll9d2wtavIUXXM1ZYH/p3dfrsWIIlKBB5C8" +
  "6MXsrx0WmazCM3cdHs3lwRW3pQqIt3IgQ/YRJ+SYPEKRik6vtGPraL0g/PyTBOBmvz3jnge0dZLDznF5vLtEVL4DqoE5" +
  "rxQmkvbNf4D3dd99/ojDVU5WdcDDyer+oQP6uP4dthQUO6R32bmrXDmjDkOc7CcUaQ==";
const rs256 = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const rsa = await subtle.importKey("pkcs8", der(rsaPrivate), rs256, true, ["sign"]);
equal(base64(await subtle.sign(rs256.name, rsa, utf8("message"))), pkcs1);
equal(base64(await subtle.exportKey("pkcs8", rsa)), rsaPrivate);
const again = await subtle.importKey("jwk", await subtle.exportKey("jwk", rsa), rs256, true, ["sign"]);
equal(base64(await subtle.sign(rs256.name, again, utf8("message"))), pkcs1);
const ps256 = { name: "RSA-PSS", hash: "SHA-256", saltLength: 32 };
const checker = await subtle.importKey("spki", der(rsaPublic), ps256, true, ["verify"]);
equal([await subtle.verify(ps256, checker, der(pss), utf8("message")), await subtle.verify(ps256, checker, der(pkcs1), utf8("message"))], [true, false]);
equal(base64(await subtle.exportKey("spki", checker)), rsaPublic);
equal([checker.algorithm.modulusLength, [...checker.algorithm.publicExponent]], [2048, [1, 0, 1]]);
for (const [algorithm, text] of [[{ name: "ECDSA", namedCurve: "P-384" }, "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDAdswczYX+GZ61F0nuNUzTIF9z5oYmlLgGx0ogjlxHa8ruT" +
  "u6V018RawIdM1E2ZNW2hZANiAARTCrMZ6mhMUoYA7NpelvzBEgxhvHiqqyFLm9v8pGzYetA9xINrfB+6zubkJJmwyvon" +
  "fj9oIky2t1lrYFmrft/FXHzR6VIkdkRfbOyhj3Kg9ugFvkfK9HOM4ie/Z4SDD6A="], ["Ed25519", "MC4CAQAwBQYDK2VwBCIEIIT/FYYtUPzbvUwMwa8HfB4dgwM9s6FjNzYJfjKAsSN7"]]) {
  const key = await subtle.importKey("pkcs8", der(text), algorithm, true, ["sign"]);
  equal(base64(await subtle.exportKey("pkcs8", key)), text);
}
// Cut short or changed in its lengths, a key is refused, never misread.
for (let cut = 0; cut < 60; cut++) {
  await rejects(subtle.importKey("pkcs8", der(rsaPrivate).subarray(0, cut * 20), rs256, true, ["sign"]), "DataError");
  const bent = der(rsaPublic);
  bent[cut % 40] ^= 0x81;
  await subtle.importKey("spki", bent, ps256, true, ["verify"]).then(async (key) => subtle.verify(ps256, key, der(pss), utf8("message")), (e) => equal(e.name, "DataError"));
}
