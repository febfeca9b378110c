// A service's logic as a WorkerEntrypoint: its methods are what other workers call over RPC.
import { WorkerEntrypoint } from "cloudflare:workers";

type Method = (params: unknown) => Promise<unknown>;

/** An entrypoint with the methods of the class; the instance is made once, by the first call. */
export function entrypoint<E, L extends object>(Logic: abstract new (...args: never[]) => L, make: (env: E) => L) {
  let logic: Record<string, Method> | undefined;
  class Service extends WorkerEntrypoint<E> {}
  for (const name of Object.getOwnPropertyNames(Logic.prototype).filter((each) => each !== "constructor")) {
    const method = function (this: Service, params: unknown) {
      logic ??= make(this.env) as Record<string, Method>;
      return logic[name]!(params);
    };
    Object.defineProperty(Service.prototype, name, { value: method });
  }
  return Service;
}
