// Full-text search over the products, in memory.
//
// Every word of the query must match, as a whole word or as the beginning of one, so that results
// appear while somebody types. A match counts more in a name than in a description, more as a
// whole word, and more if the word is rare.
import type { Product } from "./products";

const FIELD_WEIGHT = { name: 8, tags: 5, category: 4, description: 1 };
const PREFIX_FACTOR = 0.4;
const MAX_QUERY_WORDS = 8;

type Weights = Map<Product, number>;

export class SearchIndex {
  readonly #size: number;
  /** For each word, how much it weighs in each product. */
  readonly #index = new Map<string, Weights>();
  /** The words in order, to find those that begin with a prefix. */
  readonly #words: string[];

  constructor(products: readonly Product[]) {
    this.#size = products.length;
    for (const product of products) {
      this.#add(product, product.name, FIELD_WEIGHT.name);
      this.#add(product, product.tags.join(" "), FIELD_WEIGHT.tags);
      this.#add(product, product.category, FIELD_WEIGHT.category);
      this.#add(product, product.description, FIELD_WEIGHT.description);
    }
    this.#words = [...this.#index.keys()].sort();
  }

  /** The products that match every word of the query, and how well. */
  search(query: string): Weights {
    const [first, ...others] = words(query).slice(0, MAX_QUERY_WORDS);
    if (first === undefined) return new Map();
    const found = this.#match(first);
    for (const word of others) {
      const matches = this.#match(word);
      for (const [product, score] of found) {
        const more = matches.get(product);
        if (more === undefined) found.delete(product);
        else found.set(product, score + more);
      }
    }
    return found;
  }

  #add(product: Product, text: string, weight: number): void {
    for (const word of words(text)) {
      let weights = this.#index.get(word);
      if (!weights) this.#index.set(word, (weights = new Map()));
      // The best field counts: a word is not worth more for being repeated.
      weights.set(product, Math.max(weights.get(product) ?? 0, weight));
    }
  }

  #match(prefix: string): Weights {
    const best: Weights = new Map();
    for (let at = lowerBound(this.#words, prefix); at < this.#words.length; at++) {
      const word = this.#words[at]!;
      if (!word.startsWith(prefix)) break;
      const weights = this.#index.get(word)!;
      const rarity = Math.log(1 + this.#size / weights.size);
      const factor = rarity * (word === prefix ? 1 : PREFIX_FACTOR);
      for (const [product, weight] of weights) {
        best.set(product, Math.max(best.get(product) ?? 0, weight * factor));
      }
    }
    return best;
  }
}

/** The words of a text: lower case, without accents, plurals as singulars. */
export function words(text: string): string[] {
  const plain = text.normalize("NFD").replace(/\p{Mark}/gu, "").toLowerCase();
  return (plain.match(/[\p{Letter}\p{Number}]+/gu) ?? []).map(singular);
}

function singular(word: string): string {
  if (word.length <= 3 || !word.endsWith("s") || word.endsWith("ss")) return word;
  return /(ch|sh|x)es$/.test(word) ? word.slice(0, -2) : word.slice(0, -1);
}

/** Where `value` is in a sorted list, or would be. */
function lowerBound(sorted: readonly string[], value: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
