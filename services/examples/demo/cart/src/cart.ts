// The arithmetic of a cart. Amounts are whole cents.

export interface Line {
  productId: string;
  quantity: number;
}

export interface PricedLine extends Line {
  name: string;
  unitCents: number;
  totalCents: number;
}

export interface Rules {
  /** Different products in one cart. */
  maxLines: number;
  /** Pieces of one product. */
  maxOfOne: number;
  /** Subtotal from which shipping is free. */
  freeShippingFromCents: number;
  shippingCents: number;
}

/** The lines after one change; a line whose quantity becomes 0 is gone. */
export function changed(lines: readonly Line[], kind: "add" | "set", change: Line): Line[] {
  const before = lines.find((line) => line.productId === change.productId)?.quantity ?? 0;
  const quantity = kind === "add" ? before + change.quantity : change.quantity;
  const after = { productId: change.productId, quantity };
  const others = lines.filter((line) => line.productId !== change.productId);
  if (quantity === 0) return others;
  return before === 0
    ? [...lines, after]
    : lines.map((line) => (line.productId === change.productId ? after : line));
}

/** What is too much about the lines, if anything is. */
export function overLimit(lines: readonly Line[], { maxLines, maxOfOne }: Rules) {
  if (lines.length > maxLines) return { reason: "tooManyLines" as const, limit: maxLines };
  const tooMany = lines.find((line) => line.quantity > maxOfOne);
  return tooMany && { reason: "tooManyOfOne" as const, productId: tooMany.productId, limit: maxOfOne };
}

/** The cart with its sums. */
export function totals(lines: PricedLine[], { freeShippingFromCents, shippingCents }: Rules) {
  const items = lines.reduce((sum, line) => sum + line.quantity, 0);
  const subtotalCents = lines.reduce((sum, line) => sum + line.totalCents, 0);
  const shipping = items === 0 || subtotalCents >= freeShippingFromCents ? 0 : shippingCents;
  return { lines, items, subtotalCents, shippingCents: shipping, totalCents: subtotalCents + shipping };
}
