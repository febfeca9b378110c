import { type Echo, run } from "../../../echo/caller/src/logic";

export default {
  async fetch(request: Request, env: { ECHO: Echo }): Promise<Response> {
    return new Response(await run(request.url, env.ECHO));
  },
};
