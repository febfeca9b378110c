// A service that does what good and bad services do, one thing for each path.
import type { Greeter } from "isolith:schema/greeter";

interface Env {
  GREETER: Greeter.Client;
}

type Handler = (request: Request, url: URL, env: Env) => unknown;

/** Ids of requests whose clients went away. */
const abandoned = new Set<string>();

/** Lets `/broken-stream` go on, and fail. */
let breakStream = () => {};

const handlers: Record<string, Handler> = {
  "/hello": async (_request, url, env) => {
    const { greeting } = await env.GREETER.greet({ name: url.searchParams.get("name") ?? "" });
    return Response.json(greeting.toObject());
  },
  "/text": () => new Response("twelve bytes", { headers: { "x-from": "front" } }),
  // Streams back whatever comes in, as it comes in.
  "/echo": (request) => new Response(request.body),
  // Answers once the whole body is there.
  "/measure": async (request) => Response.json({ length: (await request.arrayBuffer()).byteLength }),
  "/throw": () => {
    throw new Error("the password is hunter2");
  },
  "/reject": () => Promise.reject(new TypeError("rejected with hunter2")),
  "/number": () => 42,
  "/nothing": () => undefined,
  "/never": () => new Promise(() => {}),
  // Like `/never`, with a timer that keeps hope alive.
  "/waiting": () => new Promise(() => setInterval(() => {}, 50)),
  "/spin": () => {
    for (;;);
  },
  "/broken-stream": () =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode("the first part"));
        },
        async pull() {
          await new Promise<void>((resolve) => (breakStream = resolve));
          throw new Error("the second part is missing");
        },
      }),
    ),
  "/break-stream": () => {
    breakStream();
    return new Response("broken");
  },
  "/endless": (request, url) => {
    const id = url.searchParams.get("id") ?? "";
    request.signal.addEventListener("abort", () => abandoned.add(id));
    const chunk = new Uint8Array(1024);
    return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(chunk) }));
  },
  // Has a client that waits for the head of the response.
  "/hold": (request, url) => {
    const id = url.searchParams.get("id") ?? "";
    request.signal.addEventListener("abort", () => abandoned.add(id));
    console.info(`holding ${id}`);
    return new Promise(() => setInterval(() => {}, 50));
  },
  "/abandoned": (_request, url) => Response.json(abandoned.has(url.searchParams.get("id") ?? "")),
};

export default {
  fetch(request: Request, env: Env): unknown {
    const url = new URL(request.url);
    const handler = handlers[url.pathname];
    return handler ? handler(request, url, env) : new Response("no such path", { status: 404 });
  },
};
