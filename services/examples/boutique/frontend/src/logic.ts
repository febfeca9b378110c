// The shop's pages: which services each of them asks, and what a form does.
import { CheckoutForm } from "./forms";
import type { Line, Money, Needs, Product } from "./needs";
import { PICTURES } from "./pictures";
import { STYLE } from "./style";
import { type Frame, type PricedLine, cartPage, orderPage, productPage, productsPage, problemPage } from "./views";

/** A request, whatever server it came in by. */
export interface ShopRequest {
  method: string;
  /** Path and query. */
  target: string;
  /** The header, or nothing. */
  cookie: string;
  /** What a form sent, as it came. */
  form: string;
}

export interface ShopResponse {
  status: number;
  headers: [string, string][];
  body: string;
}

/** A request on its way to its page. */
interface Visit {
  query: string;
  form: string;
  /** Where to go on from here. */
  here: string;
  visitor: string;
  cart: string;
  currency: string;
  /** The currencies that there are. */
  codes: string[];
  /** Cookies to set with the answer. */
  cookies: string[];
}

const BASE = "USD";
const HOME_COUNTRY = "DE";
const MONTH_SECONDS = 30 * 24 * 60 * 60;
const PAGE_HEADERS: [string, string][] = [
  ["content-type", "text/html; charset=utf-8"],
  ["cache-control", "no-store"],
  ["content-security-policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'"],
];

export class Frontend {
  constructor(
    readonly needs: Needs,
    readonly shopName: string,
  ) {}

  async handle(request: ShopRequest): Promise<ShopResponse> {
    const [path, query] = split(request.target);
    const asset = assetAt(path);
    if (asset) return asset;
    const visit = await this.#visit(request, path, query);
    const route = `${request.method} ${path}`;
    if (route === "GET /") return this.#index(visit);
    if (route === "GET /search") return this.#search(visit);
    if (route === "GET /cart") return this.#cart(visit);
    if (route === "POST /cart") return this.#add(visit);
    if (route === "POST /cart/empty") return this.#empty(visit);
    if (route === "POST /checkout") return this.#checkout(visit);
    if (route === "POST /currency") return this.#setCurrency(visit);
    const product = /^GET \/product\/([a-z0-9-]{1,60})$/.exec(route);
    if (product) return this.#product(visit, product[1]!);
    return this.#problem(visit, 404, "There is nothing here.");
  }

  /** Who asks; somebody new gets a token to come back with. */
  async #visit({ method, cookie: header, form }: ShopRequest, path: string, query: string): Promise<Visit> {
    const { session = "", cart = "", currency: wanted = BASE } = cookiesOf(header);
    const [known, listed] = await Promise.all([
      session === "" ? { visitor: "" } : this.needs.auth.check({ token: session }),
      this.needs.currency.list({}),
    ]);
    const codes = [...listed.codes];
    const currency = codes.includes(wanted) ? wanted : BASE;
    const here = method === "GET" ? path : "/cart";
    const visit: Visit = { query, form, here, visitor: known.visitor, cart, currency, codes, cookies: [] };
    if (visit.visitor === "") {
      const { token, visitor } = await this.needs.auth.open({});
      visit.visitor = visitor;
      visit.cookies.push(cookie("session", token));
    }
    return visit;
  }

  async #index(visit: Visit): Promise<ShopResponse> {
    const [frame, { products }, ad] = await Promise.all([
      this.#frame(visit),
      this.needs.catalogue.list({}),
      this.needs.ads.pick({ categories: [] }),
    ]);
    return page(visit, 200, productsPage(frame, await this.#priced(visit, products), { ad }));
  }

  async #search(visit: Visit): Promise<ShopResponse> {
    const query = (new URLSearchParams(visit.query).get("q") ?? "").slice(0, 200);
    const [frame, { products }] = await Promise.all([this.#frame(visit), this.needs.catalogue.search({ query })]);
    return page(visit, 200, productsPage(frame, await this.#priced(visit, products), { query }));
  }

  async #product(visit: Visit, id: string): Promise<ShopResponse> {
    const { product } = await this.needs.catalogue.get({ id });
    if (product.id === "") return this.#problem(visit, 404, "We do not sell that.");
    const [frame, price, recommended, ad] = await Promise.all([
      this.#frame(visit),
      this.#convert(visit, product.priceCents),
      this.#recommended([id]),
      this.needs.ads.pick({ categories: [...product.categories] }),
    ]);
    return page(visit, 200, productPage(frame, product, price, recommended, ad));
  }

  async #cart(visit: Visit, refused = ""): Promise<ShopResponse> {
    const lines = await this.#linesOf(visit);
    const [frame, all, recommended, shipping] = await Promise.all([
      this.#frame(visit, lines),
      Promise.all(lines.map((line) => this.#pricedLine(visit, line))),
      this.#recommended(lines.map(({ productId }) => productId)),
      this.#quote(visit, piecesIn(lines)),
    ]);
    // What is no longer sold drops out, as it does from orders.
    const priced = all.filter(({ product }) => product.id !== "");
    const total = priced.reduce((sum, { amount }) => ({ ...sum, minor: sum.minor + amount.minor }), shipping.amount);
    const cart = { lines: priced, shipping: shipping.amount, days: shipping.days, total };
    const view = cartPage(frame, cart, recommended, refused, new URLSearchParams(visit.form));
    return page(visit, refused === "" ? 200 : 422, view);
  }

  async #add(visit: Visit): Promise<ShopResponse> {
    const form = new URLSearchParams(visit.form);
    const quantity = Number(form.get("quantity") ?? "1");
    const { product } = await this.needs.catalogue.get({ id: form.get("productId") ?? "" });
    if (product.id === "") return this.#problem(visit, 422, "We do not sell that.");
    if (!Number.isInteger(quantity) || quantity < 1 || quantity > 20) return this.#problem(visit, 422, "Between 1 and 20, please.");
    const { visitor, cart } = visit;
    const added = await this.needs.cart.add({ visitor, cart, productId: product.id, quantity });
    visit.cookies.push(cookie("cart", added.cart));
    return redirect(visit, "/cart");
  }

  async #empty(visit: Visit): Promise<ShopResponse> {
    const { cart } = await this.needs.cart.empty({ visitor: visit.visitor });
    visit.cookies.push(cookie("cart", cart));
    return redirect(visit, "/cart");
  }

  async #checkout(visit: Visit): Promise<ShopResponse> {
    const form = CheckoutForm.safeParse(Object.fromEntries(new URLSearchParams(visit.form)));
    if (!form.success) return this.#cart(visit, form.error.issues[0]!.message);
    const { visitor, cart, currency } = visit;
    const { email, address, card } = form.data;
    const placed = await this.needs.checkout.place({ visitor, cart, currency, email, address, card });
    if (placed.refused !== "") return this.#cart(visit, refusalText(placed.refused));
    visit.cookies.push(cookie("cart", placed.cart));
    const [frame, recommended] = await Promise.all([
      this.#frame(visit, []),
      this.#recommended(Array.from(placed.order.lines, ({ productId }) => productId)),
    ]);
    return page(visit, 200, orderPage(frame, placed.order, email, recommended));
  }

  async #setCurrency(visit: Visit): Promise<ShopResponse> {
    const form = new URLSearchParams(visit.form);
    const wanted = form.get("currency") ?? "";
    if (!visit.codes.includes(wanted)) return this.#problem(visit, 422, "That currency is not known here.");
    visit.cookies.push(cookie("currency", wanted));
    const back = form.get("back") ?? "/";
    return redirect(visit, /^\/[a-z]/.test(back) ? back : "/");
  }

  async #problem(visit: Visit, status: number, text: string): Promise<ShopResponse> {
    return page(visit, status, problemPage(await this.#frame(visit), text));
  }

  /** What surrounds each page. */
  async #frame(visit: Visit, lines?: Line[]): Promise<Frame> {
    const { currency, codes, here } = visit;
    const inCart = lines ?? (await this.#linesOf(visit));
    return { shopName: this.shopName, currency, codes, pieces: piecesIn(inCart), here };
  }

  async #linesOf({ visitor, cart }: Visit): Promise<Line[]> {
    const { lines } = await this.needs.cart.get({ visitor, cart });
    return Array.from(lines, ({ productId, quantity }) => ({ productId, quantity }));
  }

  #priced(visit: Visit, products: Iterable<Product>): Promise<{ product: Product; price: Money }[]> {
    return Promise.all(
      Array.from(products, async (product) => ({ product, price: await this.#convert(visit, product.priceCents) })),
    );
  }

  async #pricedLine(visit: Visit, { productId, quantity }: Line): Promise<PricedLine> {
    const { product } = await this.needs.catalogue.get({ id: productId });
    const one = await this.#convert(visit, product.priceCents);
    return { product, quantity, amount: { ...one, minor: one.minor * quantity } };
  }

  async #recommended(productIds: string[]): Promise<Product[]> {
    const recommended = await this.needs.recommendation.list({ productIds });
    return Promise.all(Array.from(recommended.productIds, async (id) => (await this.needs.catalogue.get({ id })).product));
  }

  async #quote(visit: Visit, pieces: number): Promise<{ amount: Money; days: number }> {
    const { cents, days } = await this.needs.shipping.quote({ country: HOME_COUNTRY, pieces });
    return { amount: await this.#convert(visit, cents), days };
  }

  async #convert(visit: Visit, cents: number): Promise<Money> {
    const { amount } = await this.needs.currency.convert({ currency: BASE, minor: cents, to: visit.currency });
    const { currency, minor, digits } = amount;
    return { currency, minor, digits };
  }
}

/** A target's path and query. */
function split(target: string): [path: string, query: string] {
  const mark = target.indexOf("?");
  return mark < 0 ? [target, ""] : [target.slice(0, mark), target.slice(mark + 1)];
}

function piecesIn(lines: Line[]): number {
  return lines.reduce((sum, { quantity }) => sum + quantity, 0);
}

function refusalText(refused: string): string {
  const texts: Record<string, string> = {
    empty: "There is nothing in your cart.",
    number: "That is no card number.",
    brand: "We do not take cards of that brand.",
    expired: "That card has expired.",
    code: "The security code does not fit the card.",
  };
  return texts[refused] ?? "Your payment was refused.";
}

function page({ cookies }: Visit, status: number, body: string): ShopResponse {
  const headers = cookies.length === 0 ? PAGE_HEADERS : [...PAGE_HEADERS, ...setCookies(cookies)];
  return { status, headers, body };
}

function redirect({ cookies }: Visit, location: string): ShopResponse {
  return { status: 303, headers: [["location", location], ...setCookies(cookies)], body: "" };
}

function setCookies(cookies: string[]): [string, string][] {
  return cookies.map((text) => ["set-cookie", text]);
}

/** A cookie to set; an empty value takes it away. */
function cookie(name: string, value: string): string {
  return `${name}=${value}; Path=/; Max-Age=${value === "" ? 0 : MONTH_SECONDS}; HttpOnly; SameSite=Lax`;
}

function cookiesOf(header: string): Record<string, string> {
  const cookies: Record<string, string> = {};
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals > 0) cookies[pair.slice(0, equals).trim()] = pair.slice(equals + 1).trim();
  }
  return cookies;
}

/** The shop's drawings and its style sheet. */
function assetAt(path: string): ShopResponse | undefined {
  const asset = (type: string, body: string): ShopResponse => ({
    status: 200,
    headers: [["content-type", type], ["cache-control", "max-age=3600"]],
    body,
  });
  if (path === "/shop.css") return asset("text/css; charset=utf-8", STYLE);
  const picture = PICTURES.get(/^\/pictures\/([a-z]+)\.svg$/.exec(path)?.[1] ?? "");
  return picture === undefined ? undefined : asset("image/svg+xml", picture);
}
