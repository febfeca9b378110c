import type { Payment } from "isolith:schema/payment";
import { Payment as Logic } from "./logic";

/** The logic as it is: its methods have the schema's parameters and results. */
export class PaymentService extends Logic implements Payment.Server {}
