// Bundles the services' logic with the adapters of both hostings, each service for itself.
import { build } from "esbuild";
import { readdirSync } from "node:fs";

const shared = { bundle: true, format: "esm", target: "es2023", minify: false, logLevel: "warning" };

// One file per service is loaded; gRPC stays in node_modules, as it does in most Node services.
await build({
  ...shared,
  entryPoints: ["node-grpc/main.ts"],
  outdir: "dist/node-grpc",
  platform: "node",
  splitting: true,
  external: ["@grpc/*"],
  outExtension: { ".js": ".mjs" },
});

const workers = readdirSync("workerd").filter((file) => file.endsWith(".ts") && file !== "entrypoint.ts");
await build({
  ...shared,
  entryPoints: workers.map((file) => `workerd/${file}`),
  outdir: "dist/workerd",
  conditions: ["workerd"],
  external: ["cloudflare:workers"],
});

// The two services that single calls are measured with.
await build({
  ...shared,
  entryPoints: ["echo/main.ts"],
  outdir: "dist/echo",
  platform: "node",
  external: ["@grpc/*"],
  outExtension: { ".js": ".mjs" },
});
await build({
  ...shared,
  entryPoints: ["echo/worker-caller.ts", "echo/worker-echo.ts"],
  outdir: "dist/echo",
  conditions: ["workerd"],
  external: ["cloudflare:workers"],
});
