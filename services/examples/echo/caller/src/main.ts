import { run } from "./logic";

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    return new Response(await run(request.url, async (data) => (await env.ECHO.echo({ data })).data));
  },
};
