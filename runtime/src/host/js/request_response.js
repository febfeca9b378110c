// Request and Response, and the runtime's way in and out of them.
(function (host, p, internals) {
  "use strict";
  const { JSONStringify, RangeError, StringPrototypeToUpperCase, TypeError } = p;
  const { defineClass, dictionary, Headers, isObject, matches, need, toUSVString } = internals;

  const methodOf = (method) => {
    const text = `${method}`;
    if (!matches(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, text)) throw new TypeError(`"${text}" is not an HTTP method`);
    const upper = StringPrototypeToUpperCase(text);
    switch (upper) {
      case "CONNECT": case "TRACE": case "TRACK": throw new TypeError(`the method ${upper} is not allowed`);
      case "DELETE": case "GET": case "HEAD": case "OPTIONS": case "POST": case "PUT": return upper;
    }
    return text;
  };
  const choices = { __proto__: null, redirect: ["follow", "error", "manual"],
    credentials: ["omit", "same-origin", "include"], mode: ["cors", "navigate", "no-cors", "same-origin"],
    cache: ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"] };
  const choice = (init, from, key, fallback) => {
    if (init[key] === undefined) return from === null ? fallback : from[key];
    const text = `${init[key]}`;
    if (!p.ArrayPrototypeIncludes(choices[key], text)) throw new TypeError(`"${text}" is not a Request's ${key}`);
    return text;
  };

  // A URL as it came in.
  const RawUrl = internals.record(class {
    constructor(raw) {
      this.raw = raw;
    }
  });
  // What is sent of a response.
  const Head = internals.record(class {
    constructor(status, statusText, headers, body) {
      this.status = status;
      this.statusText = statusText;
      this.headers = headers;
      this.body = body;
    }
  });

  class Request {
    #method = "GET";
    #url;
    #headers;
    #body = null;
    #signal = null;
    #options = null;
    constructor(input, init = undefined) {
      if (input === internals.secret) return;
      need(arguments, 1, "Request");
      const given = dictionary(init, "Request's options");
      const from = isObject(input) && #method in input ? input : null;
      if (from === null) {
        const href = internals.urlHref(input) ?? toUSVString(input);
        const parts = host.urlParse(href, undefined);
        if (parts === undefined) throw new TypeError(`Invalid URL: "${href}"; a Request needs an absolute one`);
        if (parts[3] !== parts[2] || parts[5] !== parts[4]) {
          throw new TypeError(`a Request's URL must not hold credentials; send an authorization header`);
        }
        this.#url = parts[0];
      } else {
        this.#url = from.#href();
        this.#method = from.#method;
      }
      if (given.method !== undefined) this.#method = methodOf(given.method);
      this.#headers = given.headers !== undefined ? new Headers(given.headers)
        : from === null ? new Headers() : new Headers(from.#headers);
      this.#options = { __proto__: null,
        redirect: choice(given, from, "redirect", "follow"),
        credentials: choice(given, from, "credentials", "same-origin"),
        mode: choice(given, from, "mode", "cors"),
        cache: choice(given, from, "cache", "default"),
        integrity: given.integrity === undefined ? from?.integrity ?? "" : `${given.integrity}`,
        keepalive: given.keepalive === undefined ? from?.keepalive ?? false : !!given.keepalive };
      const signal = given.signal === undefined ? from?.#signal ?? null : given.signal;
      if (signal !== null) {
        if (!internals.isAbortSignal(signal)) throw new TypeError("a Request's signal must be an AbortSignal");
        this.#signal = internals.anySignal([signal]);
      }
      const bodyInit = given.body;
      if (bodyInit !== undefined && bodyInit !== null) {
        if (this.#method === "GET" || this.#method === "HEAD") {
          throw new TypeError(`a ${this.#method} request cannot have a body; use POST or PUT`);
        }
        this.#body = internals.extractBody(bodyInit);
        if (this.#body.type !== null && internals.header(this.#headers, "content-type") === null) {
          internals.addHeader(this.#headers, "content-type", this.#body.type);
        }
      } else if (from !== null && from.#body !== null) {
        internals.checkUsable(from.#body, "the request's body");
        const body = from.#body;
        this.#body = internals.newBody(body.source, body.stream, body.type);
        this.#body.shared = body.shared;
        from.#body = internals.newBody("", null, body.type);
        from.#body.used = true;
      }
    }
    // The runtime gives the URL as it came in; it is parsed when somebody asks.
    #href() {
      if (typeof this.#url !== "string") {
        const parts = host.urlParse(this.#url.raw, undefined);
        this.#url = parts === undefined ? this.#url.raw : parts[0];
      }
      return this.#url;
    }
    get method() { return this.#method; }
    get url() { return this.#href(); }
    get headers() { return this.#headers; }
    get signal() { return (this.#signal ??= internals.newSignal()); }
    get redirect() { return this.#options?.redirect ?? "follow"; }
    get credentials() { return this.#options?.credentials ?? "same-origin"; }
    get mode() { return this.#options?.mode ?? "cors"; }
    get cache() { return this.#options?.cache ?? "default"; }
    get integrity() { return this.#options?.integrity ?? ""; }
    get keepalive() { return this.#options?.keepalive ?? false; }
    get referrer() { return "about:client"; }
    get referrerPolicy() { return ""; }
    get destination() { return ""; }
    get duplex() { return "half"; }
    clone() {
      internals.checkUsable(this.#body, "the request's body");
      const copy = new Request(internals.secret);
      copy.#method = this.#method;
      copy.#url = this.#href();
      copy.#headers = new Headers(this.#headers);
      copy.#options = this.#options;
      copy.#signal = internals.anySignal([this.signal]);
      copy.#body = internals.cloneBody(this.#body);
      return copy;
    }
    static {
      internals.mixBody(Request, (request) => request.#body,
        (request) => internals.header(request.#headers, "content-type"));
      internals.isRequest = (value) => isObject(value) && #method in value;
      // A request that came in. Its headers are as `flat` lists them: lower-case names, values.
      internals.createRequest = (method, url, flat, stream, signal) => {
        const request = new Request(internals.secret);
        request.#method = method;
        request.#url = new RawUrl(url);
        request.#headers = internals.newHeaders(flat, true);
        if (stream !== null && stream !== undefined) {
          request.#body = internals.isReadableStream(stream) ? internals.newBody(null, stream, null)
            : internals.newBody(stream, null, null);
        }
        request.#signal = signal ?? null;
        return request;
      };
      internals.newRequest = (input, init) => new Request(input, init);
      internals.requestParts = (request) => ({ __proto__: null, method: request.#method,
        url: request.#href(), headers: internals.headerList(request.#headers), body: request.#body,
        signal: request.#signal, redirect: request.redirect });
    }
  }
  defineClass(Request);

  const nullBody = (status) => status === 101 || status === 204 || status === 205 || status === 304;
  const redirects = [301, 302, 303, 307, 308];

  class Response {
    #type = "default";
    #status = 200;
    #statusText = "";
    #headers;
    #body = null;
    #url = "";
    #redirected = false;
    constructor(body = null, init = undefined) {
      const given = dictionary(init, "Response's options");
      if (given.status !== undefined) {
        const status = +given.status;
        if (!(status >= 200 && status <= 599)) {
          throw new RangeError(`a Response's status must be from 200 to 599, got ${given.status}`);
        }
        this.#status = p.MathTrunc(status);
      }
      if (given.statusText !== undefined) {
        this.#statusText = internals.toByteString(given.statusText, "the status text");
        if (matches(/[^\t\x20-\x7e\x80-\xff]/, this.#statusText)) {
          throw new TypeError("a Response's statusText must not have control characters");
        }
      }
      this.#headers = new Headers(given.headers);
      if (body !== null && body !== undefined) this.#setBody(internals.extractBody(body));
    }
    #setBody(body) {
      if (nullBody(this.#status)) throw new TypeError(`a response with status ${this.#status} cannot have a body`);
      this.#body = body;
      if (body.type !== null && internals.header(this.#headers, "content-type") === null) {
        internals.addHeader(this.#headers, "content-type", body.type);
      }
    }
    static error() {
      const response = new Response();
      response.#type = "error";
      response.#status = 0;
      internals.lockHeaders(response.#headers);
      return response;
    }
    static redirect(url, status = 302) {
      need(arguments, 1, "Response.redirect");
      const parts = host.urlParse(internals.urlHref(url) ?? toUSVString(url), undefined);
      if (parts === undefined) throw new TypeError(`Invalid URL: "${url}"; Response.redirect needs an absolute one`);
      if (!p.ArrayPrototypeIncludes(redirects, +status)) {
        throw new RangeError(`a redirect's status must be 301, 302, 303, 307 or 308, got ${status}`);
      }
      const response = new Response(null, { __proto__: null, status });
      internals.addHeader(response.#headers, "location", parts[0]);
      internals.lockHeaders(response.#headers);
      return response;
    }
    static json(data, init = undefined) {
      need(arguments, 1, "Response.json");
      const text = JSONStringify(data);
      if (text === undefined) throw new TypeError(`Response.json: a ${typeof data} has no JSON form`);
      const response = new Response(null, init);
      response.#setBody(internals.newBody(p.StringPrototypeToWellFormed(text), null, "application/json"));
      return response;
    }
    get type() { return this.#type; }
    get url() { return this.#url; }
    get redirected() { return this.#redirected; }
    get status() { return this.#status; }
    get ok() { return this.#status >= 200 && this.#status <= 299; }
    get statusText() { return this.#statusText; }
    get headers() { return this.#headers; }
    clone() {
      internals.checkUsable(this.#body, "the response's body");
      const copy = new Response();
      copy.#type = this.#type;
      copy.#url = this.#url;
      copy.#redirected = this.#redirected;
      copy.#status = this.#status;
      copy.#statusText = this.#statusText;
      copy.#headers = new Headers(this.#headers);
      copy.#body = internals.cloneBody(this.#body);
      return copy;
    }
    static {
      internals.mixBody(Response, (response) => response.#body,
        (response) => internals.header(response.#headers, "content-type"));
      internals.isResponse = (value) => isObject(value) && #status in value;
      // What a handler returned, taken apart to be sent.
      internals.readResponse = (response) => {
        if (!isObject(response) || !(#status in response)) {
          throw new TypeError(`fetch must return a Response, got ${internals.kindOf(response)}; ` +
            "for data, return Response.json(data)");
        }
        if (response.#status === 0) throw new TypeError("fetch returned Response.error(), which cannot be sent");
        internals.checkUsable(response.#body, "the body of the returned response");
        return new Head(response.#status, response.#statusText,
          internals.headerList(response.#headers), internals.takeBody(response.#body));
      };
      // A response that came from elsewhere (a granted fetch binding).
      internals.createResponse = (status, statusText, flat, body, url, redirected) => {
        const response = new Response();
        response.#status = status;
        response.#statusText = statusText;
        response.#headers = internals.newHeaders(flat, true);
        response.#url = url;
        response.#redirected = redirected;
        if (body !== null) {
          response.#body = internals.isReadableStream(body) ? internals.newBody(null, body, null)
            : internals.newBody(body, null, null);
        }
        return response;
      };
    }
  }
  defineClass(Response);

  internals.kindOf = (value) => {
    if (value === null) return "null";
    if (typeof value !== "object") return typeof value;
    return p.ArrayIsArray(value) ? "an array" : "an object of another kind";
  };
})
