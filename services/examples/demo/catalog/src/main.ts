// The products that the shop sells: lookup, search, and an export.
import { builtinUse } from "./metrics";
import { z } from "zod";
import type { Catalog } from "isolith:schema/catalog";
import { type Product, countCategories, findProduct, products, toCsv } from "./products";
import { SearchIndex } from "./search";

const Env = z.object({ PAGE_SIZE: z.coerce.number().int().min(1).max(100) });

const MAX_PAGE_SIZE = 100;
const MAX_PRICES = 100;

const index = new SearchIndex(products);

export class CatalogService implements Catalog.Server {
  readonly #defaultPageSize: number;
  #searches = 0n;

  constructor(env: unknown) {
    this.#defaultPageSize = Env.parse(env).PAGE_SIZE;
  }

  async search(params: Catalog.SearchParams): Promise<Catalog.SearchResultsInit> {
    this.#searches += 1n;
    const { query, category, sort } = params;
    const scores = query.trim() === "" ? undefined : index.search(query);
    const found = (scores ? [...scores.keys()] : [...products]).filter(
      (product) => category === "" || product.category === category,
    );
    found.sort(order(sort, scores));

    const pageSize = Math.min(params.pageSize || this.#defaultPageSize, MAX_PAGE_SIZE);
    const pages = Math.max(1, Math.ceil(found.length / pageSize));
    const page = Math.min(params.page || 1, pages);
    const start = (page - 1) * pageSize;
    return { results: { products: found.slice(start, start + pageSize), total: found.length, page, pages } };
  }

  async product({ id }: Catalog.ProductParams): Promise<Catalog.ProductResultsInit> {
    return { lookup: lookup(id) };
  }

  async prices({ ids }: Catalog.PricesParams): Promise<Catalog.PricesResultsInit> {
    if (ids.length > MAX_PRICES) throw new RangeError(`prices: ${ids.length} ids are more than ${MAX_PRICES}`);
    return { lookups: Array.from(ids, lookup) };
  }

  async categories(): Promise<Catalog.CategoriesResultsInit> {
    return { categories: countCategories() };
  }

  async exportCsv(): Promise<Catalog.ExportCsvResultsInit> {
    return { csv: new TextEncoder().encode(toCsv()) };
  }

  async statistics(): Promise<Catalog.StatisticsResultsInit> {
    return { statistics: { products: products.length, searches: this.#searches, builtins: builtinUse() } };
  }
}

function lookup(id: string) {
  const product = findProduct(id);
  return product ? { product } : { missing: null };
}

function order(sort: string, scores?: Map<Product, number>): (a: Product, b: Product) => number {
  const byName = (a: Product, b: Product) => a.name.localeCompare(b.name);
  switch (sort) {
    case "name":
      return byName;
    case "cheapestFirst":
      return (a, b) => a.priceCents - b.priceCents || byName(a, b);
    case "dearestFirst":
      return (a, b) => b.priceCents - a.priceCents || byName(a, b);
    default:
      return scores ? (a, b) => (scores.get(b) ?? 0) - (scores.get(a) ?? 0) || byName(a, b) : () => 0;
  }
}
