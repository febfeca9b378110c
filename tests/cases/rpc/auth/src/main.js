class Session {
  constructor(user, version) {
    Object.assign(this, { user, version_: version });
  }
  name() {
    return { name: this.user };
  }
  version() {
    return { version: this.version_ };
  }
}

// Each block begins with its own number.
class Sink {
  total = 0;
  blocks = 0;
  ordered = true;
  async write({ bytes }) {
    const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (number !== this.blocks++) this.ordered = false;
    this.total += bytes.length;
    if (number % 7 === 0) await null;
  }
  end() {
    return { total: BigInt(this.total), ordered: this.ordered };
  }
}

export class AuthService {
  login({ user }, ctx) {
    return { session: new Session(user, ctx.bundle.version) };
  }
  version(_, ctx) {
    return { version: ctx.bundle.version };
  }
  echo({ blob, text }) {
    return { blob, text };
  }
  async introduce({ guest }) {
    const { name } = await guest.name();
    return { greeting: `Hello, ${name}` };
  }
  remember({ guest }) {
    return { guest };
  }
  wait(_, ctx) {
    return new Promise((done, failed) => {
      ctx.signal.addEventListener("abort", () => {
        console.info("nobody waits any more");
        failed(ctx.signal.reason);
      });
    });
  }
  fail() {
    throw new TypeError("the secret is 7");
  }
  upload() {
    return { sink: new Sink() };
  }
  async chain({ registry }) {
    return registry.find({ name: "Ada" }).name();
  }
  async download({ into, mib }) {
    for (let number = 0; number < mib * 16; number++) {
      const bytes = new Uint8Array(65536);
      new DataView(bytes.buffer).setUint32(0, number, true);
      await into.write({ bytes });
    }
    await into.end();
  }
}
