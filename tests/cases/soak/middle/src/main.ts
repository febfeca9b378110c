import type { Context } from "isolith:schema";
import type { Auth } from "isolith:schema/auth";
import type { Middle } from "isolith:schema/middle";

interface Env {
  AUTH: Auth.Client;
}

export class MiddleService implements Middle.Server {
  constructor(private env: Env) {}

  async ask({ pauseMs }: Middle.AskParams, { bundle }: Context) {
    const first = await this.env.AUTH.who({ pauseMs });
    await new Promise((done) => setTimeout(done, pauseMs));
    const [second, third] = await Promise.all([
      this.env.AUTH.who({ pauseMs }),
      this.env.AUTH.who({ pauseMs: 0 }),
    ]);
    const met = [first, second, third].map(({ who }) => who);
    return { who: `${bundle.service}@${bundle.version} ${bundle.digest}`, met };
  }
}
