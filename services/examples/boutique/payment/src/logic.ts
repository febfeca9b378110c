// Charges cards: checks what can be checked without asking a bank, then says yes.
import { z } from "zod";

/** Whose cards are taken: how their numbers begin, how long these and their codes are. */
const BRANDS = [
  { name: "Visa", prefix: /^4/, lengths: [13, 16, 19], codeLength: 3 },
  { name: "Mastercard", prefix: /^(5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, lengths: [16], codeLength: 3 },
  { name: "American Express", prefix: /^3[47]/, lengths: [15], codeLength: 4 },
];

const Amount = z.object({ currency: z.string().regex(/^[A-Z]{3}$/), minor: z.number().int().positive() });

export interface Card {
  number: string;
  expiryYear: number;
  expiryMonth: number;
  code: string;
}

export interface Charged {
  /** Empty if it was refused. */
  transaction: string;
  /** Empty if it was not. */
  refused: string;
}

export class Payment {
  async charge({ card, currency, minor }: { card: Card; currency: string; minor: number }): Promise<Charged> {
    const refused = Amount.safeParse({ currency, minor }).success ? refusal(card, new Date()) : "amount";
    return refused ? { transaction: "", refused } : { transaction: crypto.randomUUID(), refused: "" };
  }
}

/** Why a card is not taken; empty if it is. */
export function refusal({ number, expiryYear, expiryMonth, code }: Card, now: Date): string {
  const digits = number.replace(/[ -]/g, "");
  if (!/^\d{12,19}$/.test(digits) || !luhn(digits)) return "number";
  const brand = BRANDS.find(({ prefix }) => prefix.test(digits));
  if (!brand || !brand.lengths.includes(digits.length)) return "brand";
  // A card is good until the last moment of its month.
  const months = expiryYear * 12 + (expiryMonth - 1);
  const valid = expiryMonth >= 1 && expiryMonth <= 12;
  if (!valid || months < now.getUTCFullYear() * 12 + now.getUTCMonth()) return "expired";
  return /^\d+$/.test(code) && code.length === brand.codeLength ? "" : "code";
}

/** The check sum of card numbers: from the right, every second digit counts twice. */
function luhn(digits: string): boolean {
  let sum = 0;
  for (let at = 0; at < digits.length; at++) {
    const digit = Number(digits[digits.length - 1 - at]);
    const counted = at % 2 === 1 ? digit * 2 : digit;
    sum += counted > 9 ? counted - 9 : counted;
  }
  return sum % 10 === 0;
}
