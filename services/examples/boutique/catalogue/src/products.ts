// The shop's shelves.

export interface Product {
  id: string;
  name: string;
  description: string;
  /** Which of the shop's drawings shows it. */
  picture: string;
  priceCents: number;
  categories: string[];
}

export const PRODUCTS: readonly Product[] = [
  {
    id: "harbour-mug",
    name: "Harbour Mug",
    description: "Stoneware, thrown thick at the foot and thin at the lip. Keeps 300 ml warm while you look for your glasses.",
    picture: "mug",
    priceCents: 1850,
    categories: ["kitchen", "ceramics"],
  },
  {
    id: "tide-bowl",
    name: "Tide Bowl",
    description: "A wide bowl with a glaze that breaks from blue to sand where the clay turns. Good for soup, better for two.",
    picture: "bowl",
    priceCents: 3200,
    categories: ["kitchen", "ceramics"],
  },
  {
    id: "copper-kettle",
    name: "Copper Kettle",
    description: "Spun from one sheet, tinned inside, and loud enough to be heard from the garden. Holds 1.4 litres.",
    picture: "kettle",
    priceCents: 8990,
    categories: ["kitchen", "metal"],
  },
  {
    id: "ash-board",
    name: "Ash Board",
    description: "A cutting board of end-grain ash, oiled three times. Turn it over when one side has told its story.",
    picture: "board",
    priceCents: 4450,
    categories: ["kitchen", "wood"],
  },
  {
    id: "reading-lamp",
    name: "Reading Lamp",
    description: "A brass arm that stays where you leave it, and a shade that keeps the light off whoever is asleep.",
    picture: "lamp",
    priceCents: 12900,
    categories: ["home", "metal"],
  },
  {
    id: "hall-clock",
    name: "Hall Clock",
    description: "A quiet movement behind a birch face. The hour hand is honest; the minute hand is an optimist.",
    picture: "clock",
    priceCents: 7600,
    categories: ["home", "wood"],
  },
  {
    id: "linen-throw",
    name: "Linen Throw",
    description: "Washed flax from one field, woven in a herringbone. It gets softer for about ten years and then stays so.",
    picture: "throw",
    priceCents: 9800,
    categories: ["home", "textiles"],
  },
  {
    id: "fig-candle",
    name: "Fig Candle",
    description: "Rapeseed wax in a lidded tin, with leaf, wood and not too much fruit. Burns for some forty evenings.",
    picture: "candle",
    priceCents: 2200,
    categories: ["home"],
  },
  {
    id: "field-bag",
    name: "Field Bag",
    description: "Waxed canvas with one large pocket and two that remember where the keys are. Mended free of charge.",
    picture: "bag",
    priceCents: 11500,
    categories: ["clothing", "textiles"],
  },
  {
    id: "wool-scarf",
    name: "Wool Scarf",
    description: "Lambswool, two metres of it, in the colours of a wet roof. Long enough to lend an end.",
    picture: "scarf",
    priceCents: 5400,
    categories: ["clothing", "textiles"],
  },
  {
    id: "garden-shears",
    name: "Garden Shears",
    description: "Forged in one piece and sharpened by hand. They cut what they meet, so mind the peonies.",
    picture: "shears",
    priceCents: 3900,
    categories: ["garden", "metal"],
  },
  {
    id: "seed-box",
    name: "Seed Box",
    description: "Twelve drawers of cedar for next spring, with brass holders for labels you will write in pencil.",
    picture: "box",
    priceCents: 4800,
    categories: ["garden", "wood"],
  },
];
