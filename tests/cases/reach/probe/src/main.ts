// Sends the request that it is told to send, and tells what came of it.
interface Env {
  readonly GEO: { readonly fetch: typeof fetch };
  readonly TOKEN: string;
}

interface Order {
  url: string;
  init?: RequestInit & { streamed?: string[]; abort?: boolean; never?: boolean };
  global?: boolean;
}

const handlers: Record<string, (request: Request, env: Env, ctx: unknown) => unknown> = {
  "/order": async (request, env) => {
    const order: Order = await request.json();
    const init: RequestInit = order.init ?? {};
    if (order.init?.streamed !== undefined) {
      const parts = order.init.streamed.map((part) => new TextEncoder().encode(part));
      init.body = ReadableStream.from(parts);
    }
    const controller = new AbortController();
    if (order.init?.abort) {
      init.signal = controller.signal;
      setTimeout(() => controller.abort(new Error("enough")), 50);
    }
    // A binding's function needs no receiver.
    const send = order.global ? fetch : env.GEO.fetch;
    try {
      const response = await send(order.url, init);
      const { status, redirected, url } = response;
      return Response.json({ status, redirected, url, type: response.headers.get("content-type"), text: await response.text() });
    } catch (error: any) {
      return Response.json({ error: error.name, kind: error.kind, message: error.message });
    }
  },
  // Passes a response on as it comes in.
  "/proxy": (request, env) => env.GEO.fetch(new URL(request.url).searchParams.get("url")!),
  // Never reads what it asked for.
  "/unread": async (request, env) => {
    const url = new URL(request.url).searchParams.get("url")!;
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await env.GEO.fetch(url)).status);
    return Response.json(statuses);
  },
  "/flood": async (request, env) => {
    const url = new URL(request.url).searchParams.get("url")!;
    const all = await Promise.allSettled(Array.from({ length: 70 }, () => env.GEO.fetch(url)));
    const failed = all.filter((one) => one.status === "rejected");
    return Response.json({ failed: failed.length, kind: failed[0]?.reason.kind, message: failed[0]?.reason.message });
  },
  "/left-behind": async (request, env) => {
    const url = new URL(request.url).searchParams.get("url")!;
    env.GEO.fetch(url).then((response) => response.text()).then(
      (text) => console.log("left behind: " + text), (error) => console.log("left behind: " + error.message));
    return new Response("gone");
  },
  "/secret": (request, env) => {
    console.log("the token is", env.TOKEN, env);
    if (new URL(request.url).searchParams.has("throw")) throw new Error(`cannot log in with ${env.TOKEN}`);
    return Response.json({ length: env.TOKEN.length, listed: Object.keys(env), json: JSON.stringify(env) });
  },
};

export default {
  async fetch(request: Request, env: Env, ctx: unknown) {
    const handler = handlers[new URL(request.url).pathname];
    return handler === undefined ? new Response("ok") : handler(request, env, ctx);
  },
};
