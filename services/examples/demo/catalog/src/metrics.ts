// Counts how often built-in functions are called, by replacing them. Import it first.
//
// Patching what everybody shares is what monitoring agents do, and in one process it would reach
// into every other service. Here it ends at this bundle's isolate.

const calls = new Map<string, bigint>();

type Methods = Record<string, (...args: unknown[]) => unknown>;

function measure(name: string, owner: object, method: string): void {
  const methods = owner as Methods;
  const original = methods[method];
  if (!original) throw new TypeError(`there is no ${name} to measure`);
  calls.set(name, 0n);
  methods[method] = function (this: unknown, ...args) {
    calls.set(name, (calls.get(name) ?? 0n) + 1n);
    return Reflect.apply(original, this, args);
  };
}

measure("Array.prototype.map", Array.prototype, "map");
measure("JSON.parse", JSON, "parse");

/** The functions that are measured, and how often each was called. */
export function builtinUse(): { name: string; calls: bigint }[] {
  return Array.from(calls, ([name, count]) => ({ name, calls: count }));
}
