// What is made on demand: the table in lazy.js names all of it and nothing else.
const later = internals.groups.flatMap((group) => `${group.globals} ${group.internals}`.split(" ").filter(Boolean));
assert(later.length > 100);
assert(later.every((name) => !Object.hasOwn(internals, name)), "nothing is there before it is asked for");
equal(internals.noSuchThing, undefined);
equal([internals.isRequest({}), internals.isReadableStream({}), internals.blobBytes({})], [false, false, undefined]);

// A service may replace a global before anybody has asked for it.
const mine = function () {};
globalThis.Response = mine;
const { get } = Object.getOwnPropertyDescriptor(globalThis, "Blob");
assert(new Request("http://h/").method === "GET" && Response === mine);
assert(delete globalThis.Headers && !("Headers" in globalThis) && internals.Headers.name === "Headers");
const blob = Object.getOwnPropertyDescriptor(globalThis, "Blob");
assert(blob.value === get() && blob.writable && blob.configurable && !blob.enumerable);
assert(globalThis.FormData === internals.FormData && internals.formList(new FormData()).length === 0);

const before = Reflect.ownKeys(internals);
for (const name of later) assert(internals[name] !== undefined, name);
const added = Reflect.ownKeys(internals).filter((name) => !before.includes(name));
equal(added.filter((name) => !later.includes(name)), [], "the table lacks");
