const e = new TextEncoder();
equal(e.encode("aé你😀\ud800"), new Uint8Array([97, 195, 169, 228, 189, 160, 240, 159, 152, 128, 239, 191, 189]));
equal(e.encode("x".repeat(100000)).length, 100000);
const small = new Uint8Array(4);
equal(e.encodeInto("a😀b", small), { read: 1, written: 1 });
const large = new Uint8Array(200);
equal(e.encodeInto("é".repeat(150), large), { read: 100, written: 200 });
equal(e.encodeInto("é", new Uint8Array(0)), { read: 0, written: 0 });

const d = new TextDecoder();
equal(d.decode(new Uint8Array([0xEF, 0xBB, 0xBF, 0x61])), "a");
equal(new TextDecoder("utf8", { ignoreBOM: true }).decode(new Uint8Array([0xEF, 0xBB, 0xBF, 0x61])), "\ufeffa");
equal(d.decode(new Uint8Array([0x61, 0xff, 0x62])), "a\ufffdb");
throws(() => new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([0xff])), "TypeError", "not valid utf-8");
// Cut anywhere, the pieces decode to the whole.
const text = "a\u00e9\u4f60\ud83d\ude00!";
for (const label of ["utf-8", "utf-16le"]) {
  const bytes = label === "utf-8" ? e.encode(text) : new Uint8Array(Uint16Array.from(text, (c, i) => 0).map((_, i) => text.charCodeAt(i)).buffer);
  const whole = label === "utf-8" ? bytes : new Uint8Array([...text].join("").split("").flatMap((c) => [c.charCodeAt(0) & 255, c.charCodeAt(0) >> 8]));
  for (let cut = 0; cut <= whole.length; cut++) {
    const s = new TextDecoder(label, { fatal: true });
    equal(s.decode(whole.subarray(0, cut), { stream: true }) + s.decode(whole.subarray(cut)), text, `${label} cut at ${cut}`);
  }
}
throws(() => { const s = new TextDecoder("utf-8", { fatal: true }); s.decode(new Uint8Array([0xf0]), { stream: true }); s.decode(); }, "TypeError");
equal(new TextDecoder("latin1").encoding, "windows-1252");
equal(new TextDecoder("shift_jis").decode(new Uint8Array([0x82, 0xa0])), "あ");
throws(() => new TextDecoder("klingon"), "RangeError", "klingon");
equal(d.decode(new DataView(new Uint8Array([0, 104, 105]).buffer, 1)), "hi");

equal(btoa("hello\xff"), "aGVsbG//");
equal(atob(" aGVs\nbG//"), "hello\xff");
equal([atob("YQ"), atob("YQ=="), atob("YR==")], ["a", "a", "a"]);
for (const bad of ["YQ=", "Y", "YQ===", "a-b_"]) throws(() => atob(bad), "InvalidCharacterError");
throws(() => btoa("\u0100"), "InvalidCharacterError", "U+00FF");
equal(internals.base64(new Uint8Array([1, 2, 3])), "AQID");
