const assert = (ok, what = "assertion") => { if (!ok) throw new Error(`failed: ${what}`); };
const show = (v) => typeof v === "bigint" ? `${v}n` : JSON.stringify(v, (k, x) => x === undefined ? "<undefined>" : typeof x === "bigint" ? `${x}n` : ArrayBuffer.isView(x) ? [...x] : x);
const equal = (a, b, what = "") => { if (!Object.is(a, b) && show(a) !== show(b)) throw new Error(`${what} got ${show(a)}, wanted ${show(b)}`); };
const throws = (run, name, text = "") => { let error; try { run(); } catch (e) { error = e; } assert(error, `nothing thrown, wanted ${name} ${text}`); equal(error.name, name); assert(`${error.message}`.includes(text), `message "${error.message}" lacks "${text}"`); };
const rejects = async (promise, name, text = "") => { let error; try { await promise; } catch (e) { error = e; } assert(error, `nothing rejected, wanted ${name} ${text}`); equal(error.name, name); assert(`${error.message}`.includes(text), `message "${error.message}" lacks "${text}"`); };
const collect = async (stream) => { const out = []; for await (const chunk of stream) out.push(chunk); return out; };
