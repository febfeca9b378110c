import { Email } from "../../email/src/logic";
import { entrypoint } from "./entrypoint";

export const EmailService = entrypoint(Email, () => new Email());
