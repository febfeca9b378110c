import type { Ads } from "isolith:schema/ads";
import { Ads as Logic } from "./logic";

/** The logic as it is: its methods have the schema's parameters and results. */
export class AdsService extends Logic implements Ads.Server {}
