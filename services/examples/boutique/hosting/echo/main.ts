// Calls within Node: `node main.mjs WAY` with `plain` (a function), `clone` (a function that gets a
// structured clone), `worker` (a worker thread; buffers are transferred) or `grpc` (another process).
import { Client, Metadata, Server, ServerCredentials, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import type { ServiceClientConstructor, requestCallback } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { Worker, isMainThread, parentPort } from "node:worker_threads";
import { type Echo, run } from "../../../echo/caller/src/logic";

const PORT = Number(process.env.PORT ?? 8080);
const ADDRESS = `127.0.0.1:${PORT + 1}`;
const OPTIONS = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

const WAYS: Record<string, () => Echo> = {
  plain: () => async (data) => data,
  clone: () => async (data) => structuredClone(data),
  worker() {
    const worker = new Worker(new URL(import.meta.url));
    const waiting: ((data: Uint8Array) => void)[] = [];
    // Answers come in the order of the calls.
    worker.on("message", (data: Uint8Array) => waiting.shift()!(data));
    return (data) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        worker.postMessage(data, [data.buffer as ArrayBuffer]);
      });
  },
  grpc() {
    spawn(process.execPath, [process.argv[1]!, "grpc-server"], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const client = new (service())(ADDRESS, credentials.createInsecure(), OPTIONS) as Client & Record<string, Function>;
    // The server may still be starting.
    const metadata = new Metadata({ waitForReady: true });
    return (data) =>
      new Promise((resolve, reject) => {
        const done: requestCallback<{ data: Uint8Array }> = (error, results) => (error ? reject(error) : resolve(results!.data));
        client.echo!({ data }, metadata, { deadline: Date.now() + 20_000 }, done);
      });
  },
};

function service(): ServiceClientConstructor {
  const definition = loadPackageDefinition(loadSync("echo/echo.proto"));
  return (definition as unknown as { echo: { Echo: ServiceClientConstructor } }).echo.Echo;
}

if (!isMainThread) {
  parentPort!.on("message", (data: Uint8Array) => parentPort!.postMessage(data, [data.buffer as ArrayBuffer]));
} else if (process.argv[2] === "grpc-server") {
  process.on("disconnect", () => process.exit());
  const server = new Server(OPTIONS);
  server.addService(service().service, { echo: (call: { request: unknown }, answer: Function) => answer(null, call.request) });
  server.bindAsync(ADDRESS, ServerCredentials.createInsecure(), () => {});
} else {
  const echo = WAYS[process.argv[2]!]!();
  createServer(async (request, response) => response.end(await run(request.url!, echo))).listen(PORT, "127.0.0.1");
}
