// Who a request comes from: logins, sessions, and small values sealed with a signature.
import { z } from "zod";
import type { Context } from "isolith:schema";
import type { Auth } from "isolith:schema/auth";
import { Tokens } from "./tokens";
import { type UserRecord, findUser, signIn } from "./users";

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

  async login({ user: id, password }: Auth.LoginParams, ctx: Context): Promise<Auth.LoginResultsInit> {
    const servedBy = ctx.bundle.version;
    if (id === "" || password === "") return { login: { servedBy, refused: "missing" } };
    const user = await signIn(id, password);
    if (!user) return { login: { servedBy, refused: "wrongCredentials" } };
    const token = await this.#tokens.issue(user.id, SESSION_SECONDS);
    return { login: { servedBy, granted: { token, expiresInSeconds: SESSION_SECONDS, user: describe(user) } } };
  }

  async check({ token }: Auth.CheckParams, ctx: Context): Promise<Auth.CheckResultsInit> {
    const servedBy = ctx.bundle.version;
    const checked = await this.#tokens.check(token);
    if (!checked.ok) return { session: { servedBy, refused: checked.refused } };
    const user = findUser(checked.value);
    return user
      ? { session: { servedBy, user: describe(user) } }
      : { session: { servedBy, refused: "unknownUser" } };
  }

  async seal({ purpose, payload }: Auth.SealParams): Promise<Auth.SealResultsInit> {
    if (payload.byteLength > MAX_SEALED_BYTES) {
      throw new RangeError(`seal: ${payload.byteLength} bytes are more than ${MAX_SEALED_BYTES}`);
    }
    return { sealed: await this.#tokens.seal(purpose, payload) };
  }

  async unseal({ purpose, sealed }: Auth.UnsealParams): Promise<Auth.UnsealResultsInit> {
    const opened = await this.#tokens.unseal(purpose, sealed);
    return { unsealed: opened.ok ? { payload: opened.value } : { refused: opened.refused } };
  }
}

/** What others may know about a user. */
function describe({ id, name, role }: UserRecord) {
  return { id, name, role };
}
