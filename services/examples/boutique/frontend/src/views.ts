// The pages as HTML.
import { type Html, html } from "./html";
import type { Money, Order, Product } from "./needs";

/** What surrounds each page. */
export interface Frame {
  shopName: string;
  currency: string;
  codes: string[];
  /** How many are in the cart. */
  pieces: number;
  /** Where a form that changes something comes back to. */
  here: string;
}

export interface PricedLine {
  product: Product;
  quantity: number;
  amount: Money;
}

interface CartView {
  lines: PricedLine[];
  shipping: Money;
  days: number;
  total: Money;
}

interface Ad {
  text: string;
  productId: string;
}

export function productsPage(frame: Frame, products: { product: Product; price: Money }[], { ad, query }: { ad?: Ad; query?: string }): string {
  const title = query === undefined ? "Made by few, kept by many" : `Found for “${query}”`;
  return layout(
    frame,
    title,
    html`<h1>${title}</h1>
${ad && banner(ad)}
${products.length === 0 ? html`<p>Nothing. Try a shorter word.</p>` : undefined}
<ul class="grid">${products.map(({ product, price }) => card(product, html`<span class="price">${money(price)}</span>`))}</ul>`,
  );
}

export function productPage(frame: Frame, product: Product, price: Money, recommended: Product[], ad: Ad): string {
  return layout(
    frame,
    product.name,
    html`<article class="product">
<img src="/pictures/${product.picture}.svg" alt="" width="400" height="400">
<div>
<h1>${product.name}</h1>
<p class="price">${money(price)}</p>
<p>${product.description}</p>
<form method="post" action="/cart">
<input type="hidden" name="productId" value="${product.id}">
<label>Quantity <input name="quantity" type="number" min="1" max="20" value="1"></label>
<button>Add to cart</button>
</form>
</div>
</article>
${alsoLike(recommended)}
${banner(ad)}`,
  );
}

export function cartPage(frame: Frame, cart: CartView, recommended: Product[], refused: string, form: URLSearchParams): string {
  if (cart.lines.length === 0) {
    const notice = refused === "" ? undefined : html`<p class="refused" role="alert">${refused}</p>`;
    return layout(frame, "Cart", html`<h1>Your cart is empty</h1>${notice}<p><a href="/">Back to the shelves</a></p>${alsoLike(recommended)}`);
  }
  const rows = cart.lines.map(
    ({ product, quantity, amount }) => html`<tr><td><a href="/product/${product.id}">${product.name}</a></td><td>${quantity}</td><td>${money(amount)}</td></tr>`,
  );
  return layout(
    frame,
    "Cart",
    html`<h1>Your cart</h1>
<div class="columns">
<section>
${table(rows, `Shipping, within ${cart.days} days`, cart.shipping, cart.total)}
<form method="post" action="/cart/empty"><button class="quiet">Empty the cart</button></form>
</section>
${checkoutForm(refused, form)}
</div>
${alsoLike(recommended)}`,
  );
}

export function orderPage(frame: Frame, order: Order, email: string, recommended: Product[]): string {
  const rows = Array.from(
    order.lines,
    ({ name, quantity, amount }) => html`<tr><td>${name}</td><td>${quantity}</td><td>${money(amount)}</td></tr>`,
  );
  return layout(
    frame,
    "Thank you",
    html`<h1>Thank you</h1>
<p>Your order <strong id="order">${order.id}</strong> is on its way as parcel <strong id="tracking">${order.tracking}</strong>.
A confirmation goes to ${email}.</p>
${table(rows, "Shipping", order.shipping, order.total)}
${alsoLike(recommended)}`,
  );
}

export function problemPage(frame: Frame, text: string): string {
  return layout(frame, "Oh", html`<h1>${text}</h1><p><a href="/">Back to the shelves</a></p>`);
}

function layout({ shopName, currency, codes, pieces, here }: Frame, title: string, main: Html): string {
  const options = codes.map((code) =>
    code === currency ? html`<option selected>${code}</option>` : html`<option>${code}</option>`,
  );
  return html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · ${shopName}</title>
<link rel="stylesheet" href="/shop.css">
<header>
<a class="name" href="/">${shopName}</a>
<form action="/search" role="search"><input name="q" type="search" placeholder="Search" aria-label="Search"></form>
<form method="post" action="/currency"><input type="hidden" name="back" value="${here}">
<select name="currency" aria-label="Currency">${options}</select> <button class="quiet">Set</button></form>
<a class="cart" href="/cart">Cart <b>${pieces}</b></a>
</header>
<main>
${main}
</main>
<footer>${shopName} is an example. Nothing is sold, charged, sent or mailed.</footer>
</html>
`.text;
}

function card({ id, name, picture }: Product, below?: Html): Html {
  return html`<li><a href="/product/${id}"><img src="/pictures/${picture}.svg" alt="" width="400" height="400" loading="lazy"><span>${name}</span></a>${below}</li>`;
}

function alsoLike(products: Product[]): Html | undefined {
  if (products.length === 0) return undefined;
  return html`<h2>You may also like</h2><ul class="grid small">${products.map((product) => card(product))}</ul>`;
}

function banner({ text, productId }: Ad): Html {
  return html`<p class="ad"><small>Advertisement</small> <a href="/product/${productId}">${text}</a></p>`;
}

function table(rows: Html[], shippingLabel: string, shipping: Money, total: Money): Html {
  return html`<table>
<thead><tr><th>What</th><th>Pieces</th><th>Price</th></tr></thead>
<tbody>${rows}</tbody>
<tfoot><tr class="shipping"><td colspan="2">${shippingLabel}</td><td>${money(shipping)}</td></tr>
<tr class="total"><td colspan="2">Total</td><td>${money(total)}</td></tr></tfoot>
</table>`;
}

/** The form comes filled in, so that the example can be clicked through. */
function checkoutForm(refused: string, form: URLSearchParams): Html {
  const field = (label: string, name: string, example: string) =>
    html`<label>${label} <input name="${name}" value="${form.get(name) ?? example}" required></label>`;
  return html`<form class="checkout" method="post" action="/checkout">
<h2>Check out</h2>
${refused === "" ? undefined : html`<p class="refused" role="alert">${refused}</p>`}
${field("Mail", "email", "someone@example.com")}
${field("Name", "name", "Robin Vale")}
${field("Street", "street", "Lindenweg 12")}
${field("Postcode", "postcode", "20095")}
${field("City", "city", "Hamburg")}
${field("Country", "country", "DE")}
${field("Card number", "cardNumber", "4242 4242 4242 4242")}
<div class="row">${field("Month", "cardMonth", "12")}${field("Year", "cardYear", String(new Date().getFullYear() + 3))}${field("Code", "cardCode", "123")}</div>
<button>Place the order</button>
</form>`;
}

function money({ currency, minor, digits }: Money): string {
  return `${(minor / 10 ** digits).toFixed(digits)} ${currency}`;
}
