import { Checkout, type Needs } from "../../checkout/src/logic";
import { entrypoint } from "./entrypoint";

type Env = { [N in keyof Needs as Uppercase<N>]: Needs[N] };

export const CheckoutService = entrypoint(
  Checkout,
  ({ CART, CATALOGUE, CURRENCY, PAYMENT, SHIPPING, EMAIL }: Env) =>
    new Checkout({ cart: CART, catalogue: CATALOGUE, currency: CURRENCY, payment: PAYMENT, shipping: SHIPPING, email: EMAIL }),
);
