// Shown by the ledger what it has, and answers with something of its own.
class Auditor {
  constructor(version, pause) {
    this.version = version;
    this.pause = pause;
  }
  async check({ account }) {
    await this.pause;
    const [{ name }, { balance }] = await Promise.all([account.name(), account.balance()]);
    return { note: `${name} has ${balance}, says ${this.version}` };
  }
}

// An account of this service's own, for the ledger to call.
class Purse {
  #balance = 0n;
  name() { return { name: 'purse' }; }
  balance() { return { balance: this.#balance }; }
  book({ amount }) {
    this.#balance += amount;
    return this.balance();
  }
  transfer() { throw new Error('a purse stays closed'); }
}

const failure = async (call) => {
  try {
    await call;
    return 'no error';
  } catch (error) {
    if (error.kind === undefined) return error.name;
    return { kind: error.kind, from: `${error.service}@${error.version}`, message: error.message };
  }
};

const cases = {
  async objects(env) {
    const ada = (await env.LEDGER.open({ account: 'ada' })).account;
    await ada.book({ amount: 10n });
    // Three calls and no wait between them.
    const pipelined = (await env.LEDGER.open({ account: 'ada' }).book({ amount: 5n })).balance;
    const purse = new Purse();
    await ada.transfer({ to: purse, amount: 3n });
    // The ledger's own object comes home to it.
    await ada.transfer({ to: env.LEDGER.open({ account: 'bob' }), amount: 4n });
    const { notes } = await env.LEDGER.audit({
      accounts: ['ada', 'bob'],
      auditor: new Auditor('front'),
    });
    return { pipelined: Number(pipelined), purse: Number(purse.balance().balance), notes: [...notes] };
  },
  async errors(env) {
    return {
      chosen: await failure(env.LEDGER.refuse({ kind: 'notFound' })),
      plain: await failure(env.LEDGER.refuse({ kind: 'overloaded' })),
      handedOn: await failure(env.LEDGER.convert({ account: 'ada', currency: 'XXX' })),
      auditors: await failure(env.LEDGER.audit({ accounts: ['ada'], auditor: {
        check() { throw new TypeError('not today'); },
      } })),
      builtOn: await failure(env.LEDGER.open({ account: '' }).balance()),
    };
  },
  async panics(env) {
    const others = env.LEDGER.convert({ account: 'ada', currency: 'EUR' });
    const panicked = await failure(env.LEDGER.panic());
    const { by } = await others;
    return { panicked, by, after: (await env.LEDGER.convert({ account: 'ada', currency: 'EUR' })).by };
  },
  async stamps(env, url) {
    const length = Number(url.searchParams.get('length'));
    const document = new Uint8Array(length).map((_, index) => index % 251);
    const stamped = await env.LEDGER.stamp({ document });
    const bytes = stamped.document;
    const wrong = bytes.findIndex((byte, index) => byte !== (index % 251) + 1);
    let readOnly = false;
    try {
      bytes[0] = 0;
      readOnly = bytes[0] !== 0;
    } catch {
      readOnly = true;
    }
    return { length: bytes.length, told: Number(stamped.length), wrong, readOnly };
  },
  async cancels(env) {
    const controller = new AbortController();
    const waiting = failure(env.LEDGER.wait(undefined, { signal: controller.signal }));
    while ((await env.LEDGER.waiting()).calls === 0);
    controller.abort();
    const error = await waiting;
    while ((await env.LEDGER.waiting()).givenUp === 0) await new Promise((done) => setTimeout(done, 5));
    return { error };
  },
  async streams(env) {
    const parts = [];
    const own = new WritableStream({ write(part) { parts.push(part.length); } });
    const { lines } = await env.LEDGER.journal({ lines: own });
    const writer = lines.writable().getWriter();
    for (let i = 0; i < 20; i++) await writer.write(new Uint8Array(100_000));
    await writer.close();
    return { bytes: parts.reduce((sum, length) => sum + length, 0) };
  },
  // The request stays open until its body ends.
  async pinned(env, url, request, ctx) {
    const seen = [(await env.LEDGER.convert({ account: 'ada', currency: 'EUR' })).by];
    const auditor = new Auditor(ctx.bundle.version, request.text());
    console.log('the request is open');
    const { notes } = await env.LEDGER.audit({ accounts: ['ada'], auditor });
    seen.push((await env.LEDGER.convert({ account: 'ada', currency: 'EUR' })).by);
    seen.push((await env.RATES.of({ currency: 'EUR' })).by);
    return { front: ctx.bundle.version, seen, notes: [...notes] };
  },
};

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    return Response.json(await cases[url.pathname.slice(1)](env, url, request, ctx));
  },
};
