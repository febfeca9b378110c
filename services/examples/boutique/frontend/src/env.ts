// What this service is given: its imports and its settings.
import type { Auth } from "isolith:schema/auth";
import type { Cart } from "isolith:schema/cart";
import type { Catalog } from "isolith:schema/catalog";

export interface Env {
  readonly AUTH: Auth.Client;
  readonly CATALOG: Catalog.Client;
  readonly CART: Cart.Client;
  readonly SHOP_NAME: string;
  readonly PAYMENT_DELAY_MS: string;
}
