import type { Context } from "isolith:schema";
import type { Auth } from "isolith:schema/auth";

export class AuthService implements Auth.Server {
  async who({ pauseMs }: Auth.WhoParams, { bundle }: Context) {
    if (pauseMs > 0) await new Promise((done) => setTimeout(done, pauseMs));
    return { who: `${bundle.service}@${bundle.version} ${bundle.digest}` };
  }
}
