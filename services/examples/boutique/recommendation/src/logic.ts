// What goes with what: products that share categories, the closest in price first.

interface Product {
  id: string;
  priceCents: number;
  categories: Iterable<string>;
}

/** What a recommendation needs of others. */
export interface Needs {
  catalogue: { list(params: {}): Promise<{ products: Iterable<Product> }> };
}

const MAX_RECOMMENDED = 4;

export class Recommendation {
  constructor(readonly needs: Needs) {}

  async list({ productIds }: { productIds: Iterable<string> }): Promise<{ productIds: string[] }> {
    const wanted = new Set(productIds);
    const { products } = await this.needs.catalogue.list({});
    const all = Array.from(products, ({ id, priceCents, categories }) => ({ id, priceCents, categories: [...categories] }));
    const own = all.filter(({ id }) => wanted.has(id));
    const liked = new Map<string, number>();
    for (const category of own.flatMap(({ categories }) => categories)) {
      liked.set(category, (liked.get(category) ?? 0) + 1);
    }
    const usual = own.reduce((sum, { priceCents }) => sum + priceCents, 0) / Math.max(own.length, 1);
    const scored = all
      .filter(({ id }) => !wanted.has(id))
      .map(({ id, priceCents, categories }) => ({
        id,
        shared: categories.reduce((sum, category) => sum + (liked.get(category) ?? 0), 0),
        distance: Math.abs(priceCents - usual),
      }));
    scored.sort((a, b) => b.shared - a.shared || a.distance - b.distance);
    return { productIds: scored.slice(0, MAX_RECOMMENDED).map(({ id }) => id) };
  }
}
