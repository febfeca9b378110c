// Asks the keeper that the path names.
import type { Keeper } from "isolith:schema/keeper";

export default {
  async fetch(request: Request, env: Record<string, Keeper.Client>) {
    const name = new URL(request.url).pathname.slice(1);
    const { times } = await env[name]!.times({});
    return Response.json({ times });
  },
};
