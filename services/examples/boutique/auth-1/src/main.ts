// Who a request comes from: logins, sessions, and small values sealed with a signature.
import { z } from "zod";
import type { Auth } from "isolith:schema/auth";
import { Tokens } from "./tokens";
import { findUser, passwordFits } from "./users";

const Env = z.object({
  TOKEN_SECRET: z.string().min(32, "TOKEN_SECRET needs at least 32 characters"),
});

const SESSION_SECONDS = 12 * 60 * 60;
const MAX_SEALED_BYTES = 3 * 1024;

export class AuthService implements Auth.Server {
  readonly #tokens: Tokens;

  constructor(env: unknown) {
    this.#tokens = new Tokens(Env.parse(env).TOKEN_SECRET);
  }

  async login({ user: id, password }: Auth.LoginParams, ctx: Context) {
    const servedBy = ctx.bundle.version;
    if (id === "" || password === "") return { login: { servedBy, refused: "missing" as const } };
    const user = findUser(id);
    if (!(await passwordFits(user, password))) {
      return { login: { servedBy, refused: "wrongCredentials" as const } };
    }
    const token = await this.#tokens.issue(user!.id, SESSION_SECONDS);
    return { login: { servedBy, granted: { token, expiresInSeconds: SESSION_SECONDS, user } } };
  }
}
