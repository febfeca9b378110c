// Outside of a firing timer, the runtime hears of each earlier due time.
const due = [];
internals.setTimerScheduler((at) => due.push(at));
const ids = [setTimeout(() => {}, 50), setTimeout(() => {}, 20), setTimeout(() => {}, 90)];
equal(due.length, 2, "the scheduler hears of earlier times only");
assert(due[1] < due[0]);
ids.forEach(clearTimeout);

internals.setTimerScheduler(() => {});

const order = [];
await new Promise((resolve) => {
  setTimeout(() => order.push("c"), 12);
  setTimeout((a, b) => order.push(a + b), 1, "a", "1");
  const gone = setTimeout(() => order.push("never"), 2);
  setTimeout(() => { order.push("b"); Promise.resolve().then(() => order.push("b's microtask")); }, 5);
  setTimeout(() => order.push("after b"), 5);
  setTimeout(resolve, 15);
  clearTimeout(gone);
  clearTimeout(undefined);
});
equal(order, ["a1", "b", "b's microtask", "after b", "c"]);

let ticks = 0;
await new Promise((resolve) => {
  const id = setInterval(() => { if (++ticks === 3) { clearInterval(id); resolve(); } }, 1);
});
equal(ticks, 3);
equal(internals.timerCount(), 0);

// A thrown error reaches the reporter and no other timer.
const errors = [];
internals.setErrorReporter((error) => errors.push(error.message));
let ran = false;
await new Promise((resolve) => {
  setTimeout(() => { throw new Error("from a timer"); }, 1);
  setTimeout(() => { ran = true; resolve(); }, 2);
});
queueMicrotask(() => { throw new Error("from a microtask"); });
await null;
equal([errors, ran], [["from a timer", "from a microtask"], true]);
throws(() => setTimeout("code"), "TypeError", "function");

// The async context of the caller is there in the callback, whoever is active when it fires.
let context = "one";
internals.setContinuationAccess(() => context, (value) => { context = value; });
const contexts = [];
const both = Promise.all([new Promise((r) => setTimeout(() => { contexts.push(context); r(); }, 3)), (context = "two", new Promise((r) => setTimeout(() => { contexts.push(context); r(); }, 1)))]);
context = "outside";
await both;
equal([contexts, context], [["two", "one"], "outside"]);

// What a finished request left behind is dropped by its context.
context = "gone";
setTimeout(() => errors.push("must not run"), 1);
setInterval(() => errors.push("must not run"), 1);
context = "outside";
equal(internals.cancelTimers((c) => c === "gone"), 2);

// Many timers set and cleared in any order leave the heap in order.
const pending = [];
let last = -1;
let fired = 0;
await new Promise((resolve) => {
  for (let i = 0; i < 400; i++) {
    const delay = (i * 37) % 19 + 1;
    pending.push(setTimeout(() => { assert(performance.now() >= last); last = performance.now(); if (++fired === 200) resolve(); }, delay));
  }
  for (let i = 0; i < 400; i += 2) clearTimeout(pending[(i * 7 + 1) % 400]);
});
equal([fired, internals.timerCount()], [200, 0]);

// A setter that a service has put on Array.prototype is given no timer.
const stolen = [];
Object.defineProperty(Array.prototype, "0", { configurable: true, set(value) { stolen.length++; } });
clearTimeout(setTimeout(() => {}, 60000));
delete Array.prototype[0];
equal(stolen.length, 0);

// What was ended anywhere leaves timers that fire, each once and in order.
const mended = [];
await new Promise((resolve) => {
  for (const delay of [3, 1, 2, 4]) setTimeout(() => { if (mended.push(delay) === 4) resolve(); }, delay);
  internals.mendTimers();
});
equal([mended, internals.timerCount()], [[1, 2, 3, 4], 0]);
throws(() => { for (let i = 0; i < 10001; i++) setTimeout(() => {}, 60000); }, "QuotaExceededError", "10000");
