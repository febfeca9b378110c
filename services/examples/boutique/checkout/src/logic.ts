// Turns a cart into an order: what is in it, what it costs, the payment, the parcel, the mail.

export interface Money {
  currency: string;
  minor: number;
  digits: number;
}

export interface Address {
  name: string;
  street: string;
  city: string;
  postcode: string;
  country: string;
}

export interface Card {
  number: string;
  expiryYear: number;
  expiryMonth: number;
  code: string;
}

export interface OrderLine {
  productId: string;
  name: string;
  quantity: number;
  amount: Money;
}

type MailLine = Omit<OrderLine, "productId">;

export interface Order {
  id: string;
  tracking: string;
  messageId: string;
  lines: OrderLine[];
  shipping: Money;
  total: Money;
}

export interface Placed {
  order: Order;
  /** What the browser is to keep as its cart. */
  cart: string;
  /** Why there is no order; empty if there is one. */
  refused: string;
}

/** What a checkout needs of others. */
export interface Needs {
  cart: {
    get(params: { visitor: string; cart: string }): Promise<{ lines: Iterable<{ productId: string; quantity: number }> }>;
    empty(params: { visitor: string }): Promise<{ cart: string }>;
  };
  catalogue: { get(params: { id: string }): Promise<{ product: { id: string; name: string; priceCents: number } }> };
  currency: { convert(params: { currency: string; minor: number; to: string }): Promise<{ amount: Money }> };
  payment: {
    charge(params: { card: Card; currency: string; minor: number }): Promise<{ transaction: string; refused: string }>;
  };
  shipping: {
    quote(params: { country: string; pieces: number }): Promise<{ cents: number }>;
    ship(params: { address: Address; pieces: number }): Promise<{ tracking: string }>;
  };
  email: {
    confirm(params: {
      to: string;
      order: { id: string; tracking: string; name: string; lines: MailLine[]; shipping: Money; total: Money };
    }): Promise<{ messageId: string }>;
  };
}

export interface PlaceParams {
  visitor: string;
  cart: string;
  currency: string;
  email: string;
  address: Address;
  card: Card;
}

/** Prices are kept in this currency. */
const BASE = "USD";

export class Checkout {
  constructor(readonly needs: Needs) {}

  async place(params: PlaceParams): Promise<Placed> {
    const { visitor, cart, currency, email } = params;
    const [address, card] = [copyAddress(params.address), copyCard(params.card)];
    const lines = await this.#lines(visitor, cart, currency);
    if (lines.length === 0) return refusal("empty", cart, currency);

    const pieces = lines.reduce((sum, { quantity }) => sum + quantity, 0);
    const { cents } = await this.needs.shipping.quote({ country: address.country, pieces });
    const shipping = await this.#convert(cents, currency);
    const total = lines.reduce((sum, { amount }) => ({ ...sum, minor: sum.minor + amount.minor }), shipping);

    const charged = await this.needs.payment.charge({ card, currency: total.currency, minor: total.minor });
    if (charged.refused !== "") return refusal(charged.refused, cart, currency);

    // Paid: from here on the order stands.
    const [{ tracking }, emptied] = await Promise.all([
      this.needs.shipping.ship({ address, pieces }),
      this.needs.cart.empty({ visitor }),
    ]);
    const id = charged.transaction.slice(0, 8).toUpperCase();
    const mailLines = lines.map(({ name, quantity, amount }) => ({ name, quantity, amount }));
    const mail = { id, tracking, name: address.name, lines: mailLines, shipping, total };
    const { messageId } = await this.needs.email.confirm({ to: email, order: mail });
    return { order: { id, tracking, messageId, lines, shipping, total }, cart: emptied.cart, refused: "" };
  }

  /** The cart's lines with what each costs: the converted price of one piece, times the pieces. */
  async #lines(visitor: string, cart: string, currency: string): Promise<OrderLine[]> {
    const { lines } = await this.needs.cart.get({ visitor, cart });
    const priced = Array.from(lines, async ({ productId, quantity }) => {
      const { product } = await this.needs.catalogue.get({ id: productId });
      const one = await this.#convert(product.priceCents, currency);
      return { productId: product.id, name: product.name, quantity, amount: { ...one, minor: one.minor * quantity } };
    });
    // What is no longer sold drops out.
    return (await Promise.all(priced)).filter(({ productId }) => productId !== "");
  }

  async #convert(cents: number, to: string): Promise<Money> {
    const { amount } = await this.needs.currency.convert({ currency: BASE, minor: cents, to });
    return { currency: amount.currency, minor: amount.minor, digits: amount.digits };
  }
}

function refusal(refused: string, cart: string, currency: string): Placed {
  const nothing = { currency, minor: 0, digits: 0 };
  return { order: { id: "", tracking: "", messageId: "", lines: [], shipping: nothing, total: nothing }, cart, refused };
}

function copyAddress({ name, street, city, postcode, country }: Address): Address {
  return { name, street, city, postcode, country };
}

function copyCard({ number, expiryYear, expiryMonth, code }: Card): Card {
  return { number, expiryYear, expiryMonth, code };
}
