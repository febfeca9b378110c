import type { Catalogue } from "isolith:schema/catalogue";
import { Catalogue as Logic } from "./logic";

/** The logic as it is: its methods have the schema's parameters and results. */
export class CatalogueService extends Logic implements Catalogue.Server {}
