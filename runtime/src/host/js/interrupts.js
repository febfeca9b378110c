// JSON, made to look for interrupts.
//
// V8 looks whenever a function of JavaScript is entered, but at a loop's back edge only every few
// hundred times until it has optimised the function. A loop that does nothing but call a built-in
// that takes microseconds would run on for tens of milliseconds after it was to be ended. So the
// built-ins that most often do are entered through functions of JavaScript.
(function (host, p, internals) {
  "use strict";
  const { JSONParse, JSONStringify, ObjectDefineProperty } = p;
  const { parse, stringify } = {
    parse(text, reviver) { return JSONParse(text, reviver); },
    stringify(value, replacer, space) { return JSONStringify(value, replacer, space); },
  };
  // Libraries look whether these are native. Bound functions say that they are.
  for (const { name, bound } of [
    { name: "parse", bound: parse.bind(undefined) },
    { name: "stringify", bound: stringify.bind(undefined) },
  ]) {
    ObjectDefineProperty(bound, "name", { __proto__: null, value: name });
    ObjectDefineProperty(JSON, name, { __proto__: null, value: bound });
  }
})
