// gRPC on both sides of a service, with what its packages recommend: a definition that proto-loader
// reads, one channel for each service that is called.
import { Metadata, Server, ServerCredentials, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import type { ServiceClientConstructor, handleUnaryCall, requestCallback } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const definition = loadSync("node-grpc/boutique.proto", { defaults: true });
const { boutique } = loadPackageDefinition(definition) as unknown as {
  boutique: Record<string, ServiceClientConstructor>;
};

type Method = (params: unknown) => Promise<unknown>;

/** Where a service listens. */
export function addressOf(service: string): string {
  const address = process.env[`${service.toUpperCase()}_ADDRESS`];
  if (!address) throw new Error(`${service.toUpperCase()}_ADDRESS is not set`);
  return address;
}

/** Serves the logic's methods as those of a gRPC service. */
export function serve(service: string, logic: object): void {
  const { service: methods } = boutique[service]!;
  const handlers: Record<string, handleUnaryCall<unknown, unknown>> = {};
  for (const name of Object.keys(methods)) {
    const method = (logic as Record<string, Method>)[name]!.bind(logic);
    handlers[name] = (call, callback) => {
      method(call.request).then(
        (results) => callback(null, results),
        (error) => callback(error),
      );
    };
  }
  const server = new Server();
  server.addService(methods, handlers);
  server.bindAsync(addressOf(service), ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
}

/** The methods of a service that listens elsewhere. */
export function connect<T>(service: string): T {
  const { service: methods } = boutique[service]!;
  // Services start in any order.
  const client = new boutique[service]!(addressOf(service), credentials.createInsecure(), {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 100,
  });
  const metadata = new Metadata({ waitForReady: true });
  const stub: Record<string, Method> = {};
  for (const name of Object.keys(methods)) {
    const method = client[name]!.bind(client) as (params: unknown, metadata: Metadata, done: requestCallback<unknown>) => void;
    stub[name] = (params) =>
      new Promise((resolve, reject) => {
        method(params, metadata, (error, results) => (error ? reject(error) : resolve(results)));
      });
  }
  return stub as T;
}
