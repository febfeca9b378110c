import type { Currency } from "isolith:schema/currency";
import { Currency as Logic } from "./logic";

/** The logic as it is: its methods have the schema's parameters and results. */
export class CurrencyService extends Logic implements Currency.Server {}
