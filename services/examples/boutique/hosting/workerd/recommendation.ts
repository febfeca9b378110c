import { type Needs, Recommendation } from "../../recommendation/src/logic";
import { entrypoint } from "./entrypoint";

type Env = { CATALOGUE: Needs["catalogue"] };

export const RecommendationService = entrypoint(Recommendation, (env: Env) => new Recommendation({ catalogue: env.CATALOGUE }));
