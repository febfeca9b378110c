const text = "h\u00e9llo";
const bytes = new TextEncoder().encode(text);
equal(await new Response(text).text(), text);
equal(await new Response(bytes).text(), text);
equal(await new Response(bytes.buffer).bytes(), bytes);
equal(new Uint8Array(await new Response(new DataView(bytes.buffer, 1)).arrayBuffer()), bytes.slice(1));
equal(await Response.json({ a: [1, "\ud800"] }).json(), { a: [1, "\ud800"] });
await rejects(new Response("{").json(), "SyntaxError");
equal(await new Response().text(), "");
equal(new Response().body, null);
const mine = new Uint8Array([1]);
const kept = new Response(mine);
mine[0] = 2;
equal(await kept.bytes(), new Uint8Array([1]), "a body is a copy of the bytes given");

const once = new Response("x");
await once.text();
equal(once.bodyUsed, true);
await rejects(once.text(), "TypeError", "read already");
throws(() => once.clone(), "TypeError", "read already");

const stream = () => new ReadableStream({ start(c) { c.enqueue(bytes.slice(0, 2)); c.enqueue(bytes.slice(2)); c.close(); } });
equal(await new Response(stream()).text(), text);
await rejects(new Response(new ReadableStream({ start(c) { c.enqueue("text"); } })).text(), "TypeError", "TextEncoderStream");
await rejects(new Response(new ReadableStream({ pull() { throw new RangeError("source"); } })).text(), "RangeError", "source");
const locked = stream();
locked.getReader();
throws(() => new Response(locked), "TypeError", "locked");

for (const original of [new Response(text), new Response(stream())]) {
  const copy = original.clone();
  equal([await original.text(), await copy.text()], [text, text]);
}
const shared = new Response(bytes);
const twin = shared.clone();
(await shared.bytes())[0] = 0;
equal(await twin.text(), text, "a clone's bytes are its own");
const streamed = new Response(text);
equal(await collect(streamed.body.pipeThrough(new TextDecoderStream())), [text]);
equal(streamed.bodyUsed, true);

const params = new Response(new URLSearchParams({ a: "1", b: "\u00fc" }));
equal(params.headers.get("content-type"), "application/x-www-form-urlencoded;charset=UTF-8");
const form = await params.formData();
equal([...form], [["a", "1"], ["b", "\u00fc"]]);
const sent = new FormData();
sent.append("field", "value\r\n--x");
sent.append("empty", "");
sent.append("file", new File([new Uint8Array([0, 13, 10, 255])], 'na"me.bin', { type: "application/x-test" }));
const multi = new Response(sent);
assert(multi.headers.get("content-type").startsWith("multipart/form-data; boundary="));
const got = await multi.formData();
equal([got.get("field"), got.get("empty")], ["value\r\n--x", ""]);
const file = got.get("file");
equal([file instanceof File, file.name, file.type, await file.bytes()], [true, 'na"me.bin', "application/x-test", new Uint8Array([0, 13, 10, 255])]);
await rejects(new Response("x", { headers: { "content-type": "multipart/form-data; boundary=b" } }).formData(), "TypeError", "not valid");
await rejects(new Response("x").formData(), "TypeError", "text/plain");

const blob = new Blob(["a", new Uint8Array([98]), new Blob(["c"])], { type: "Text/Plain" });
equal([blob.size, blob.type, await blob.text(), await blob.slice(1, -1).text(), await collect(blob.stream())], [3, "text/plain", "abc", "b", [new Uint8Array([97, 98, 99])]]);
equal((await new Response(blob).blob()).type, "text/plain");

// A body that arrives piece by piece, read by the service; and one that it sends, read by us.
const pieces = [bytes.slice(0, 1), bytes.slice(1), null];
let canceled;
const incoming = () => internals.createBodyStream(async () => pieces.shift(), (reason) => { canceled = reason; });
const post = internals.createRequest("POST", "http://h/p", ["content-type", "text/plain"], incoming(), null);
equal(await post.text(), text);
const stopped = internals.createRequest("POST", "http://h/p", [], incoming(), null);
await stopped.body.cancel("enough");
equal(canceled, "enough");
const out = [];
const { body } = internals.readResponse(new Response(stream()));
await new Promise((resolve, reject) => {
  const pump = internals.pumpBody(body, (chunk) => { out.push(...chunk); pump.pull(); }, resolve, reject);
  pump.pull();
});
equal(new Uint8Array(out), bytes);
