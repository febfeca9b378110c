// console: formats like the consoles that people know, within bounds of depth and length.
(function (host, p, internals) {
  "use strict";
  const MAX_MESSAGE_CHARS = 16384;
  const MAX_DEPTH = 4;
  const MAX_ENTRIES = 100;
  const MAX_STRING_CHARS = 8192;
  const MAX_LABELS = 1000;
  const LINE_CHARS = 76;
  const TRACE = 0, DEBUG = 1, INFO = 2, WARN = 3, ERROR = 4;

  const { ArrayIsArray, ArrayPrototypeIncludes, ArrayPrototypeJoin, ArrayPrototypePop,
    ArrayPrototypePush, DatePrototypeGetTime, DatePrototypeToISOString, Error, JSONStringify, Map,
    MapPrototypeDelete, MapPrototypeForEach, MapPrototypeGet, MapPrototypeGetSize,
    MapPrototypeHas, MapPrototypeSet, MathFloor, MathMax, MathMin, NumberIsNaN,
    ObjectGetOwnPropertyDescriptor, ObjectGetPrototypeOf, ObjectHasOwn, ObjectKeys,
    ReflectOwnKeys, RegExpPrototypeToString, SetPrototypeForEach, SetPrototypeGetSize,
    StringPrototypeIncludes, StringPrototypePadEnd, StringPrototypeRepeat, StringPrototypeSlice,
    StringPrototypeSplit, StringPrototypeStartsWith, SymbolPrototypeToString,
    TypedArrayPrototypeGetLength, TypedArrayPrototypeGetSymbolToStringTag,
    ArrayBufferPrototypeGetByteLength, BooleanPrototypeValueOf, NumberPrototypeValueOf } = p;

  const attempt = (read, value) => {
    try {
      return read(value);
    } catch {
      return undefined;
    }
  };

  const quote = (text) => {
    const cut = text.length > MAX_STRING_CHARS;
    const shown = cut ? StringPrototypeSlice(text, 0, MAX_STRING_CHARS) : text;
    const quoted = JSONStringify(shown);
    return cut ? `${quoted}... ${text.length - MAX_STRING_CHARS} more characters` : quoted;
  };

  const nameOf = (value) => {
    for (let proto = value, hops = 0; proto !== null && hops < 10; hops++) {
      const own = ObjectGetOwnPropertyDescriptor(proto, "constructor");
      if (own && typeof own.value === "function") {
        const name = ObjectGetOwnPropertyDescriptor(own.value, "name");
        return name && typeof name.value === "string" ? name.value : "";
      }
      proto = ObjectGetPrototypeOf(proto);
    }
    return "[Object: null prototype]";
  };

  // A budget of characters is shared by one whole message, so that no graph of objects, however
  // wide, costs more than a bounded amount of work.
  class Inspector {
    left = MAX_MESSAGE_CHARS;
    path = [];

    inspect(value, depth) {
      const before = this.left;
      const text = this.text(value, depth);
      this.left = before - text.length;
      return text;
    }

    text(value, depth) {
      if (this.left <= 0) return "...";
      switch (typeof value) {
        case "string": return quote(value);
        case "number": return value === 0 && 1 / value < 0 ? "-0" : `${value}`;
        case "bigint": return `${value}n`;
        case "symbol": return SymbolPrototypeToString(value);
        case "undefined": return "undefined";
        case "boolean": return `${value}`;
        case "function": return this.named(value, depth);
      }
      if (value === null) return "null";
      if (ArrayPrototypeIncludes(this.path, value)) return "[Circular]";
      if (depth > MAX_DEPTH) return ArrayIsArray(value) ? "[Array]" : `[${nameOf(value) || "Object"}]`;
      ArrayPrototypePush(this.path, value);
      try {
        return this.object(value, depth);
      } catch {
        return "[uninspectable]";
      } finally {
        ArrayPrototypePop(this.path);
      }
    }

    named(value, depth) {
      if (host.kindOf(value) === "Proxy") return "[Proxy]";
      const source = attempt(p.FunctionPrototypeToString, value) ?? "";
      const isClass = StringPrototypeStartsWith(source, "class");
      const name = attempt((f) => ObjectGetOwnPropertyDescriptor(f, "name").value, value);
      const named = typeof name === "string" && name !== "";
      const label = isClass ? `[class ${named ? name : "(anonymous)"}]` : named ? `[Function: ${name}]` : "[Function (anonymous)]";
      return this.body(value, label, [], ["name", "length", "prototype", "arguments", "caller"],
        depth, "{", "}", true);
    }

    object(value, depth) {
      // A proxy's traps are the service's own code; a log message does not run it.
      if (host.kindOf(value) === "Proxy") return "[Proxy]";
      if (isError(value)) return this.error(value, depth);
      const name = nameOf(value);
      const plain = name === "Object" ? "" : name;
      if (ArrayIsArray(value)) return this.list(value, value.length, name === "Array" ? "" : `${name}(${value.length})`, depth);
      const typed = TypedArrayPrototypeGetSymbolToStringTag(value);
      if (typed !== undefined) {
        const length = TypedArrayPrototypeGetLength(value);
        return this.list(value, length, `${typed}(${length})`, depth);
      }
      const items = [];
      switch (host.kindOf(value)) {
        case "Map": {
          const size = MapPrototypeGetSize(value);
          this.each(MapPrototypeForEach, value, items, (item, key) =>
            `${this.inspect(key, depth + 1)} => ${this.inspect(item, depth + 1)}`);
          return this.body(value, `${name}(${size})`, this.more(items, size), [], depth);
        }
        case "Set": {
          const size = SetPrototypeGetSize(value);
          this.each(SetPrototypeForEach, value, items, (item) => this.inspect(item, depth + 1));
          return this.body(value, `${name}(${size})`, this.more(items, size), [], depth);
        }
        case "Date": {
          const time = DatePrototypeGetTime(value);
          return NumberIsNaN(time) ? "Invalid Date" : DatePrototypeToISOString(value);
        }
        case "ArrayBuffer": return `ArrayBuffer { byteLength: ${ArrayBufferPrototypeGetByteLength(value)} }`;
        case "RegExp": return RegExpPrototypeToString(value);
        case "Promise": return `${name} {}`;
        case "Number": return `[Number: ${NumberPrototypeValueOf(value)}]`;
        case "Boolean": return `[Boolean: ${BooleanPrototypeValueOf(value)}]`;
      }
      const shown = internals.shownAs(value);
      if (shown !== undefined) return `${name} ${this.inspect(shown, depth + 1)}`;
      return this.body(value, plain, [], [], depth);
    }

    error(value, depth) {
      const stack = attempt((e) => e.stack, value);
      const text = typeof stack === "string" && stack !== "" ? stack
        : `${attempt((e) => e.name, value)}: ${attempt((e) => e.message, value)}`;
      const parts = [];
      if (ObjectHasOwn(value, "cause")) {
        ArrayPrototypePush(parts, `[cause]: ${this.inspect(attempt((e) => e.cause, value), depth + 1)}`);
      }
      if (ArrayIsArray(attempt((e) => e.errors, value))) {
        ArrayPrototypePush(parts, `[errors]: ${this.inspect(value.errors, depth + 1)}`);
      }
      return this.body(value, text, parts, ["stack", "message", "name", "cause", "errors"], depth, "{", "}", true);
    }

    list(value, length, prefix, depth) {
      const items = [];
      for (let i = 0; i < length && i < MAX_ENTRIES && this.left > 0; i++) {
        ArrayPrototypePush(items, ObjectHasOwn(value, i) ? this.inspect(value[i], depth + 1) : "<empty>");
      }
      return this.body(value, prefix, this.more(items, length), null, depth, "[", "]");
    }

    // forEach ends early only by an exception.
    each(forEach, value, items, show) {
      attempt(() => forEach(value, (item, key) => {
        if (items.length >= MAX_ENTRIES || this.left <= 0) throw null;
        ArrayPrototypePush(items, show(item, key));
      }));
    }

    more(items, total) {
      if (total > items.length) ArrayPrototypePush(items, `... ${total - items.length} more`);
      return items;
    }

    // Own enumerable properties after `items`; getters are named, never run. `skip` null: the
    // value is a list, whose elements are not properties.
    body(value, prefix, items, skip, depth, open = "{", close = "}", hideEmpty = false) {
      const keys = skip === null && value.length > MAX_ENTRIES ? [] : ReflectOwnKeys(value);
      for (let i = 0; i < keys.length && items.length <= MAX_ENTRIES && this.left > 0; i++) {
        const key = keys[i];
        if (typeof key === "string" && (skip === null ? `${key >>> 0}` === key : ArrayPrototypeIncludes(skip, key))) continue;
        const property = ObjectGetOwnPropertyDescriptor(value, key);
        if (!property || !property.enumerable) continue;
        const label = typeof key === "symbol" ? `[${SymbolPrototypeToString(key)}]`
          : internals.matches(/^[A-Za-z_$][\w$]*$/, key) ? key : quote(key);
        const shown = property.get ? (property.set ? "[Getter/Setter]" : "[Getter]")
          : property.set ? "[Setter]" : this.inspect(property.value, depth + 1);
        ArrayPrototypePush(items, `${label}: ${shown}`);
      }
      if (items.length === 0) {
        if (hideEmpty) return prefix;
        return prefix === "" ? open + close : `${prefix} ${open}${close}`;
      }
      const start = prefix === "" ? open : `${prefix} ${open}`;
      const line = ArrayPrototypeJoin(items, ", ");
      if (line.length + start.length <= LINE_CHARS && !StringPrototypeIncludes(line, "\n")) {
        return open === "[" ? `${start}${line}${close}` : `${start} ${line} ${close}`;
      }
      const margin = StringPrototypeRepeat("  ", depth + 1);
      return `${start}\n${margin}${ArrayPrototypeJoin(items, `,\n${margin}`)}\n${StringPrototypeRepeat("  ", depth)}${close}`;
    }
  }

  const isError = (value) => value instanceof Error;
  internals.inspect = (value) => new Inspector().inspect(value, 0);

  const directive = (inspector, kind, value) => {
    switch (kind) {
      case "s": return typeof value === "string" ? value
        : typeof value === "object" && value !== null ? inspector.inspect(value, MAX_DEPTH) : inspector.inspect(value, 0);
      case "d": return typeof value === "bigint" ? `${value}n`
        : typeof value === "object" || typeof value === "symbol" ? "NaN" : `${+value}`;
      case "i": return typeof value === "bigint" ? `${value}n`
        : typeof value === "object" || typeof value === "symbol" ? "NaN" : `${p.MathTrunc(+value)}`;
      case "f": return typeof value === "symbol" || typeof value === "object" ? "NaN" : `${+value}`;
      case "j": return attempt(JSONStringify, value) ?? "undefined";
      case "o": case "O": return inspector.inspect(value, 0);
      case "c": return "";
    }
    return undefined;
  };

  const format = (args) => {
    const inspector = new Inspector();
    let text = "";
    let used = 0;
    if (typeof args[0] === "string") {
      const pattern = args[0];
      used = 1;
      for (let i = 0; i < pattern.length && text.length < MAX_MESSAGE_CHARS; i++) {
        if (pattern[i] === "%" && pattern[i + 1] === "%") {
          text += "%";
          i++;
        } else if (pattern[i] === "%" && used < args.length) {
          const shown = directive(inspector, pattern[i + 1], args[used]);
          if (shown === undefined) {
            text += "%";
          } else {
            text += shown;
            used++;
            i++;
          }
        } else {
          const next = p.StringPrototypeIndexOf(pattern, "%", i + 1);
          const end = next < 0 ? pattern.length : next;
          text += StringPrototypeSlice(pattern, i, end);
          i = end - 1;
        }
      }
    }
    for (; used < args.length && text.length < MAX_MESSAGE_CHARS; used++) {
      if (used > 0) text += " ";
      text += typeof args[used] === "string" ? args[used] : inspector.inspect(args[used], 0);
    }
    return text;
  };

  let indent = "";
  const write = (level, text) => {
    if (indent !== "") {
      text = indent + ArrayPrototypeJoin(StringPrototypeSplit(text, "\n"), `\n${indent}`);
    }
    if (text.length > MAX_MESSAGE_CHARS) {
      text = `${StringPrototypeSlice(text, 0, MAX_MESSAGE_CHARS)}... cut`;
    }
    host.log(level, text);
  };

  const counts = new Map();
  const timers = new Map();
  const labelled = (table, label, value) => {
    if (MapPrototypeGetSize(table) >= MAX_LABELS && !MapPrototypeHas(table, label)) return false;
    MapPrototypeSet(table, label, value);
    return true;
  };
  const elapsed = (label) => {
    const start = MapPrototypeGet(timers, label);
    return start === undefined ? undefined : `${label}: ${MathFloor((host.performanceNow() - start) * 10) / 10} ms`;
  };

  const console = {
    log(...args) { write(INFO, format(args)); },
    info(...args) { write(INFO, format(args)); },
    warn(...args) { write(WARN, format(args)); },
    error(...args) { write(ERROR, format(args)); },
    debug(...args) { write(DEBUG, format(args)); },
    trace(...args) {
      const holder = { __proto__: null };
      p.ErrorCaptureStackTrace(holder, console.trace);
      const stack = StringPrototypeSlice(`${holder.stack}`, 5);
      write(TRACE, `Trace: ${format(args)}${stack}`);
    },
    assert(condition, ...args) {
      if (!condition) write(ERROR, args.length ? `Assertion failed: ${format(args)}` : "Assertion failed");
    },
    dir(value) { write(INFO, internals.inspect(value)); },
    dirxml(...args) { write(INFO, format(args)); },
    table(data, columns) { write(INFO, internals.isObject(data) ? table(data, columns) : format([data])); },
    count(label = "default") {
      label = `${label}`;
      const next = (MapPrototypeGet(counts, label) ?? 0) + 1;
      if (labelled(counts, label, next)) write(INFO, `${label}: ${next}`);
    },
    countReset(label = "default") { MapPrototypeDelete(counts, `${label}`); },
    time(label = "default") { labelled(timers, `${label}`, host.performanceNow()); },
    timeLog(label = "default", ...args) {
      const text = elapsed(`${label}`);
      if (text === undefined) write(WARN, `No such label for console.timeLog: ${label}`);
      else write(INFO, args.length ? `${text} ${format(args)}` : text);
    },
    timeEnd(label = "default") {
      const text = elapsed(`${label}`);
      if (text === undefined) write(WARN, `No such label for console.timeEnd: ${label}`);
      else write(INFO, text);
      MapPrototypeDelete(timers, `${label}`);
    },
    group(...args) {
      if (args.length) write(INFO, format(args));
      if (indent.length < 40) indent += "  ";
    },
    groupCollapsed(...args) { p.ReflectApply(console.group, console, args); },
    groupEnd() { indent = StringPrototypeSlice(indent, 2); },
    clear() {},
  };

  const table = (data, wantedColumns) => {
    const inspector = new Inspector();
    const columns = ["(index)"];
    const rows = [];
    const keys = ObjectKeys(data);
    for (let i = 0; i < MathMin(keys.length, MAX_ENTRIES); i++) {
      const item = data[keys[i]];
      const row = { __proto__: null, "(index)": keys[i] };
      if (internals.isObject(item)) {
        const names = ArrayIsArray(wantedColumns) ? wantedColumns : ObjectKeys(item);
        for (let j = 0; j < MathMin(names.length, 20); j++) {
          const name = `${names[j]}`;
          if (!ArrayPrototypeIncludes(columns, name)) ArrayPrototypePush(columns, name);
          row[name] = inspector.inspect(item[name], MAX_DEPTH);
        }
      } else {
        if (!ArrayPrototypeIncludes(columns, "Values")) ArrayPrototypePush(columns, "Values");
        row.Values = inspector.inspect(item, MAX_DEPTH);
      }
      ArrayPrototypePush(rows, row);
    }
    const lines = [columns, "rule"];
    for (let i = 0; i < rows.length; i++) ArrayPrototypePush(lines, rows[i]);
    const widths = [];
    for (let c = 0; c < columns.length; c++) {
      let width = columns[c].length;
      for (let r = 0; r < rows.length; r++) width = MathMax(width, (rows[r][columns[c]] ?? "").length);
      ArrayPrototypePush(widths, MathMin(width, 60));
    }
    const out = [];
    for (let l = 0; l < lines.length; l++) {
      const cells = [];
      for (let c = 0; c < columns.length; c++) {
        const text = l === 0 ? columns[c] : l === 1 ? StringPrototypeRepeat("-", widths[c]) : lines[l][columns[c]] ?? "";
        ArrayPrototypePush(cells, StringPrototypePadEnd(StringPrototypeSlice(text, 0, 60), widths[c]));
      }
      ArrayPrototypePush(out, ArrayPrototypeJoin(cells, l === 1 ? "-+-" : " | "));
    }
    return ArrayPrototypeJoin(out, "\n");
  };

  // An uncaught error: told to the runtime if it listens, to the log otherwise.
  let reporter = null;
  internals.setErrorReporter = (report) => {
    reporter = report;
  };

  internals.global("console", console);
  internals.global("reportError", function reportError(error) {
    internals.need(arguments, 1, "reportError");
    if (reporter !== null) reporter(error);
    else write(ERROR, `Uncaught ${internals.inspect(error)}`);
  });
})
