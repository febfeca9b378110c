// setTimeout and setInterval over one binary heap. The runtime owns the clock: it is told the
// earliest due time and calls fireTimers when that has come.
(function (host, p, internals) {
  "use strict";
  const MAX_TIMERS = 10000;
  // Past so many, others on the thread come first.
  const MAX_FIRED_PER_TURN = 64;
  const MAX_DELAY_MS = 2147483647;
  const { ArrayPrototypePop, ArrayPrototypePush, Map, MapPrototypeDelete, MapPrototypeForEach,
    MapPrototypeGet, MapPrototypeGetSize, MapPrototypeSet, ObjectSetPrototypeOf, ReflectApply,
    TypeError } = p;

  let getContext = host.getContinuation;
  let setContext = host.setContinuation;
  let schedule = internals.noop;
  // Hears of it when somebody asks for more timers than there may be.
  let refused = internals.noop;
  let firing = false;
  let nextId = 1;
  let nextOrder = 1;
  const Timer = internals.record(class {
    constructor(callback, args, interval, due) {
      this.id = nextId++;
      this.callback = callback;
      this.args = args;
      this.context = getContext();
      this.interval = interval;
      this.due = due;
      this.order = 0;
      this.at = -1;
    }
  });
  // Without a prototype, on which a service could have put a setter that is given a timer, and
  // with it the async context.
  const heap = ObjectSetPrototypeOf([], null);
  const byId = new Map();

  const before = (a, b) => a.due < b.due || (a.due === b.due && a.order < b.order);
  const place = (timer, at) => {
    heap[at] = timer;
    timer.at = at;
  };
  const up = (timer, at) => {
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(timer, heap[parent])) break;
      place(heap[parent], at);
      at = parent;
    }
    place(timer, at);
  };
  const down = (timer, at) => {
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], timer)) break;
      place(heap[child], at);
      at = child;
    }
    place(timer, at);
  };
  const insert = (timer) => {
    timer.order = nextOrder++;
    ArrayPrototypePush(heap, timer);
    up(timer, heap.length - 1);
    if (timer.at === 0 && !firing) schedule(timer.due);
  };
  const remove = (timer) => {
    const at = timer.at;
    if (at < 0) return;
    timer.at = -1;
    const last = ArrayPrototypePop(heap);
    if (last === timer) return;
    if (at > 0 && before(last, heap[(at - 1) >> 1])) up(last, at);
    else down(last, at);
  };

  const start = (callback, delay, repeat, args) => {
    if (MapPrototypeGetSize(byId) >= MAX_TIMERS) {
      refused();
      throw new internals.DOMException(
        `more than ${MAX_TIMERS} timers are waiting; clear some first`, "QuotaExceededError");
    }
    delay = +delay;
    if (!(delay >= 1)) delay = 1;
    else if (delay > MAX_DELAY_MS) delay = 1;
    const timer = new Timer(callback, args, repeat ? delay : 0, host.clock() + delay);
    MapPrototypeSet(byId, timer.id, timer);
    insert(timer);
    return timer.id;
  };
  const clear = (id) => {
    id = +id;
    const timer = MapPrototypeGet(byId, id);
    if (timer === undefined) return;
    MapPrototypeDelete(byId, id);
    remove(timer);
  };
  const check = (args, what) => {
    internals.need(args, 1, what);
    if (typeof args[0] !== "function") {
      throw new TypeError(`${what} needs a function; code as text is not supported`);
    }
  };

  internals.setTimer = (callback, delay) => start(callback, delay, false, []);
  internals.clearTimer = clear;
  internals.setTimerScheduler = (scheduler, onRefused = internals.noop) => {
    schedule = scheduler;
    refused = onRefused;
  };
  internals.setContinuationAccess = (get, set) => {
    getContext = get;
    setContext = set;
  };
  internals.timerCount = () => MapPrototypeGetSize(byId);
  // Drops the timers whose async context satisfies `ended`: what a finished request left behind.
  internals.cancelTimers = (ended) => {
    let kept = 0;
    const count = heap.length;
    for (let i = 0; i < count; i++) {
      const timer = heap[i];
      if (ended(timer.context)) {
        MapPrototypeDelete(byId, timer.id);
        timer.at = -1;
      } else {
        place(timer, kept++);
      }
    }
    heap.length = kept;
    for (let i = (kept >> 1) - 1; i >= 0; i--) down(heap[i], i);
    return count - kept;
  };

  // The host ended what ran here, maybe in the middle of a change: the heap is made anew.
  internals.mendTimers = () => {
    firing = false;
    heap.length = 0;
    MapPrototypeForEach(byId, (timer) => {
      timer.at = heap.length;
      ArrayPrototypePush(heap, timer);
    });
    for (let i = (heap.length >> 1) - 1; i >= 0; i--) down(heap[i], i);
  };

  // Runs what is due at `now`, or the first of it, each in the async context in which it was set,
  // with a microtask checkpoint after each. Returns when to go on.
  internals.fireTimers = (now) => {
    firing = true;
    try {
      for (let left = MAX_FIRED_PER_TURN; left > 0 && heap.length > 0 && heap[0].due <= now; left--) {
        const timer = heap[0];
        remove(timer);
        if (timer.interval === 0) MapPrototypeDelete(byId, timer.id);
        const outside = getContext();
        setContext(timer.context);
        try {
          ReflectApply(timer.callback, globalThis, timer.args);
        } catch (error) {
          internals.reportError(error);
        } finally {
          setContext(outside);
        }
        if (timer.interval > 0 && MapPrototypeGet(byId, timer.id) === timer) {
          timer.due = host.clock() + timer.interval;
          insert(timer);
        }
        host.microtasks();
      }
    } finally {
      firing = false;
    }
    return heap.length > 0 ? heap[0].due : -1;
  };

  internals.global("setTimeout", function setTimeout(callback, delay = 0, ...args) {
    check(arguments, "setTimeout");
    return start(callback, delay, false, args);
  });
  internals.global("setInterval", function setInterval(callback, delay = 0, ...args) {
    check(arguments, "setInterval");
    return start(callback, delay, true, args);
  });
  internals.global("clearTimeout", function clearTimeout(id = 0) { clear(id); });
  internals.global("clearInterval", function clearInterval(id = 0) { clear(id); });
  internals.global("queueMicrotask", function queueMicrotask(callback) {
    check(arguments, "queueMicrotask");
    // A reaction of a settled promise is a microtask that keeps the async context.
    p.PromisePrototypeThen(p.PromiseResolve(), () => {
      try {
        callback();
      } catch (error) {
        internals.reportError(error);
      }
    });
  });
})
