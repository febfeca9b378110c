// Headers: a flat list of lower-case names and values.
(function (host, p, internals) {
  "use strict";
  const { ArrayPrototypePush, ArrayPrototypeSort, ArrayPrototypeSplice, ObjectKeys, ReflectApply,
    StringPrototypeCharCodeAt, StringPrototypeSlice, StringPrototypeToLowerCase, SymbolIterator,
    TypeError } = p;
  const { alias, defineClass, isObject, matches, need, toByteString } = internals;

  const nameOf = (name) => {
    const text = `${name}`;
    let lower = true;
    let common = text !== "";
    for (let i = 0; i < text.length; i++) {
      const code = StringPrototypeCharCodeAt(text, i);
      if (code >= 0x41 && code <= 0x5A) lower = false;
      else if (!((code >= 0x61 && code <= 0x7A) || code === 0x2D || (code >= 0x30 && code <= 0x39))) common = false;
    }
    if (!common && !matches(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, text)) {
      throw new TypeError(`"${text}" is not a header name; use letters, digits and dashes`);
    }
    return lower ? text : StringPrototypeToLowerCase(text);
  };
  const isBlank = (code) => code === 0x20 || code === 0x09 || code === 0x0A || code === 0x0D;
  const valueOf = (value, name) => {
    const text = toByteString(value, `the value of header "${name}"`);
    let from = 0;
    let to = text.length;
    while (from < to && isBlank(StringPrototypeCharCodeAt(text, from))) from++;
    while (to > from && isBlank(StringPrototypeCharCodeAt(text, to - 1))) to--;
    for (let i = from; i < to; i++) {
      const code = StringPrototypeCharCodeAt(text, i);
      if (code === 0 || code === 0x0A || code === 0x0D) {
        throw new TypeError(`the value of header "${name}" has a line break or NUL in it; remove it`);
      }
    }
    return StringPrototypeSlice(text, from, to);
  };

  class Headers {
    #list = [];
    #locked = false;
    constructor(init = undefined) {
      if (init === undefined) return;
      if (!isObject(init)) throw new TypeError("Headers takes an object, pairs or other Headers");
      this.#fill(init);
    }
    #fill(init) {
      if (#list in init) {
        const from = init.#list;
        for (let i = 0; i < from.length; i++) ArrayPrototypePush(this.#list, from[i]);
        return;
      }
      if (init[SymbolIterator] !== undefined && init[SymbolIterator] !== null) {
        const flat = internals.pairs(init, "Headers");
        for (let i = 0; i < flat.length; i += 2) this.#append(flat[i], flat[i + 1]);
        return;
      }
      const keys = ObjectKeys(init);
      for (let i = 0; i < keys.length; i++) this.#append(keys[i], init[keys[i]]);
    }
    #check() {
      if (this.#locked) {
        throw new TypeError("these headers are immutable; change a copy: new Headers(message.headers)");
      }
    }
    #find(name) {
      let found = null;
      const list = this.#list;
      for (let i = 0; i < list.length; i += 2) {
        if (list[i] === name) found = found === null ? list[i + 1] : `${found}, ${list[i + 1]}`;
      }
      return found;
    }
    #remove(name) {
      const list = this.#list;
      for (let i = list.length - 2; i >= 0; i -= 2) {
        if (list[i] === name) ArrayPrototypeSplice(list, i, 2);
      }
    }
    #append(name, value) {
      name = nameOf(name);
      value = valueOf(value, name);
      this.#check();
      ArrayPrototypePush(this.#list, name, value);
    }
    append(name, value) {
      need(arguments, 2, "append");
      this.#append(name, value);
    }
    delete(name) {
      need(arguments, 1, "delete");
      name = nameOf(name);
      this.#check();
      this.#remove(name);
    }
    get(name) {
      need(arguments, 1, "get");
      return this.#find(nameOf(name));
    }
    getSetCookie() {
      const out = [];
      for (let i = 0; i < this.#list.length; i += 2) {
        if (this.#list[i] === "set-cookie") ArrayPrototypePush(out, this.#list[i + 1]);
      }
      return out;
    }
    has(name) {
      need(arguments, 1, "has");
      return this.#find(nameOf(name)) !== null;
    }
    set(name, value) {
      need(arguments, 2, "set");
      name = nameOf(name);
      value = valueOf(value, name);
      this.#check();
      const list = this.#list;
      for (let i = 0; i < list.length; i += 2) {
        if (list[i] !== name) continue;
        list[i + 1] = value;
        for (let j = list.length - 2; j > i; j -= 2) {
          if (list[j] === name) ArrayPrototypeSplice(list, j, 2);
        }
        return;
      }
      ArrayPrototypePush(list, name, value);
    }
    forEach(callback, self = undefined) {
      need(arguments, 1, "forEach");
      if (typeof callback !== "function") throw new TypeError("forEach needs a function");
      for (let i = 0; ; i++) {
        const pairs = this.#sorted();
        if (i >= pairs.length) return;
        ReflectApply(callback, self, [pairs[i].value, pairs[i].name, this]);
      }
    }
    // As the standard iterates: names in order, values combined, each set-cookie on its own.
    #sorted() {
      const pairs = [];
      const list = this.#list;
      for (let i = 0; i < list.length; i += 2) {
        let other = null;
        for (let j = 0; list[i] !== "set-cookie" && j < pairs.length; j++) {
          if (pairs[j].name === list[i]) other = pairs[j];
        }
        if (other !== null) other.value += `, ${list[i + 1]}`;
        else ArrayPrototypePush(pairs, { __proto__: null, name: list[i], value: list[i + 1], order: i });
      }
      return ArrayPrototypeSort(pairs, (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.order - b.order));
    }
    *entries() {
      for (let i = 0, pairs; (pairs = this.#sorted()), i < pairs.length; i++) yield [pairs[i].name, pairs[i].value];
    }
    *keys() {
      for (let i = 0, pairs; (pairs = this.#sorted()), i < pairs.length; i++) yield pairs[i].name;
    }
    *values() {
      for (let i = 0, pairs; (pairs = this.#sorted()), i < pairs.length; i++) yield pairs[i].value;
    }
    static {
      internals.newHeaders = (flat, locked) => {
        const headers = new Headers();
        headers.#list = flat;
        headers.#locked = locked;
        return headers;
      };
      internals.headerList = (value) => (isObject(value) && #list in value ? value.#list : undefined);
      internals.lockHeaders = (headers) => { headers.#locked = true; };
      internals.header = (headers, name) => headers.#find(name);
      internals.addHeader = (headers, name, value) => headers.#append(name, value);
    }
  }
  alias(Headers, SymbolIterator, "entries");
  defineClass(Headers);
})
