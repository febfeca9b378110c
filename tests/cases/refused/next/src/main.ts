// Greets those who have a name.
import type { Context } from "isolith:schema";
import type { Greeter } from "isolith:schema/greeter";

interface Named {
  name: string;
}

export class GreeterService implements Greeter.Server {
  async greet({ name }: Greeter.GreetParams, ctx: Context): Promise<Greeter.GreetResultsInit> {
    const text = `Hello, ${required({ name })}`;
    return { greeting: { text, servedBy: ctx.bundle.version, length: text.length } };
  }

  async count({ from }: Greeter.CountParams): Promise<Greeter.CountResultsInit> {
    return { to: from + 1 };
  }
}

function required({ name }: Named): string {
  if (name === "") throw new RangeError("a name must not be empty");
  return name;
}
