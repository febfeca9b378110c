// Calls within Node: `node main.mjs WAY` with `plain` (a function), `clone` (a function that gets a
// structured clone), `worker` (a worker thread; buffers are transferred) or `grpc` (another process).
import { Client, Metadata, Server, ServerCredentials, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import type { ServiceClientConstructor, requestCallback } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { Worker, isMainThread, parentPort } from "node:worker_threads";
import { type Bytes, type Echo, type Token, run } from "../../../echo/caller/src/logic";
import { check } from "../../../echo/echo/src/logic";

const PORT = Number(process.env.PORT ?? 8080);
const ADDRESS = `127.0.0.1:${PORT + 1}`;
const OPTIONS = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

const WAYS: Record<string, () => Echo> = {
  plain: () => ({ check: async (params) => check(params), echo: async ({ data }) => ({ data }) }),
  clone: () => ({
    check: async (params) => check(structuredClone(params)),
    echo: async (params) => ({ data: structuredClone(params).data }),
  }),
  worker() {
    const worker = new Worker(new URL(import.meta.url));
    const waiting: ((answer: any) => void)[] = [];
    // Answers come in the order of the calls.
    worker.on("message", (answer) => waiting.shift()!(answer));
    const post = <T>(message: unknown, moved: ArrayBuffer[]) =>
      new Promise<T>((resolve) => {
        waiting.push(resolve);
        worker.postMessage(message, moved);
      });
    return {
      check: (params) => post(params, []),
      echo: (params) => post(params, [params.data.buffer as ArrayBuffer]),
    };
  },
  grpc() {
    spawn(process.execPath, [process.argv[1]!, "grpc-server"], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const client = new (service())(ADDRESS, credentials.createInsecure(), OPTIONS) as Client & Record<string, Function>;
    // The server may still be starting.
    const metadata = new Metadata({ waitForReady: true });
    const call = <T>(method: string, params: object) =>
      new Promise<T>((resolve, reject) => {
        const done: requestCallback<T> = (error, results) => (error ? reject(error) : resolve(results!));
        client[method]!(params, metadata, { deadline: Date.now() + 20_000 }, done);
      });
    return {
      check: (params) => call("check", params),
      echo: (params) => call("echo", params),
    };
  },
};

function service(): ServiceClientConstructor {
  const definition = loadPackageDefinition(loadSync("echo/echo.proto"));
  return (definition as unknown as { echo: { Echo: ServiceClientConstructor } }).echo.Echo;
}

if (!isMainThread) {
  parentPort!.on("message", (params: Token | Bytes) => {
    if ("token" in params) parentPort!.postMessage(check(params));
    else parentPort!.postMessage(params, [params.data.buffer as ArrayBuffer]);
  });
} else if (process.argv[2] === "grpc-server") {
  process.on("disconnect", () => process.exit());
  const server = new Server(OPTIONS);
  server.addService(service().service, {
    check: (call: { request: Token }, answer: Function) => answer(null, check(call.request)),
    echo: (call: { request: unknown }, answer: Function) => answer(null, call.request),
  });
  server.bindAsync(ADDRESS, ServerCredentials.createInsecure(), () => {});
} else {
  const echo = WAYS[process.argv[2]!]!();
  createServer(async (request, response) => response.end(await run(request.url!, echo))).listen(PORT, "127.0.0.1");
}
