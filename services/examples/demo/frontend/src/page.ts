// The shop's one page: search, products, the cart.
import { search } from "./api";
import { type PricedCart, priced } from "./cart";
import { type Html, html } from "./html";
import { SearchInput, query } from "./input";
import type { Call } from "./router";
import { type SessionUser, linesOf, tokenOf, whoIs } from "./session";

const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'",
};

type Results = Awaited<ReturnType<typeof search>>;

export async function shopPage({ request, url, env }: Call): Promise<Response> {
  const input = query(url, SearchInput);
  const token = tokenOf(request);
  const [results, { categories }, { user }, lines] = await Promise.all([
    search(env, input),
    env.CATALOG.categories(),
    whoIs(env, token),
    linesOf(request, env),
  ]);
  const cart = user && (await priced(env, token, lines)).cart;
  const page = html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${env.SHOP_NAME}</title>
<link rel="stylesheet" href="/shop.css">
<script src="/shop.js" defer></script>
<header>
  <h1><a href="/">${env.SHOP_NAME}</a></h1>
  <form action="/" role="search">
    <input name="q" type="search" value="${input.q}" placeholder="Search" aria-label="Search">
    <select name="category" aria-label="Category">
      <option value="">Everything</option>
      ${Array.from(categories, ({ key, products }) => option(key, products, input.category))}
    </select>
    <button>Search</button>
  </form>
  ${user ? html`<p>Hello, ${user.name}</p>` : signIn()}
</header>
<main>
  <p class="count">${results.total} ${results.total === 1 ? "product" : "products"}</p>
  <ul class="products">${results.products.map((product) => card(product, user))}</ul>
  ${pager(url, results)}
</main>
${cart && summary(cart)}
</html>
`;
  return new Response(page.text, { headers: HEADERS });
}

function option(key: string, products: number, selected: string): Html {
  const label = `${key[0]?.toUpperCase()}${key.slice(1)} (${products})`;
  return key === selected
    ? html`<option value="${key}" selected>${label}</option>`
    : html`<option value="${key}">${label}</option>`;
}

function signIn(): Html {
  return html`<form data-api="/api/login">
    <input name="user" placeholder="User" aria-label="User" autocomplete="username" required>
    <input name="password" type="password" placeholder="Password" aria-label="Password" autocomplete="current-password" required>
    <button>Sign in</button>
  </form>`;
}

function card(product: Results["products"][number], user?: SessionUser): Html {
  return html`<li>
    <h2>${product.name}</h2>
    <p>${product.description}</p>
    <p class="price">${money(product.priceCents)}</p>
    ${user && html`<form data-api="/api/cart/items">
      <input type="hidden" name="productId" value="${product.id}">
      <button>Add to cart</button>
    </form>`}
  </li>`;
}

function pager(url: URL, { page, pages }: Results): Html {
  const link = (to: number, label: string) => {
    const parameters = new URLSearchParams(url.searchParams);
    parameters.set("page", String(to));
    return html`<a href="/?${parameters.toString()}">${label}</a>`;
  };
  return html`<nav>
    ${page > 1 ? link(page - 1, "Back") : undefined}
    <span>Page ${page} of ${pages}</span>
    ${page < pages ? link(page + 1, "More") : undefined}
  </nav>`;
}

function summary(cart: PricedCart): Html {
  if (cart.items === 0) return html`<aside><h2>Cart</h2><p>Nothing in it yet.</p></aside>`;
  return html`<aside>
  <h2>Cart</h2>
  <table>
    ${cart.lines.map((line) => html`<tr><td>${line.quantity}</td><td>${line.name}</td><td>${money(line.totalCents)}</td></tr>`)}
    <tr><td></td><td>Shipping</td><td>${cart.shippingCents === 0 ? "free" : money(cart.shippingCents)}</td></tr>
    <tr class="total"><td></td><td>Total</td><td>${money(cart.totalCents)}</td></tr>
  </table>
  <form data-api="/api/checkout"><button>Buy</button></form>
</aside>`;
}

function money(cents: number): string {
  return `$${(cents / 100).toFixed(2)}`;
}
