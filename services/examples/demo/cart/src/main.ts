// Shopping carts: quantities, limits and totals. Keeps nothing: see schema/cart.capnp.
import { z } from "zod";
import type { Cart } from "isolith:schema/cart";
import { type Line, type Rules, changed, overLimit, totals } from "./cart";

const whole = z.coerce.number().int().min(0);

const Settings = z.object({
  MAX_LINES: whole.max(100),
  MAX_OF_ONE: whole.max(100),
  FREE_SHIPPING_FROM_CENTS: whole,
  SHIPPING_CENTS: whole,
});

export class CartService implements Cart.Server {
  readonly #env: Env;
  readonly #rules: Rules;

  constructor(env: Env) {
    this.#env = env;
    const settings = Settings.parse(env);
    this.#rules = {
      maxLines: settings.MAX_LINES,
      maxOfOne: settings.MAX_OF_ONE,
      freeShippingFromCents: settings.FREE_SHIPPING_FROM_CENTS,
      shippingCents: settings.SHIPPING_CENTS,
    };
  }

  async price({ token, lines }: Cart.PriceParams): Promise<Cart.PriceResultsInit> {
    return { outcome: await this.#outcome(token, copy(lines)) };
  }

  async change({ token, lines, change }: Cart.ChangeParams): Promise<Cart.ChangeResultsInit> {
    const kind = change.which();
    const line = change.add ?? change.set;
    if (!kind || !line) throw new TypeError("change: not a kind of change that this version knows");
    return { outcome: await this.#outcome(token, changed(copy(lines), kind, line), line.productId) };
  }

  /** Checks who asks and what they ask for, then puts prices on it. */
  async #outcome(token: string, lines: Line[], changedId?: string) {
    const { session } = await this.#env.AUTH.check({ token });
    const checkedBy = session.servedBy;
    if (!session.user) return { checkedBy, refused: { reason: "notSignedIn" as const } };

    const refused = overLimit(lines, this.#rules);
    if (refused) return { checkedBy, refused };

    const { lookups } = await this.#env.CATALOG.prices({ ids: lines.map((line) => line.productId) });
    const priced = [];
    for (const [at, lookup] of Array.from(lookups).entries()) {
      const line = lines[at]!;
      if (lookup.product) {
        const { name, priceCents } = lookup.product;
        priced.push({ ...line, name, unitCents: priceCents, totalCents: priceCents * line.quantity });
      } else if (line.productId === changedId) {
        return { checkedBy, refused: { reason: "unknownProduct" as const, productId: line.productId } };
      }
    }
    return { checkedBy, cart: totals(priced, this.#rules) };
  }
}

function copy(lines: Iterable<Line>): Line[] {
  return Array.from(lines, ({ productId, quantity }) => ({ productId, quantity }));
}
