// Visits and seals: texts signed with HMAC-SHA-256, so that a browser can keep them.
import { z } from "zod";

const Settings = z.object({ AUTH_SECRET: z.string().min(32, "AUTH_SECRET needs at least 32 characters") });

const VISIT_MS = 30 * 24 * 60 * 60 * 1000;
const MAX_PAYLOAD_CHARACTERS = 3000;
const SIGNATURE = /^(?:[0-9a-f]{2}){32}$/;
const ENCODER = new TextEncoder();

export class Auth {
  readonly #secret: string;
  #key: CryptoKey | undefined;

  constructor(settings: unknown) {
    this.#secret = Settings.parse(settings).AUTH_SECRET;
  }

  /** Begins a visit. */
  async open(): Promise<{ token: string; visitor: string }> {
    const visitor = crypto.randomUUID();
    const until = (Date.now() + VISIT_MS).toString(36);
    return { token: await this.#sign("visit", `${visitor}.${until}`), visitor };
  }

  /** Whose visit a token is; empty if it is nobody's, or over. */
  async check({ token }: { token: string }): Promise<{ visitor: string }> {
    const signed = await this.#verify("visit", token);
    const [visitor = "", until = ""] = signed.split(".");
    return { visitor: Number.parseInt(until, 36) > Date.now() ? visitor : "" };
  }

  async seal({ purpose, payload }: { purpose: string; payload: string }): Promise<{ sealed: string }> {
    if (payload.length > MAX_PAYLOAD_CHARACTERS) {
      throw new RangeError(`seal: ${payload.length} characters are more than ${MAX_PAYLOAD_CHARACTERS}`);
    }
    return { sealed: await this.#sign(purpose, encodeURIComponent(payload)) };
  }

  async unseal({ purpose, sealed }: { purpose: string; sealed: string }): Promise<{ payload: string }> {
    return { payload: decodeURIComponent(await this.#verify(purpose, sealed)) };
  }

  /** The text with a signature that fits this purpose alone. */
  async #sign(purpose: string, text: string): Promise<string> {
    const signature = await crypto.subtle.sign("HMAC", await this.#importKey(), signedBytes(purpose, text));
    return `${text}.${toHex(new Uint8Array(signature))}`;
  }

  /** The text that was signed for this purpose; empty if it was not. */
  async #verify(purpose: string, signed: string): Promise<string> {
    const end = signed.lastIndexOf(".");
    const [text, signature] = [signed.slice(0, Math.max(end, 0)), signed.slice(end + 1)];
    if (!SIGNATURE.test(signature)) return "";
    const key = await this.#importKey();
    const fits = await crypto.subtle.verify("HMAC", key, fromHex(signature), signedBytes(purpose, text));
    return fits ? text : "";
  }

  async #importKey(): Promise<CryptoKey> {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const import_ = () => crypto.subtle.importKey("raw", ENCODER.encode(this.#secret), algorithm, false, ["sign", "verify"]);
    return (this.#key ??= await import_());
  }
}

/** A length tells where the purpose ends, so no purpose can pass for another. */
function signedBytes(purpose: string, text: string): Uint8Array<ArrayBuffer> {
  return ENCODER.encode(`${purpose.length}:${purpose}${text}`);
}

function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += (byte < 16 ? "0" : "") + byte.toString(16);
  return text;
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}
