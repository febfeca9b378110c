// From method and path to a handler.
import type { Context } from "isolith:schema";
import { Problem } from "./problem";

/** One request on its way through a handler. */
export interface Call {
  request: Request;
  url: URL;
  /** What the route's groups matched, decoded. */
  path: string[];
  env: Env;
  ctx: Context;
}

export interface Route {
  method: string;
  pattern: RegExp;
  handler: (call: Call) => Response | Promise<Response>;
}

export async function dispatch(routes: readonly Route[], request: Request, env: Env, ctx: Context): Promise<Response> {
  const url = new URL(request.url);
  const matching = routes.filter((route) => route.pattern.test(url.pathname));
  if (matching.length === 0) throw new Problem(404, "There is nothing here", { path: url.pathname });
  const method = request.method === "HEAD" ? "GET" : request.method;
  const route = matching.find((candidate) => candidate.method === method);
  if (!route) {
    const allow = matching.map((candidate) => candidate.method).join(", ");
    throw new Problem(405, `${request.method} is not allowed here`, {}, { allow });
  }
  const path = (route.pattern.exec(url.pathname) ?? []).slice(1).map(decode);
  return route.handler({ request, url, path, env, ctx });
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Problem(400, "The path is not valid");
  }
}
