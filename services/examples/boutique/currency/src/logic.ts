// Amounts of money in other currencies. The rates are an example's, of no particular day.

/** A whole number of a currency's smallest units, and how many decimal places those have. */
export interface Money {
  currency: string;
  minor: number;
  digits: number;
}

/** Currency, decimal places, units for one US dollar. */
const TABLE: [string, number, number][] = [
  ["USD", 2, 1],
  ["EUR", 2, 0.8621],
  ["GBP", 2, 0.7496],
  ["CHF", 2, 0.7988],
  ["SEK", 2, 9.512],
  ["NOK", 2, 10.083],
  ["DKK", 2, 6.437],
  ["ISK", 0, 122.4],
  ["PLN", 2, 3.662],
  ["CZK", 2, 20.93],
  ["HUF", 2, 335.1],
  ["RON", 2, 4.386],
  ["TRY", 2, 41.07],
  ["ILS", 2, 3.341],
  ["AUD", 2, 1.527],
  ["NZD", 2, 1.689],
  ["CAD", 2, 1.382],
  ["MXN", 2, 18.64],
  ["BRL", 2, 5.418],
  ["JPY", 0, 147.3],
  ["CNY", 2, 7.131],
  ["HKD", 2, 7.806],
  ["SGD", 2, 1.284],
  ["KRW", 0, 1391],
  ["INR", 2, 87.62],
  ["IDR", 2, 16310],
  ["MYR", 2, 4.214],
  ["PHP", 2, 56.88],
  ["THB", 2, 32.45],
  ["ZAR", 2, 17.61],
  ["KWD", 3, 0.3057],
  ["TND", 3, 2.884],
];
const CODES = TABLE.map(([code]) => code);
const BY_CODE = new Map(TABLE.map(([code, digits, rate]) => [code, { digits, rate, unit: 10 ** digits }]));

export class Currency {
  async list(): Promise<{ codes: string[] }> {
    return { codes: CODES };
  }

  /** The amount in another currency, rounded to its smallest unit, halves away from zero. */
  async convert({ currency, minor, to }: { currency: string; minor: number; to: string }): Promise<{ amount: Money }> {
    const [source, target] = [find(currency), find(to)];
    if (!Number.isSafeInteger(minor)) throw new RangeError(`convert: ${minor} is no whole number of units`);
    if (currency === to) return { amount: { currency, minor, digits: source.digits } };
    const exact = (minor / source.unit / source.rate) * target.rate * target.unit;
    const rounded = Math.sign(exact) * Math.round(Math.abs(exact));
    return { amount: { currency: to, minor: rounded, digits: target.digits } };
  }
}

function find(code: string) {
  const found = BY_CODE.get(code);
  if (!found) throw new RangeError(`convert: there is no currency ${JSON.stringify(code)} here`);
  return found;
}
