import { Currency } from "../../currency/src/logic";
import { entrypoint } from "./entrypoint";

export const CurrencyService = entrypoint(Currency, () => new Currency());
