import { Shipping } from "../../shipping/src/logic";
import { entrypoint } from "./entrypoint";

export const ShippingService = entrypoint(Shipping, () => new Shipping());
