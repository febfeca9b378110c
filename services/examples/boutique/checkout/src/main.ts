import type { Checkout } from "isolith:schema/checkout";
import { Checkout as Logic } from "./logic";

export class CheckoutService extends Logic implements Checkout.Server {
  constructor(env: Env) {
    super({
      cart: env.CART,
      catalogue: env.CATALOGUE,
      currency: env.CURRENCY,
      payment: env.PAYMENT,
      shipping: env.SHIPPING,
      email: env.EMAIL,
    });
  }
}
