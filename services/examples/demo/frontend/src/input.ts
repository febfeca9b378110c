// What clients may send, checked before anything else looks at it.
import { z } from "zod";
import { Problem } from "./problem";

export const LoginInput = z.object({
  user: z.string().min(1).max(100),
  password: z.string().min(1).max(200),
});

const productId = z.string().min(1).max(100);

export const AddInput = z.object({
  productId,
  quantity: z.coerce.number().int().min(1).max(1000).default(1),
});

export const SetInput = z.object({
  productId,
  quantity: z.coerce.number().int().min(0).max(1000),
});

export const SearchInput = z.object({
  q: z.string().max(200).default(""),
  category: z.string().max(50).default(""),
  sort: z.enum(["relevance", "name", "cheapestFirst", "dearestFirst"]).default("relevance"),
  page: z.coerce.number().int().min(1).max(10_000).default(1),
  pageSize: z.coerce.number().int().min(0).max(100).default(0),
});
export type SearchInput = z.infer<typeof SearchInput>;

export const CheckoutInput = z.object({
  delayMs: z.coerce.number().int().min(0).max(20_000).optional(),
});

/** The request's body as JSON. */
export async function body<T>(request: Request, schema: z.ZodType<T>): Promise<T> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\b/i.test(type)) throw new Problem(415, "Send application/json");
  let value: unknown;
  try {
    value = await request.json();
  } catch {
    throw new Problem(400, "The body is not JSON");
  }
  return schema.parse(value);
}

/** The parameters in the URL. */
export function query<T>(url: URL, schema: z.ZodType<T>): T {
  return schema.parse(Object.fromEntries(url.searchParams));
}
