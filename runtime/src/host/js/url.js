// URL and URLSearchParams over the parser of the crate `url`.
(function (host, p, internals) {
  "use strict";
  const { ArrayPrototypePush, ArrayPrototypeSlice, ArrayPrototypeSort, ArrayPrototypeSplice,
    ReflectApply, ReflectOwnKeys, ObjectGetOwnPropertyDescriptor, StringPrototypeSlice,
    SymbolIterator, TypeError } = p;
  const { alias, defineClass, isObject, need, toUSVString } = internals;

  // Indices into what host.urlParse returns; the native side lists the same order.
  const HREF = 0, SCHEME_END = 1, USER = 2, USER_END = 3, PASSWORD = 4, PASSWORD_END = 5, HOST = 6,
    HOST_END = 7, PORT = 8, PORT_END = 9, PATH = 10, PATH_END = 11, QUERY_END = 12;
  const START = -1; // no such element: slices from the beginning

  // `list` is flat: name, value, name, value. Keeps the first pair of that name, in its place.
  internals.setPair = (list, name, value) => {
    let found = false;
    for (let i = 0; i < list.length;) {
      if (list[i] !== name) {
        i += 2;
      } else if (found) {
        ArrayPrototypeSplice(list, i, 2);
      } else {
        found = true;
        list[i + 1] = value;
        i += 2;
      }
    }
    if (!found) ArrayPrototypePush(list, name, value);
  };

  let attach;
  class URLSearchParams {
    #list = [];
    #url = null;
    constructor(init = "") {
      if (isObject(init)) {
        const method = init[SymbolIterator];
        if (method !== undefined && method !== null) {
          const flat = internals.pairs(init, "URLSearchParams");
          for (let i = 0; i < flat.length; i++) ArrayPrototypePush(this.#list, toUSVString(flat[i]));
        } else {
          const keys = ReflectOwnKeys(init);
          for (let i = 0; i < keys.length; i++) {
            if (!ObjectGetOwnPropertyDescriptor(init, keys[i])?.enumerable) continue;
            ArrayPrototypePush(this.#list, toUSVString(keys[i]), toUSVString(init[keys[i]]));
          }
        }
      } else {
        let text = toUSVString(init);
        if (text[0] === "?") text = StringPrototypeSlice(text, 1);
        this.#list = text === "" ? [] : host.formParse(text);
      }
    }
    #changed() {
      if (this.#url !== null) internals.urlQueryChanged(this.#url, host.formSerialize(this.#list));
    }
    get size() { return this.#list.length / 2; }
    append(name, value) {
      need(arguments, 2, "append");
      ArrayPrototypePush(this.#list, toUSVString(name), toUSVString(value));
      this.#changed();
    }
    delete(name, value = undefined) {
      need(arguments, 1, "delete");
      name = toUSVString(name);
      if (value !== undefined) value = toUSVString(value);
      const list = this.#list;
      for (let i = 0; i < list.length;) {
        if (list[i] === name && (value === undefined || list[i + 1] === value)) ArrayPrototypeSplice(list, i, 2);
        else i += 2;
      }
      this.#changed();
    }
    get(name) {
      need(arguments, 1, "get");
      name = toUSVString(name);
      for (let i = 0; i < this.#list.length; i += 2) {
        if (this.#list[i] === name) return this.#list[i + 1];
      }
      return null;
    }
    getAll(name) {
      need(arguments, 1, "getAll");
      name = toUSVString(name);
      const out = [];
      for (let i = 0; i < this.#list.length; i += 2) {
        if (this.#list[i] === name) ArrayPrototypePush(out, this.#list[i + 1]);
      }
      return out;
    }
    has(name, value = undefined) {
      need(arguments, 1, "has");
      name = toUSVString(name);
      if (value !== undefined) value = toUSVString(value);
      for (let i = 0; i < this.#list.length; i += 2) {
        if (this.#list[i] === name && (value === undefined || this.#list[i + 1] === value)) return true;
      }
      return false;
    }
    set(name, value) {
      need(arguments, 2, "set");
      name = toUSVString(name);
      value = toUSVString(value);
      internals.setPair(this.#list, name, value);
      this.#changed();
    }
    sort() {
      const pairs = [];
      for (let i = 0; i < this.#list.length; i += 2) {
        ArrayPrototypePush(pairs, ArrayPrototypeSlice(this.#list, i, i + 2));
      }
      ArrayPrototypeSort(pairs, (a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      this.#list = [];
      for (let i = 0; i < pairs.length; i++) ArrayPrototypePush(this.#list, pairs[i][0], pairs[i][1]);
      this.#changed();
    }
    forEach(callback, self = undefined) {
      need(arguments, 1, "forEach");
      for (let i = 0; i < this.#list.length; i += 2) {
        ReflectApply(callback, self, [this.#list[i + 1], this.#list[i], this]);
      }
    }
    *entries() { for (let i = 0; i < this.#list.length; i += 2) yield [this.#list[i], this.#list[i + 1]]; }
    *keys() { for (let i = 0; i < this.#list.length; i += 2) yield this.#list[i]; }
    *values() { for (let i = 0; i < this.#list.length; i += 2) yield this.#list[i + 1]; }
    toString() { return host.formSerialize(this.#list); }
    static {
      internals.searchList = (value) => (isObject(value) && #list in value ? value.#list : undefined);
      attach = (params, url, query) => {
        params.#url = url;
        params.#list = query === "" ? [] : host.formParse(query);
      };
    }
  }
  alias(URLSearchParams, SymbolIterator, "entries");
  defineClass(URLSearchParams);

  const baseText = (base) => (base === undefined ? undefined : toUSVString(base));

  class URL {
    #parts;
    #params = null;
    constructor(url, base = undefined) {
      need(arguments, 1, "URL");
      this.#parts = host.urlParse(toUSVString(url), baseText(base));
      if (this.#parts === undefined) {
        const error = new TypeError(`Invalid URL: "${url}"${base === undefined ? "" : ` with base "${base}"`}`);
        error.code = "ERR_INVALID_URL";
        throw error;
      }
    }
    static canParse(url, base = undefined) {
      need(arguments, 1, "URL.canParse");
      return host.urlCanParse(toUSVString(url), baseText(base));
    }
    static parse(url, base = undefined) {
      need(arguments, 1, "URL.parse");
      try {
        return new URL(url, base);
      } catch {
        return null;
      }
    }
    #cut(from, to) { return StringPrototypeSlice(this.#parts[HREF], this.#parts[from], this.#parts[to]); }
    #set(part, value) {
      const parts = host.urlSet(this.#parts[HREF], part, toUSVString(value));
      if (parts !== undefined) this.#parts = parts;
    }
    #query() {
      const search = this.#cut(PATH_END, QUERY_END);
      return search === "" ? "" : StringPrototypeSlice(search, 1);
    }
    get href() { return this.#parts[HREF]; }
    set href(value) {
      const parts = host.urlParse(toUSVString(value), undefined);
      if (parts === undefined) throw new TypeError(`Invalid URL: "${value}"`);
      this.#parts = parts;
      if (this.#params !== null) attach(this.#params, this, this.#query());
    }
    get origin() {
      const scheme = this.#cut(START, SCHEME_END);
      switch (scheme) {
        case "http": case "https": case "ws": case "wss": case "ftp":
          return `${scheme}://${this.#cut(HOST, PORT_END)}`;
        case "blob": {
          const inner = host.urlParse(this.#cut(PATH, PATH_END), undefined);
          if (inner === undefined) return "null";
          const kind = StringPrototypeSlice(inner[HREF], 0, inner[SCHEME_END]);
          return kind === "http" || kind === "https"
            ? `${kind}://${StringPrototypeSlice(inner[HREF], inner[HOST], inner[PORT_END])}` : "null";
        }
      }
      return "null";
    }
    get protocol() { return `${this.#cut(START, SCHEME_END)}:`; }
    set protocol(value) { this.#set("protocol", value); }
    get username() { return this.#cut(USER, USER_END); }
    set username(value) { this.#set("username", value); }
    get password() { return this.#cut(PASSWORD, PASSWORD_END); }
    set password(value) { this.#set("password", value); }
    get host() { return this.#cut(HOST, PORT_END); }
    set host(value) { this.#set("host", value); }
    get hostname() { return this.#cut(HOST, HOST_END); }
    set hostname(value) { this.#set("hostname", value); }
    get port() { return this.#cut(PORT, PORT_END); }
    set port(value) { this.#set("port", value); }
    get pathname() { return this.#cut(PATH, PATH_END); }
    set pathname(value) { this.#set("pathname", value); }
    get search() {
      const search = this.#cut(PATH_END, QUERY_END);
      return search === "?" ? "" : search;
    }
    set search(value) {
      this.#set("search", value);
      if (this.#params !== null) attach(this.#params, this, this.#query());
    }
    get searchParams() {
      if (this.#params === null) {
        this.#params = new URLSearchParams();
        attach(this.#params, this, this.#query());
      }
      return this.#params;
    }
    get hash() {
      const hash = StringPrototypeSlice(this.#parts[HREF], this.#parts[QUERY_END]);
      return hash === "#" ? "" : hash;
    }
    set hash(value) { this.#set("hash", value); }
    toString() { return this.#parts[HREF]; }
    toJSON() { return this.#parts[HREF]; }
    static {
      internals.urlQueryChanged = (url, query) => url.#set("search", query);
      internals.urlHref = (value) => (isObject(value) && #parts in value ? value.#parts[HREF] : undefined);
    }
  }
  defineClass(URL);
})
