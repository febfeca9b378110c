// A line that points to a product.

export interface Ad {
  text: string;
  productId: string;
}

const ADS: Record<string, Ad[]> = {
  kitchen: [
    { text: "Soup tastes of the bowl, too. This month, Tide Bowls come with a spoon.", productId: "tide-bowl" },
    { text: "Tea in three minutes, and you will hear it: the Copper Kettle.", productId: "copper-kettle" },
  ],
  home: [
    { text: "One more page? The Reading Lamp does not tell.", productId: "reading-lamp" },
    { text: "Ten years from now it will be softer still: the Linen Throw.", productId: "linen-throw" },
  ],
  clothing: [{ text: "Bags we sold last century come back to be mended, not returned.", productId: "field-bag" }],
  garden: [{ text: "Order seeds later. Sort them now: the Seed Box.", productId: "seed-box" }],
};
const ALL = Object.values(ADS).flat();

export class Ads {
  async pick({ categories }: { categories: Iterable<string> }): Promise<Ad> {
    const fitting = Array.from(categories).flatMap((category) => ADS[category] ?? []);
    const choice = fitting.length > 0 ? fitting : ALL;
    return choice[Math.floor(Math.random() * choice.length)]!;
  }
}
