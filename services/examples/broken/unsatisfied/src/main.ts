// A catalog 1.4.0 that asks for a service that nobody has deployed.
import type { Stock } from "isolith:schema/stock";

export class CatalogService {
  readonly #stock: Stock.Client;

  constructor(env: { STOCK: Stock.Client }) {
    this.#stock = env.STOCK;
  }

  async product({ id }: { id: string }) {
    const { pieces } = await this.#stock.count({ productId: id });
    return { lookup: { product: { id, tags: [`${pieces} left`] } } };
  }
}
