// Signed tokens: JSON Web Tokens for sessions, JSON Web Signatures for sealed values.
import { CompactSign, SignJWT, compactVerify, errors, jwtVerify } from "jose";

const ALGORITHM = "HS256";
const ISSUER = "boutique/auth";
const AUDIENCE = "boutique";

/** Why a token is not accepted. */
export type TokenRefusal = "missing" | "malformed" | "expired";

export type Checked<T> = { ok: true; value: T } | { ok: false; refused: TokenRefusal };

export class Tokens {
  readonly #key: Uint8Array;

  constructor(secret: string) {
    this.#key = new TextEncoder().encode(secret);
  }

  /** A session token for a user. */
  issue(userId: string, seconds: number): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({})
      .setProtectedHeader({ alg: ALGORITHM, typ: "JWT" })
      .setSubject(userId)
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setIssuedAt(now)
      .setExpirationTime(now + seconds)
      .sign(this.#key);
  }

  /** The user that a session token names. */
  async check(token: string): Promise<Checked<string>> {
    if (token === "") return { ok: false, refused: "missing" };
    return attempt(async () => {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [ALGORITHM],
        typ: "JWT",
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ["sub", "exp"],
      });
      return payload.sub ?? "";
    });
  }

  /** Signs a value. The purpose is signed with it, so a seal fits only where it was meant to. */
  seal(purpose: string, payload: Uint8Array): Promise<string> {
    return new CompactSign(payload)
      .setProtectedHeader({ alg: ALGORITHM, typ: sealType(purpose) })
      .sign(this.#key);
  }

  async unseal(purpose: string, sealed: string): Promise<Checked<Uint8Array>> {
    if (sealed === "") return { ok: false, refused: "missing" };
    return attempt(async () => {
      const { payload, protectedHeader } = await compactVerify(sealed, this.#key, { algorithms: [ALGORITHM] });
      if (protectedHeader.typ !== sealType(purpose)) throw new errors.JWSInvalid("sealed for another purpose");
      return payload;
    });
  }
}

function sealType(purpose: string): string {
  return `sealed+${purpose}`;
}

/** Turns the errors that a bad token causes into an answer; others stay errors. */
async function attempt<T>(verify: () => Promise<T>): Promise<Checked<T>> {
  try {
    return { ok: true, value: await verify() };
  } catch (error) {
    if (error instanceof errors.JWTExpired) return { ok: false, refused: "expired" };
    if (error instanceof errors.JOSEError) return { ok: false, refused: "malformed" };
    throw error;
  }
}
