// Meets auth and middle again and again, in all the ways that work goes on in, and answers with
// lines `CALLER>CALLEE WHO`, one for each meeting.
import type { Context } from "isolith:schema";
import type { Auth } from "isolith:schema/auth";
import type { Middle } from "isolith:schema/middle";

interface Env {
  AUTH: Auth.Client;
  MIDDLE: Middle.Client;
}

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

async function auth(env: Env, pauseMs = 0): Promise<string[]> {
  return [`front>auth ${(await env.AUTH.who({ pauseMs })).who}`];
}

async function middle(env: Env, pauseMs = 0): Promise<string[]> {
  const { who, met } = await env.MIDDLE.ask({ pauseMs });
  return [`front>middle ${who}`, ...Array.from(met, (each) => `middle>auth ${each}`)];
}

async function everything(env: Env, pauseMs: number): Promise<string[]> {
  const first = await auth(env, pauseMs);
  await sleep(pauseMs);
  const together = await Promise.all([
    auth(env, pauseMs),
    middle(env, pauseMs),
    sleep(pauseMs).then(() => middle(env)),
  ]);
  const fromTimer = await new Promise<string[]>((done, fail) =>
    setTimeout(() => auth(env).then(done, fail), pauseMs),
  );
  return [...first, ...together.flat(), ...fromTimer];
}

/** A line at a time, with pauses between them. */
function stream(env: Env, pauseMs: number, self: string): ReadableStream {
  let left = 6;
  return new ReadableStream({
    async pull(controller) {
      await sleep(pauseMs);
      const lines = left % 2 ? await middle(env) : await auth(env, pauseMs);
      controller.enqueue(new TextEncoder().encode([self, ...lines, ""].join("\n")));
      if (--left === 0) controller.close();
    },
  });
}

/** Goes on after the response, and complains if it meets anybody else. */
async function later(env: Env, pauseMs: number, before: string[]) {
  await sleep(10 * pauseMs);
  for (const line of await everything(env, pauseMs)) {
    if (!before.includes(line)) console.error(`switched: ${line} after ${before}`);
  }
}

export default {
  async fetch(request: Request, env: Env, ctx: Context) {
    const { pathname, searchParams } = new URL(request.url);
    const pauseMs = Number(searchParams.get("pause"));
    const { service, version, digest } = ctx.bundle;
    const self = `>${service} ${service}@${version} ${digest}`;
    if (pathname === "/stream") return new Response(stream(env, pauseMs, self));
    const lines = await everything(env, pauseMs);
    if (pathname === "/later") {
      const held = later(env, pauseMs, lines).catch((error) => console.error(`failed: ${error}`));
      ctx.waitUntil(held);
    }
    return new Response([self, ...lines, ""].join("\n"));
  },
};
