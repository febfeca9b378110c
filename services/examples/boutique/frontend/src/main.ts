// HTTP to the shop's pages and back; everything else is in logic.ts.
import { Frontend } from "./logic";
import type { Needs } from "./needs";

let frontend: Frontend | undefined;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    frontend ??= new Frontend(needs(env), env.SHOP_NAME);
    const { method, url } = request;
    const { status, headers, body } = await frontend.handle({
      method,
      // What follows scheme and host.
      target: url.slice(url.indexOf("/", "https://".length)),
      cookie: request.headers.get("cookie") ?? "",
      form: method === "POST" ? await request.text() : "",
    });
    return new Response(body, { status, headers });
  },
};

function needs(env: Env): Needs {
  return {
    auth: env.AUTH,
    catalogue: env.CATALOGUE,
    cart: env.CART,
    checkout: env.CHECKOUT,
    currency: env.CURRENCY,
    shipping: env.SHIPPING,
    recommendation: env.RECOMMENDATION,
    ads: env.ADS,
  };
}
