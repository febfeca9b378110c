// The people who may sign in.
//
// An example's user store: a file in the bundle, passwords as salted HMAC-SHA-256. A real service
// keeps them in a database and hashes them with argon2, which is slow on purpose.
import { z } from "zod";
import records from "../data/users.json";

const hex = z.string().regex(/^([0-9a-f]{2})+$/);

const UserRecord = z.object({
  id: z.string().min(1),
  name: z.string().min(1),
  role: z.enum(["customer", "staff"]),
  salt: hex,
  hash: hex,
});
export type UserRecord = z.infer<typeof UserRecord>;

const users = new Map(z.array(UserRecord).parse(records).map((user) => [user.id, user]));

/** Stands in for a user who does not exist, so that refusing takes as long as for one who does. */
const nobody = { salt: "00".repeat(16), hash: "00".repeat(32) };

export function findUser(id: string): UserRecord | undefined {
  return users.get(id);
}

/** The user, if there is one and the password is theirs. */
export async function signIn(id: string, password: string): Promise<UserRecord | undefined> {
  const user = users.get(id);
  const { salt, hash } = user ?? nobody;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes(salt), algorithm, false, ["verify"]);
  // `verify` compares in constant time.
  const fits = await crypto.subtle.verify(algorithm, key, bytes(hash), new TextEncoder().encode(password));
  return fits ? user : undefined;
}

function bytes(digits: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
