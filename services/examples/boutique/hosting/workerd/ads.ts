import { Ads } from "../../ads/src/logic";
import { entrypoint } from "./entrypoint";

export const AdsService = entrypoint(Ads, () => new Ads());
