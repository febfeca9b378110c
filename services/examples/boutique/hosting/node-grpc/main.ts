// One service in a Node process of its own: `node main.mjs SERVICE`.
import type { Needs as CartNeeds } from "../../cart/src/logic";
import type { Needs as CheckoutNeeds } from "../../checkout/src/logic";
import type { Needs as FrontendNeeds } from "../../frontend/src/needs";
import type { Needs as RecommendationNeeds } from "../../recommendation/src/logic";
import { connect, serve } from "./rpc";

/** A process loads its own service's code alone. */
const START: Record<string, () => Promise<void>> = {
  async ads() {
    const { Ads } = await import("../../ads/src/logic");
    serve("Ads", new Ads());
  },
  async auth() {
    const { Auth } = await import("../../auth/src/logic");
    serve("Auth", new Auth(process.env));
  },
  async cart() {
    const { Cart } = await import("../../cart/src/logic");
    serve("Cart", new Cart(needs<CartNeeds>("auth")));
  },
  async catalogue() {
    const { Catalogue } = await import("../../catalogue/src/logic");
    serve("Catalogue", new Catalogue());
  },
  async checkout() {
    const { Checkout } = await import("../../checkout/src/logic");
    const others = needs<CheckoutNeeds>("cart", "catalogue", "currency", "payment", "shipping", "email");
    serve("Checkout", new Checkout(others));
  },
  async currency() {
    const { Currency } = await import("../../currency/src/logic");
    serve("Currency", new Currency());
  },
  async email() {
    const { Email } = await import("../../email/src/logic");
    serve("Email", new Email());
  },
  async payment() {
    const { Payment } = await import("../../payment/src/logic");
    serve("Payment", new Payment());
  },
  async recommendation() {
    const { Recommendation } = await import("../../recommendation/src/logic");
    serve("Recommendation", new Recommendation(needs<RecommendationNeeds>("catalogue")));
  },
  async shipping() {
    const { Shipping } = await import("../../shipping/src/logic");
    serve("Shipping", new Shipping());
  },
  async frontend() {
    const { Frontend } = await import("../../frontend/src/logic");
    const { listen } = await import("./http");
    const others = needs<FrontendNeeds>(
      "auth", "catalogue", "cart", "checkout", "currency", "shipping", "recommendation", "ads",
    );
    listen(new Frontend(others, process.env.SHOP_NAME ?? "Corner & Kiln"));
  },
};

function needs<T>(...services: string[]): T {
  const name = (service: string) => service[0]!.toUpperCase() + service.slice(1);
  return Object.fromEntries(services.map((service) => [service, connect(name(service))])) as T;
}

await START[process.argv[2] ?? ""]!();
