import type { Auth } from "isolith:schema/auth";
import { Auth as Logic } from "./logic";

/** The logic as it is: its methods have the schema's parameters and results. */
export class AuthService extends Logic implements Auth.Server {}
