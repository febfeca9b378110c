// performance: the isolate's clock.
(function (host, p, internals) {
  "use strict";
  const { defineClass, global, illegal, secret } = internals;

  class Performance extends internals.EventTarget {
    constructor(key) {
      illegal(key);
      super();
    }
    now() { return host.performanceNow(); }
    get timeOrigin() { return host.timeOrigin(); }
    toJSON() { return { timeOrigin: this.timeOrigin }; }
  }
  defineClass(Performance);
  global("performance", new Performance(secret));
})
