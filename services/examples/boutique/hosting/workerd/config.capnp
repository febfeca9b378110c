# All services in one workerd, wired with service bindings. Build first: `npm run build`.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "frontend", worker = .frontend),
    (name = "ads", worker = .ads),
    (name = "auth", worker = .auth),
    (name = "cart", worker = .cart),
    (name = "catalogue", worker = .catalogue),
    (name = "checkout", worker = .checkout),
    (name = "currency", worker = .currency),
    (name = "email", worker = .email),
    (name = "payment", worker = .payment),
    (name = "recommendation", worker = .recommendation),
    (name = "shipping", worker = .shipping),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8080", http = (), service = "frontend")],
);

const date :Text = "2026-11-01";

const frontend :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/frontend.js")],
  bindings = [
    (name = "AUTH", service = (name = "auth", entrypoint = "AuthService")),
    (name = "CATALOGUE", service = (name = "catalogue", entrypoint = "CatalogueService")),
    (name = "CART", service = (name = "cart", entrypoint = "CartService")),
    (name = "CHECKOUT", service = (name = "checkout", entrypoint = "CheckoutService")),
    (name = "CURRENCY", service = (name = "currency", entrypoint = "CurrencyService")),
    (name = "SHIPPING", service = (name = "shipping", entrypoint = "ShippingService")),
    (name = "RECOMMENDATION", service = (name = "recommendation", entrypoint = "RecommendationService")),
    (name = "ADS", service = (name = "ads", entrypoint = "AdsService")),
    (name = "SHOP_NAME", text = "Corner & Kiln"),
  ],
);

const ads :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/ads.js")],
);

const auth :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/auth.js")],
  bindings = [
    (name = "AUTH_SECRET", text = "an example only: put your own 32 random characters here"),
  ],
);

const cart :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/cart.js")],
  bindings = [
    (name = "AUTH", service = (name = "auth", entrypoint = "AuthService")),
  ],
);

const catalogue :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/catalogue.js")],
);

const checkout :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/checkout.js")],
  bindings = [
    (name = "CART", service = (name = "cart", entrypoint = "CartService")),
    (name = "CATALOGUE", service = (name = "catalogue", entrypoint = "CatalogueService")),
    (name = "CURRENCY", service = (name = "currency", entrypoint = "CurrencyService")),
    (name = "PAYMENT", service = (name = "payment", entrypoint = "PaymentService")),
    (name = "SHIPPING", service = (name = "shipping", entrypoint = "ShippingService")),
    (name = "EMAIL", service = (name = "email", entrypoint = "EmailService")),
  ],
);

const currency :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/currency.js")],
);

const email :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/email.js")],
);

const payment :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/payment.js")],
);

const recommendation :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/recommendation.js")],
  bindings = [
    (name = "CATALOGUE", service = (name = "catalogue", entrypoint = "CatalogueService")),
  ],
);

const shipping :Workerd.Worker = (
  compatibilityDate = .date,
  modules = [(name = "main", esModule = embed "../dist/workerd/shipping.js")],
);
