import { run } from "./logic";

export default {
  async fetch(request: Request, { ECHO }: Env): Promise<Response> {
    return new Response(await run(request.url, ECHO));
  },
};
