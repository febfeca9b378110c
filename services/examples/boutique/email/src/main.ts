import type { Email } from "isolith:schema/email";
import { Email as Logic } from "./logic";

/** The logic as it is: its methods have the schema's parameters and results. */
export class EmailService extends Logic implements Email.Server {}
