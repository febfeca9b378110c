// The shop's face: HTML pages and a JSON API. All that it knows it asks auth, catalog and cart.
import type { Context } from "isolith:schema";
import * as api from "./api";
import { script, style } from "./assets";
import { shopPage } from "./page";
import { toProblem } from "./problem";
import { type Route, dispatch } from "./router";

const routes: Route[] = [
  { method: "GET", pattern: /^\/$/, handler: shopPage },
  { method: "GET", pattern: /^\/shop\.css$/, handler: style },
  { method: "GET", pattern: /^\/shop\.js$/, handler: script },
  { method: "GET", pattern: /^\/api\/about$/, handler: api.about },
  { method: "GET", pattern: /^\/api\/products$/, handler: api.listProducts },
  { method: "GET", pattern: /^\/api\/products\.csv$/, handler: api.exportProducts },
  { method: "GET", pattern: /^\/api\/products\/([^/]+)$/, handler: api.showProduct },
  { method: "POST", pattern: /^\/api\/login$/, handler: api.login },
  { method: "GET", pattern: /^\/api\/me$/, handler: api.me },
  { method: "GET", pattern: /^\/api\/cart$/, handler: api.showCart },
  { method: "POST", pattern: /^\/api\/cart\/items$/, handler: api.addToCart },
  { method: "PUT", pattern: /^\/api\/cart\/items$/, handler: api.setInCart },
  { method: "POST", pattern: /^\/api\/checkout$/, handler: api.checkout },
];

export default {
  async fetch(request: Request, env: Env, ctx: Context): Promise<Response> {
    try {
      return await dispatch(routes, request, env, ctx);
    } catch (error) {
      return toProblem(error).toResponse();
    }
  },
};
