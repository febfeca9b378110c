// The shop's pages over Node's own HTTP server.
import { type IncomingMessage, createServer } from "node:http";
import type { Frontend } from "../../frontend/src/logic";
import { addressOf } from "./rpc";

const MAX_BODY_BYTES = 65536;

export function listen(frontend: Frontend): void {
  const [host, port] = addressOf("frontend").split(":");
  const server = createServer(async (request, response) => {
    try {
      const { status, headers, body } = await frontend.handle({
        method: request.method ?? "GET",
        target: request.url ?? "/",
        cookie: request.headers.cookie ?? "",
        form: request.method === "POST" ? await bodyOf(request) : "",
      });
      // With its length known, the body goes out with the head instead of in chunks.
      const length = ["content-length", String(Buffer.byteLength(body))];
      response.writeHead(status, [...headers.flat(), ...length]).end(body);
    } catch (error) {
      console.error(error);
      response.writeHead(500).end();
    }
  });
  server.listen(Number(port), host);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new RangeError("the body is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
