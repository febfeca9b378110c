// Who is asking, and what is in their cart. Both come with the request: a session token, and the
// cart's lines sealed by the auth service, so that any instance can answer.
import { z } from "zod";
import { Problem } from "./problem";

const SESSION_COOKIE = "session";
const CART_COOKIE = "cart";
const CART_SECONDS = 30 * 24 * 60 * 60;

const Lines = z.array(z.object({ productId: z.string(), quantity: z.number().int().positive() }));
export type Lines = z.infer<typeof Lines>;

export interface SessionUser {
  id: string;
  name: string;
  role: string;
}

/** The session token of a request, from its header or its cookie; empty if there is none. */
export function tokenOf(request: Request): string {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "");
  return bearer?.[1] ?? cookie(request, SESSION_COOKIE);
}

/** Whose session a token is, and which version of auth said so; no user if it is nobody's. */
export async function whoIs(env: Env, token: string): Promise<{ servedBy: string; user?: SessionUser }> {
  const { session } = await env.AUTH.check({ token });
  if (!session.user) return { servedBy: session.servedBy };
  const { id, name, role } = session.user;
  return { servedBy: session.servedBy, user: { id, name, role } };
}

/** Like `whoIs`, but being nobody is an error. */
export async function signedIn(env: Env, token: string): Promise<{ servedBy: string; user: SessionUser }> {
  const { servedBy, user } = await whoIs(env, token);
  if (!user) throw new Problem(401, "Please sign in", {}, { "www-authenticate": "Bearer" });
  return { servedBy, user };
}

/** The lines of the request's cart. A seal that does not fit is an empty cart. */
export async function linesOf(request: Request, env: Env): Promise<Lines> {
  const sealed = cookie(request, CART_COOKIE);
  if (sealed === "") return [];
  const { unsealed } = await env.AUTH.unseal({ purpose: CART_COOKIE, sealed });
  if (!unsealed.payload) return [];
  return Lines.parse(JSON.parse(new TextDecoder().decode(unsealed.payload)));
}

/** The header that keeps the lines with the client. */
export async function keepLines(request: Request, env: Env, lines: Lines): Promise<string> {
  const payload = new TextEncoder().encode(JSON.stringify(lines));
  const { sealed } = await env.AUTH.seal({ purpose: CART_COOKIE, payload });
  return setCookie(request, CART_COOKIE, sealed, CART_SECONDS);
}

export function keepSession(request: Request, token: string, seconds: number): string {
  return setCookie(request, SESSION_COOKIE, token, seconds);
}

export function forgetLines(request: Request): string {
  return setCookie(request, CART_COOKIE, "", 0);
}

function cookie(request: Request, name: string): string {
  for (const pair of (request.headers.get("cookie") ?? "").split(";")) {
    const [key, value] = pair.split("=", 2);
    if (key?.trim() === name) return value?.trim() ?? "";
  }
  return "";
}

function setCookie(request: Request, name: string, value: string, seconds: number): string {
  const secure = new URL(request.url).protocol === "https:" ? "; Secure" : "";
  return `${name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`;
}
