// What generated readers and lists have in common.

class ListIterator {
  #list;
  #next = 0;
  constructor(list) {
    this.#list = list;
  }
  next() {
    const i = this.#next;
    if (i >= this.#list.length) return { value: undefined, done: true };
    this.#next = i + 1;
    return { value: this.#list.at(i), done: false };
  }
  [iterator]() {
    return this;
  }
}

const listMethods = {
  [iterator]() {
    return new ListIterator(this);
  },
  toArray() {
    const all = [];
    for (let i = 0, n = this.length; i < n; i++) all[i] = this.at(i);
    return all;
  },
  map(fn) {
    const all = [];
    for (let i = 0, n = this.length; i < n; i++) all[i] = fn(this.at(i), i);
    return all;
  },
  toJSON() {
    return this.toObject();
  },
};
const plainList = {
  toObject() {
    return this.toArray();
  },
};
const deepList = {
  toObject() {
    const all = [];
    for (let i = 0, n = this.length; i < n; i++) all[i] = this.at(i).toObject();
    return all;
  },
};
const structMethods = {
  toJSON() {
    return this.toObject();
  },
};

function addMethods(proto, methods) {
  for (const key of ownKeys(methods)) {
    defineProperty(proto, key, { value: methods[key] });
  }
}

/** Cuts a generated class off Object.prototype, hides its constructor and freezes it. */
function finish(Class, name) {
  const proto = Class.prototype;
  const own = getOwnPropertyDescriptor(proto, 'constructor');
  if (own !== undefined && own.value === Class) delete proto.constructor;
  setPrototypeOf(proto, null);
  defineProperty(proto, toStringTag, { value: name });
  defineProperty(proto, toPrimitive, { value: () => `[${name}]` });
  freeze(proto);
  return freeze(Class);
}
const finishStruct = (Class, name) => {
  addMethods(Class.prototype, structMethods);
  return finish(Class, name);
};
const finishList = (Class, name, isDeep) => {
  addMethods(Class.prototype, listMethods);
  addMethods(Class.prototype, isDeep ? deepList : plainList);
  return finish(Class, name);
};
finish(ListIterator, 'ListIterator');
