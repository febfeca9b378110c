// Like the other front; its manifest asks for greeter 1.0 alone.
import type { Context } from "isolith:schema";
import type { Greeter } from "isolith:schema/greeter";

interface Env {
  GREETER: Greeter.Client;
}

export default {
  async fetch(request: Request, env: Env, ctx: Context): Promise<Response> {
    const name = new URL(request.url).searchParams.get("name") ?? "";
    const { greeting } = await env.GREETER.greet({ name });
    return Response.json({ ...greeting.toObject(), front: ctx.bundle.version });
  },
};
