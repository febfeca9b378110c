// What the shop sells, and finding it.
import { PRODUCTS, type Product } from "./products";

const BY_ID = new Map(PRODUCTS.map((product) => [product.id, product]));
const NONE: Product = { id: "", name: "", description: "", picture: "", priceCents: 0, categories: [] };
/** What a search looks at, made once. */
const WORDS = PRODUCTS.map(({ name, description, categories }) =>
  [name, description, ...categories].join(" ").toLowerCase(),
);
const MAX_WORDS = 10;

export class Catalogue {
  async list(): Promise<{ products: Product[] }> {
    return { products: [...PRODUCTS] };
  }

  async get({ id }: { id: string }): Promise<{ product: Product }> {
    return { product: BY_ID.get(id) ?? NONE };
  }

  async search({ query }: { query: string }): Promise<{ products: Product[] }> {
    const words = query.toLowerCase().split(/\s+/).slice(0, MAX_WORDS);
    return { products: PRODUCTS.filter((_, at) => words.every((word) => WORDS[at]!.includes(word))) };
  }
}
