// Carts that their visitors' browsers keep, sealed so that nobody can change or borrow one.

export interface Line {
  productId: string;
  quantity: number;
}

/** What a cart needs of others. */
export interface Needs {
  auth: {
    seal(params: { purpose: string; payload: string }): Promise<{ sealed: string }>;
    unseal(params: { purpose: string; sealed: string }): Promise<{ payload: string }>;
  };
}

const MAX_LINES = 30;
const MAX_OF_ONE = 20;

export class Cart {
  constructor(readonly needs: Needs) {}

  async get({ visitor, cart }: { visitor: string; cart: string }): Promise<{ lines: Line[] }> {
    if (cart === "") return { lines: [] };
    const { payload } = await this.needs.auth.unseal({ purpose: purposeFor(visitor), sealed: cart });
    return { lines: decode(payload) };
  }

  /** More of a product; a cart that is full stays as it is. */
  async add(params: { visitor: string; cart: string; productId: string; quantity: number }): Promise<{ cart: string; lines: Line[] }> {
    const { lines } = await this.get(params);
    const { visitor, productId, quantity } = params;
    const line = lines.find((each) => each.productId === productId);
    if (line) line.quantity = Math.min(line.quantity + quantity, MAX_OF_ONE);
    else if (lines.length < MAX_LINES && quantity > 0) lines.push({ productId, quantity: Math.min(quantity, MAX_OF_ONE) });
    const { sealed } = await this.needs.auth.seal({ purpose: purposeFor(visitor), payload: encode(lines) });
    return { cart: sealed, lines };
  }

  async empty(_: { visitor: string }): Promise<{ cart: string }> {
    return { cart: "" };
  }
}

function purposeFor(visitor: string): string {
  return `cart of ${visitor}`;
}

function encode(lines: Line[]): string {
  return lines.map(({ productId, quantity }) => `${productId}*${quantity}`).join(",");
}

function decode(payload: string): Line[] {
  if (payload === "") return [];
  return payload.split(",").map((line) => {
    const [productId = "", quantity] = line.split("*");
    return { productId, quantity: Number(quantity) };
  });
}
