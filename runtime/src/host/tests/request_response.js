const r = new Request("http://h/a?b#c", { method: "post", body: "x", headers: { "X-Y": "1" } });
equal([r.method, r.url, r.headers.get("x-y"), r.headers.get("content-type"), r.bodyUsed], ["POST", "http://h/a?b#c", "1", "text/plain;charset=UTF-8", false]);
const again = new Request(r, { method: "PUT" });
equal([again.method, r.bodyUsed, await again.text()], ["PUT", true, "x"]);
equal(new Request(new URL("http://h/u")).url, "http://h/u");
equal(new Request("http://h/", { method: "patch" }).method, "patch", "only the usual methods are upper-cased");
throws(() => new Request("/relative"), "TypeError", "absolute");
throws(() => new Request("http://h/", { body: "x" }), "TypeError", "GET");
throws(() => new Request("http://h/", { method: "TRACE" }), "TypeError", "TRACE");
throws(() => new Request("http://u:p@h/"), "TypeError", "credentials");
const controller = new AbortController();
const cancelable = new Request("http://h/", { signal: controller.signal });
controller.abort("stop");
equal([cancelable.signal.aborted, cancelable.signal.reason], [true, "stop"]);
const copy = cancelable.clone();
equal(copy.signal.aborted, true);

const incoming = internals.createRequest("GET", "http://h/a b?q=\u00e4", ["host", "h", "accept", "a"], null, null);
equal([incoming.url, incoming.method, incoming.headers.get("host"), incoming.body, incoming.signal.aborted], ["http://h/a%20b?q=%C3%A4", "GET", "h", null, false]);
assert(incoming instanceof Request);
const signal = internals.newSignal();
const watched = internals.createRequest("GET", "http://h/", [], null, signal);
internals.signalAbort(signal, new DOMException("gone", "AbortError"));
equal(watched.signal.reason.message, "gone");

const s = new Response("b", { status: 201, statusText: "Made", headers: { a: "1" } });
equal([s.status, s.ok, s.statusText, s.type, s.url, s.redirected], [201, true, "Made", "default", "", false]);
equal({ ...internals.readResponse(s) }, { status: 201, statusText: "Made", headers: ["a", "1", "content-type", "text/plain;charset=UTF-8"], body: new Uint8Array([98]) });
throws(() => internals.readResponse(s), "TypeError", "read already");
equal(internals.readResponse(new Response(null, { status: 204 })).body, null);
for (const wrong of [undefined, null, "text", {}, [], Promise.resolve(s), new Request("http://h/")]) {
  throws(() => internals.readResponse(wrong), "TypeError", "Response.json");
}
throws(() => internals.readResponse(Response.error()), "TypeError", "Response.error()");
throws(() => new Response("x", { status: 204 }), "TypeError", "204");
throws(() => new Response("", { status: 99 }), "RangeError", "200 to 599");
throws(() => new Response("", { statusText: "a\nb" }), "TypeError", "statusText");
const json = Response.json({ a: 1 }, { status: 418, headers: { "content-type": "application/problem+json" } });
equal([json.status, json.headers.get("content-type"), await json.text()], [418, "application/problem+json", '{"a":1}']);
throws(() => Response.json(undefined), "TypeError", "JSON");
const redirect = Response.redirect("http://h/to", 307);
equal([redirect.status, redirect.headers.get("location")], [307, "http://h/to"]);
throws(() => Response.redirect("http://h/", 200), "RangeError", "redirect");
await rejects(fetch("http://h/"), "TypeError", "must grant");
equal(Object.prototype.toString.call(json), "[object Response]");
assert(Object.keys(Response.prototype).includes("headers"), "members are enumerable, as Web IDL has it");
assert(!Object.keys(globalThis).includes("Response"), "globals are not enumerable");
