// TextEncoder, TextDecoder, atob, btoa.
(function (host, p, internals) {
  "use strict";
  const { MathMin, StringPrototypeCharCodeAt, StringPrototypeSlice, TypeError, RangeError,
    TypedArrayPrototypeGetLength, TypedArrayPrototypeGetSymbolToStringTag, TypedArrayPrototypeSet,
    Uint8Array } = p;
  const { allocate, copy, defineClass, dictionary, need, part, viewBytes } = internals;

  internals.encodeUtf8 = (text) => host.encodeUtf8(text, allocate);
  internals.decodeUtf8 = (bytes) => {
    const text = host.decodeUtf8(bytes, false);
    return StringPrototypeCharCodeAt(text, 0) === 0xFEFF ? StringPrototypeSlice(text, 1) : text;
  };
  const concat = (a, b) => {
    const length = TypedArrayPrototypeGetLength(a);
    const both = new Uint8Array(length + TypedArrayPrototypeGetLength(b));
    TypedArrayPrototypeSet(both, a);
    TypedArrayPrototypeSet(both, b, length);
    return both;
  };

  class TextEncoder {
    #brand;
    get encoding() { return "utf-8"; }
    encode(input = "") {
      this.#brand;
      return host.encodeUtf8(`${input}`, allocate);
    }
    encodeInto(source, destination) {
      need(arguments, 2, "encodeInto");
      source = `${source}`;
      if (TypedArrayPrototypeGetSymbolToStringTag(destination) !== "Uint8Array") {
        throw new TypeError("encodeInto needs a Uint8Array to write to");
      }
      // Into a buffer of our own first: only set() refuses to write into an immutable one.
      const room = MathMin(TypedArrayPrototypeGetLength(destination), source.length * 3);
      const bytes = new Uint8Array(room);
      const pair = host.encodeInto(source, bytes);
      TypedArrayPrototypeSet(destination, part(bytes, 0, pair[1]));
      return { read: pair[0], written: pair[1] };
    }
  }
  defineClass(TextEncoder);

  // How many bytes at the end begin a character that is not complete yet.
  const tails = { __proto__: null,
    "utf-8"(bytes, length) {
      for (let back = 1; back <= 3 && back <= length; back++) {
        const byte = bytes[length - back];
        if (byte >= 0xC0) {
          const wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
          return wanted > back ? back : 0;
        }
        if (byte < 0x80) return 0;
      }
      return 0;
    },
    "utf-16le"(bytes, length) { return utf16Tail(length, bytes[length - 1 - length % 2]); },
    "utf-16be"(bytes, length) { return utf16Tail(length, bytes[length - 2 - length % 2]); },
  };
  const utf16Tail = (length, high) =>
    length % 2 + (length >= 2 && high >= 0xD8 && high <= 0xDB ? 2 : 0);
  const stateful = { __proto__: null, "gbk": 1, "gb18030": 1, "big5": 1, "euc-jp": 1,
    "iso-2022-jp": 1, "shift_jis": 1, "euc-kr": 1 };

  class TextDecoder {
    #encoding;
    #fatal;
    #ignoreBOM;
    #pending = null;
    #started = false;
    constructor(label = "utf-8", options = undefined) {
      const given = dictionary(options, "TextDecoder's options");
      this.#encoding = host.encodingName(`${label}`);
      if (this.#encoding === undefined) throw new RangeError(`"${label}" is not a known encoding`);
      this.#fatal = !!given.fatal;
      this.#ignoreBOM = !!given.ignoreBOM;
    }
    get encoding() { return this.#encoding; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBOM; }
    decode(input = undefined, options = undefined) {
      const stream = !!dictionary(options, "decode's options").stream;
      let bytes = input === undefined ? new Uint8Array(0) : viewBytes(input);
      if (bytes === undefined) throw new TypeError("decode needs an ArrayBuffer or a view of one");
      if (this.#pending !== null) {
        bytes = concat(this.#pending, bytes);
        this.#pending = null;
      }
      if (stream) {
        if (stateful[this.#encoding]) {
          throw new TypeError(`decoding ${this.#encoding} piece by piece is not supported; ` +
            "collect the bytes and decode them at once");
        }
        const length = TypedArrayPrototypeGetLength(bytes);
        const tail = tails[this.#encoding]?.(bytes, length) ?? 0;
        if (tail > 0) {
          this.#pending = copy(part(bytes, length - tail, length));
          bytes = part(bytes, 0, length - tail);
        }
      }
      let text = this.#encoding === "utf-8" ? host.decodeUtf8(bytes, this.#fatal)
        : host.decode(this.#encoding, bytes, this.#fatal);
      if (text === undefined) {
        this.#pending = null;
        this.#started = false;
        throw new TypeError(`the bytes are not valid ${this.#encoding}`);
      }
      if (!this.#started && text !== "") {
        if (!this.#ignoreBOM && StringPrototypeCharCodeAt(text, 0) === 0xFEFF) {
          text = StringPrototypeSlice(text, 1);
        }
        this.#started = true;
      }
      if (!stream) this.#started = false;
      return text;
    }
  }
  defineClass(TextDecoder);
  internals.decodeWith = p.uncurryThis(TextDecoder.prototype.decode);

  internals.base64 = (bytes) => host.base64Encode(bytes, false);
  internals.fromBase64Url = (text) => host.base64Decode(text, true, allocate);
  internals.toBase64Url = (bytes) => host.base64Encode(bytes, true);

  internals.global("atob", function atob(data) {
    need(arguments, 1, "atob");
    const bytes = host.base64Decode(`${data}`, false, allocate);
    if (bytes === undefined) {
      throw new internals.DOMException("atob: the text is not correct base64", "InvalidCharacterError");
    }
    return host.latin1Decode(bytes);
  });
  internals.global("btoa", function btoa(data) {
    need(arguments, 1, "btoa");
    const bytes = host.latin1Encode(`${data}`, allocate);
    if (bytes === undefined) {
      throw new internals.DOMException(
        "btoa: the text has a character above U+00FF; encode it to bytes first", "InvalidCharacterError");
    }
    return host.base64Encode(bytes, false);
  });
})
