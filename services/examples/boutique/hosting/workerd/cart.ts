import { Cart, type Needs } from "../../cart/src/logic";
import { entrypoint } from "./entrypoint";

export const CartService = entrypoint(Cart, (env: { AUTH: Needs["auth"] }) => new Cart({ auth: env.AUTH }));
