// What the shop's pages need of the other services. Lists are no more than iterable,
// so that a hosting may decode them as they are read.

export interface Product {
  id: string;
  name: string;
  description: string;
  picture: string;
  priceCents: number;
  categories: Iterable<string>;
}

export interface Money {
  currency: string;
  minor: number;
  digits: number;
}

export interface Line {
  productId: string;
  quantity: number;
}

export interface Order {
  id: string;
  tracking: string;
  messageId: string;
  lines: Iterable<{ productId: string; name: string; quantity: number; amount: Money }>;
  shipping: Money;
  total: Money;
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

export interface Needs {
  auth: {
    open(params: {}): Promise<{ token: string; visitor: string }>;
    check(params: { token: string }): Promise<{ visitor: string }>;
  };
  catalogue: {
    list(params: {}): Promise<{ products: Iterable<Product> }>;
    get(params: { id: string }): Promise<{ product: Product }>;
    search(params: { query: string }): Promise<{ products: Iterable<Product> }>;
  };
  cart: {
    get(params: { visitor: string; cart: string }): Promise<{ lines: Iterable<Line> }>;
    add(params: { visitor: string; cart: string; productId: string; quantity: number }): Promise<{ cart: string }>;
    empty(params: { visitor: string }): Promise<{ cart: string }>;
  };
  checkout: {
    place(params: {
      visitor: string;
      cart: string;
      currency: string;
      email: string;
      address: Address;
      card: Card;
    }): Promise<{ order: Order; cart: string; refused: string }>;
  };
  currency: {
    list(params: {}): Promise<{ codes: Iterable<string> }>;
    convert(params: { currency: string; minor: number; to: string }): Promise<{ amount: Money }>;
  };
  shipping: { quote(params: { country: string; pieces: number }): Promise<{ cents: number; days: number }> };
  recommendation: { list(params: { productIds: string[] }): Promise<{ productIds: Iterable<string> }> };
  ads: { pick(params: { categories: string[] }): Promise<{ text: string; productId: string }> };
}
