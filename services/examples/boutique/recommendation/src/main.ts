import type { Recommendation } from "isolith:schema/recommendation";
import { Recommendation as Logic } from "./logic";

export class RecommendationService extends Logic implements Recommendation.Server {
  constructor(env: Env) {
    super({ catalogue: env.CATALOGUE });
  }
}
