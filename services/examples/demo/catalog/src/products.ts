// The product file, checked when the service starts.
import { z } from "zod";
import records from "../data/products.json";

const Product = z.object({
  id: z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/),
  name: z.string().min(1),
  category: z.string().min(1),
  priceCents: z.number().int().positive(),
  description: z.string(),
  tags: z.array(z.string()),
});
export type Product = Readonly<z.infer<typeof Product>>;

/** All products, in the order of the file. */
export const products: readonly Product[] = z.array(Product).parse(records);

const byId = new Map(products.map((product) => [product.id, product]));
if (byId.size !== products.length) throw new Error("products.json names a product twice");

export function findProduct(id: string): Product | undefined {
  return byId.get(id);
}

/** Each category's key and how many products it has, in the order of the file. */
export function countCategories(): { key: string; products: number }[] {
  const counts = new Map<string, number>();
  for (const { category } of products) counts.set(category, (counts.get(category) ?? 0) + 1);
  return Array.from(counts, ([key, count]) => ({ key, products: count }));
}

/** All products in CSV (RFC 4180), with a header line. */
export function toCsv(): string {
  const quote = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = products.map(({ id, name, category, priceCents, description, tags }) =>
    [id, name, category, String(priceCents), description, tags.join(" ")].map(quote).join(","),
  );
  return ["id,name,category,price_cents,description,tags", ...lines, ""].join("\r\n");
}
