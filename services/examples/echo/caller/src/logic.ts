// Calls with bytes and gets them back, so often, so many at a time.

export type Echo = (data: Uint8Array) => Promise<Uint8Array>;

/** Answers a request for `/?bytes=64&inFlight=1&calls=10000` once the calls are done. */
export async function run(target: string, echo: Echo): Promise<string> {
  const query = new URLSearchParams(target.slice(target.indexOf("?") + 1));
  const [bytes, inFlight, calls] = ["bytes", "inFlight", "calls"].map((name) => Number(query.get(name) ?? 1));
  const lane = async () => {
    let data: Uint8Array = new Uint8Array(bytes!);
    for (let done = 0; done < calls! / inFlight!; done++) data = await echo(data);
    if (data.byteLength !== bytes) throw new Error(`${data.byteLength} bytes came back of ${bytes}`);
  };
  await Promise.all(Array.from({ length: inFlight! }, lane));
  return "done\n";
}
