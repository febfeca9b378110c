// Starts all services, each in a process of its own, on ports from PORT on; the frontend has PORT.
import { spawn } from "node:child_process";

const SERVICES = [
  "frontend", "ads", "auth", "cart", "catalogue", "checkout", "currency", "email", "payment", "recommendation", "shipping",
];
const first = Number(process.env.PORT ?? 8080);
const addresses = SERVICES.map((service, at) => [`${service.toUpperCase()}_ADDRESS`, `127.0.0.1:${first + at}`]);
const env = {
  AUTH_SECRET: "an example only: put your own 32 random characters here",
  ...process.env,
  NODE_ENV: "production",
  ...Object.fromEntries(addresses),
};

const children = SERVICES.map((service) => spawn(process.execPath, ["dist/node-grpc/main.mjs", service], { env, stdio: "inherit" }));
const stop = () => children.forEach((child) => child.kill());
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
for (const child of children) child.on("exit", stop);
