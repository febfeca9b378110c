import type { Cart } from "isolith:schema/cart";
import { Cart as Logic } from "./logic";

export class CartService extends Logic implements Cart.Server {
  constructor(env: Env) {
    super({ auth: env.AUTH });
  }
}
