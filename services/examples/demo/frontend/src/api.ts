// The JSON API.
import { linesIn, priced } from "./cart";
import { AddInput, CheckoutInput, LoginInput, SearchInput, SetInput, body, query } from "./input";
import { authorise } from "./payment";
import { Problem } from "./problem";
import type { Call } from "./router";
import { type Lines, forgetLines, keepLines, keepSession, linesOf, signedIn, tokenOf } from "./session";

export async function listProducts({ url, env }: Call): Promise<Response> {
  return Response.json(await search(env, query(url, SearchInput)));
}

export async function search(env: Env, { q, category, sort, page, pageSize }: SearchInput) {
  const { results } = await env.CATALOG.search({ query: q, category, sort, page, pageSize });
  return results.toObject();
}

export async function showProduct({ env, path: [id = ""] }: Call): Promise<Response> {
  const { lookup } = await env.CATALOG.product({ id });
  if (!lookup.product) throw new Problem(404, "There is no such product", { productId: id });
  return Response.json(lookup.product.toObject());
}

export async function exportProducts({ env }: Call): Promise<Response> {
  const { csv } = await env.CATALOG.exportCsv();
  // A message's bytes are never shared memory, which a response could not take.
  return new Response(csv, { headers: { "content-type": "text/csv; charset=utf-8" } });
}

export async function login({ request, env }: Call): Promise<Response> {
  const { login } = await env.AUTH.login(await body(request, LoginInput));
  if (!login.granted) throw new Problem(401, "User and password do not fit", { reason: login.refused });
  const { token, expiresInSeconds, user } = login.granted.toObject();
  return Response.json(
    { token, expiresInSeconds, user, servedBy: login.servedBy },
    { headers: { "set-cookie": keepSession(request, token, expiresInSeconds) } },
  );
}

export async function me({ request, env }: Call): Promise<Response> {
  return Response.json(await signedIn(env, tokenOf(request)));
}

export async function showCart({ request, env }: Call): Promise<Response> {
  const { cart } = await priced(env, tokenOf(request), await linesOf(request, env));
  return Response.json(cart);
}

export async function addToCart({ request, env }: Call): Promise<Response> {
  const add = await body(request, AddInput);
  return changeCart(request, env, { add });
}

export async function setInCart({ request, env }: Call): Promise<Response> {
  const set = await body(request, SetInput);
  return changeCart(request, env, { set });
}

async function changeCart(
  request: Request,
  env: Env,
  change: { add: Lines[number] } | { set: Lines[number] },
): Promise<Response> {
  const { cart } = await priced(env, tokenOf(request), await linesOf(request, env), change);
  return Response.json(cart, { headers: { "set-cookie": await keepLines(request, env, linesIn(cart)) } });
}

/**
 * Buys what is in the cart. Whoever asks is checked twice: before the bank is asked, which may
 * take long, and again before the order is placed. The reply says which version of auth answered
 * each time, to the cart service as well; within one request that is always the same one.
 */
export async function checkout({ request, url, env }: Call): Promise<Response> {
  const { delayMs } = query(url, CheckoutInput);
  const token = tokenOf(request);
  const before = await signedIn(env, token);
  const { cart, checkedBy } = await priced(env, token, await linesOf(request, env));

  const orderId = crypto.randomUUID();
  await authorise(orderId, cart.totalCents, delayMs ?? Number(env.PAYMENT_DELAY_MS));

  const after = await signedIn(env, token);
  const order = {
    orderId,
    user: after.user.id,
    items: cart.items,
    totalCents: cart.totalCents,
    authorizedBy: before.servedBy,
    cartCheckedBy: checkedBy,
    confirmedBy: after.servedBy,
  };
  return Response.json(order, { status: 201, headers: { "set-cookie": forgetLines(request) } });
}

/** Which bundle this is, and whether the built-ins that catalog measures are untouched here. */
export async function about({ env, ctx }: Call): Promise<Response> {
  const { statistics } = await env.CATALOG.statistics();
  const isNative = (method: unknown) => /\[native code\]/.test(Function.prototype.toString.call(method));
  return Response.json({
    bundle: ctx.bundle,
    nativeHere: { "Array.prototype.map": isNative(Array.prototype.map), "JSON.parse": isNative(JSON.parse) },
    measuredInCatalog: Array.from(statistics.builtins, ({ name, calls }) => ({ name, calls: Number(calls) })),
    products: statistics.products,
  });
}
