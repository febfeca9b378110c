import { Auth } from "../../auth/src/logic";
import { entrypoint } from "./entrypoint";

export const AuthService = entrypoint(Auth, (env: object) => new Auth(env));
