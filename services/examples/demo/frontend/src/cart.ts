// The cart as the routes need it: priced by the cart service, or the problem that it found.
import { Problem } from "./problem";
import type { Lines } from "./session";

export interface PricedCart {
  lines: { productId: string; name: string; quantity: number; unitCents: number; totalCents: number }[];
  items: number;
  subtotalCents: number;
  shippingCents: number;
  totalCents: number;
}

type Change = { add: Lines[number] } | { set: Lines[number] };

/** The cart with today's prices, after a change if one is given. */
export async function priced(
  env: Env,
  token: string,
  lines: Lines,
  change?: Change,
): Promise<{ cart: PricedCart; checkedBy: string }> {
  const { outcome } = change
    ? await env.CART.change({ token, lines, change })
    : await env.CART.price({ token, lines });
  if (outcome.cart) return { cart: outcome.cart.toObject(), checkedBy: outcome.checkedBy };

  const { reason, productId, limit } = outcome.refused ?? {};
  switch (reason) {
    case "notSignedIn":
      throw new Problem(401, "Please sign in", {}, { "www-authenticate": "Bearer" });
    case "unknownProduct":
      throw new Problem(404, "There is no such product", { productId });
    case "tooManyOfOne":
      throw new Problem(409, `At most ${limit} of one product`, { productId, limit });
    case "tooManyLines":
      throw new Problem(409, `At most ${limit} different products`, { limit });
    default:
      throw new Problem(409, "The cart was refused", { reason });
  }
}

/** What the client keeps of a cart. */
export function linesIn(cart: PricedCart): Lines {
  return cart.lines.map(({ productId, quantity }) => ({ productId, quantity }));
}
