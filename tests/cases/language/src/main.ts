import { delete_ as kinds, far, Item, large, logo, most } from "isolith:schema/shop";
import type { Cart, Shop } from "isolith:schema/shop";
import type { Context } from "isolith:schema";

class CartObject implements Cart.Server {
  #total = 0;
  add({ item, count }: Cart.AddParams) {
    this.#total += (item.price ?? 0) * count;
    return { total: this.#total };
  }
}

export class ShopService implements Shop.Server {
  constructor(private env: Env) {}
  find({ id }: Shop.FindParams): Shop.FindResultsInit {
    if (id !== Item.first.id) return { item: { id, which_: true } };
    return { item: Item.first };
  }
  async constants(_: Shop.ConstantsParams, ctx: Context) {
    ctx.signal.throwIfAborted();
    const { item } = await this.env.SHOP.find({ id: 1 });
    const member: "which_" | "price" | undefined = item.which();
    const price: number | undefined = item.price;
    const again = item.toObject();
    const frozen = Object.isFrozen(Item.first) && Object.isFrozen(Item.first.tags);
    const { total } = await this.env.SHOP.cart().add({ item: Item.first, count: 3 });
    const read = await this.env.SHOP.any({ value: { type: Item, value: { name: "typed" } } });
    return {
      text: [most, far, kinds.join("+"), logo.length, `${large}`, member, price, item.toJSON_,
        again.kind, again.tags.join("+"), frozen, total, read.text].join(" "),
    };
  }
  any({ value }: Shop.AnyParams) {
    return { text: value === null ? "null" : value.as(Item).name };
  }
  cart() {
    return { cart: new CartObject() };
  }
}

export default { fetch: () => new Response("language") };

/** What the declarations do not allow. */
export async function mistakes(env: Env, item: Item): Promise<void> {
  // @ts-expect-error: no such method
  await env.SHOP.fnd({ id: 1n });
  // @ts-expect-error: no such field
  await env.SHOP.find({ idd: 1n });
  // @ts-expect-error: of another type
  await env.SHOP.find({ id: "1" });
  // @ts-expect-error: readers cannot be written
  item.name = "x";
  // @ts-expect-error: no such member
  if (item.which() === "prize") return;
  // @ts-expect-error: a constant of another type
  const text: string = most;
  // @ts-expect-error: no such constant
  Item.second;
  // @ts-expect-error: a member of a union may be missing
  item.price.toFixed();
}
