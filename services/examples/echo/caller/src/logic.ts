// Calls with an object, or with bytes that come back; so often, so many at a time.

export interface Token {
  token: string;
}

export interface Answer {
  user: { id: number; name: string };
}

export interface Bytes {
  data: Uint8Array;
}

export interface Echo {
  /** A small object in, a small one out. */
  check(params: Token): Promise<Answer>;
  /** The bytes that were sent. */
  echo(params: Bytes): Promise<Bytes>;
}

/**
 * Answers a request for `/?bytes=64&inFlight=1&calls=10000` once the calls are done. Without
 * `bytes`, they pass a small object.
 */
export async function run(target: string, echo: Echo): Promise<string> {
  const query = new URLSearchParams(target.slice(target.indexOf("?") + 1));
  const [bytes, inFlight, all] = ["bytes", "inFlight", "calls"].map((name) => Number(query.get(name) ?? 0));
  const calls = Math.ceil(all! / inFlight!);
  const lane = bytes ? () => bounce(echo, bytes, calls) : () => ask(echo, calls);
  await Promise.all(Array.from({ length: inFlight! }, lane));
  return "done\n";
}

async function ask(echo: Echo, calls: number): Promise<void> {
  let sum = 0;
  for (let done = 0; done < calls; done++) {
    const { user } = await echo.check({ token: "token-0123456789" });
    sum += user.id + user.name.length;
  }
  if (sum !== calls * 27) throw new Error(`the answers add up to ${sum}`);
}

async function bounce(echo: Echo, bytes: number, calls: number): Promise<void> {
  let data: Uint8Array = new Uint8Array(bytes);
  for (let done = 0; done < calls; done++) ({ data } = await echo.echo({ data }));
  if (data.byteLength !== bytes) throw new Error(`${data.byteLength} bytes came back of ${bytes}`);
}
