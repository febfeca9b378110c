import { Payment } from "../../payment/src/logic";
import { entrypoint } from "./entrypoint";

export const PaymentService = entrypoint(Payment, () => new Payment());
