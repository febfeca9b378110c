import { Catalogue } from "../../catalogue/src/logic";
import { entrypoint } from "./entrypoint";

export const CatalogueService = entrypoint(Catalogue, () => new Catalogue());
