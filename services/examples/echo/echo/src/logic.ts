/** Who a token belongs to. */
export function check({ token }: { token: string }): { user: { id: number; name: string } } {
  return { user: { id: token.length, name: "Ada Marlowe" } };
}
