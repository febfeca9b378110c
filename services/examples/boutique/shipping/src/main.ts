import type { Shipping } from "isolith:schema/shipping";
import { Shipping as Logic } from "./logic";

/** The logic as it is: its methods have the schema's parameters and results. */
export class ShippingService extends Logic implements Shipping.Server {}
