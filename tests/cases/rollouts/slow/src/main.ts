// One greeting in ten takes several times as long as the slowest of the others.
import type { Context } from "isolith:schema";
import type { Greeter } from "isolith:schema/greeter";

let calls = 0;

export class GreeterService implements Greeter.Server {
  async greet({ name }: Greeter.GreetParams, ctx: Context): Promise<Greeter.GreetResultsInit> {
    calls += 1;
    if (calls % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 60));
    const text = `Hello, ${name}`;
    return { greeting: { text, servedBy: ctx.bundle.version, length: text.length } };
  }

  async count({ from }: Greeter.CountParams): Promise<Greeter.CountResultsInit> {
    return { to: from + 1 };
  }
}
