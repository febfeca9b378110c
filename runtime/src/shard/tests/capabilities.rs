//! Objects that travel between isolates, calls of results that are not there yet, and streams.

use isolith_versions::LeaseKind;

use super::*;

const SCHEMA: &str = "
@0xb98bc7c1a4e7a0d5;
interface Driver { run @0 (what :Text, count :UInt32) -> (lines :List(Text)); }
interface Named { name @0 () -> (name :Text); }
interface User extends(Named) { older @0 (years :UInt32) -> (user :User); }
interface Session {
  user @0 () -> (user :User);
  same @1 (user :User) -> (same :Bool);
  both @2 () -> (first :User, second :User, pair :Pair);
  slow @3 (ms :UInt32) -> (user :User);
  fail @4 () -> (user :User);
}
struct Pair { left @0 :Text; right @1 :User; }
interface Auth extends(Named) {
  session @0 (token :Text) -> (session :Session);
  call @1 (user :User) -> (name :Text);
  keep @2 (user :User) -> ();
  kept @3 () -> (user :User);
  revoked @4 () -> (user :User);
  turns @5 () -> (turns :UInt32);
  wait @6 (ms :UInt32) -> (aborted :Bool);
  aborted @7 () -> (count :UInt32);
  hoard @8 () -> ();
}
interface Relay { pass @0 (user :User) -> (name :Text, user :User); }
";

const AUTH: Sample<'_> = Sample {
    service: "auth",
    version: "1.0.0",
    source: "
let kept = null;
let turns = 0;
let aborted = 0;
class User {
  constructor(name) { this.label = name; }
  name() { turns++; return { name: this.label }; }
  older({ years }) { return { user: new User(`${this.label}+${years}`) }; }
}
class Session {
  constructor(token) { this.owner = new User(token); }
  user() { turns++; return { user: this.owner }; }
  same({ user }) { return { same: user === this.owner }; }
  both() {
    const second = new User('second');
    return { first: this.owner, second, pair: { left: 'x', right: second } };
  }
  async slow({ ms }) {
    await new Promise((done) => setTimeout(done, ms));
    return { user: this.owner };
  }
  async fail() { throw new RangeError('no user here'); }
}
export class AuthService {
  session({ token }) { turns++; return { session: new Session(token) }; }
  async call({ user }) { return user.name(); }
  keep({ user }) { kept = user; }
  kept() { return { user: kept }; }
  revoked(_, ctx) {
    const user = new User('revoked');
    setTimeout(() => ctx.revoke(user), 1);
    return { user };
  }
  turns() { return { turns }; }
  name() { return { name: 'auth itself' }; }
  async wait({ ms }, ctx) {
    ctx.signal.addEventListener('abort', () => aborted++);
    await new Promise((done) => setTimeout(done, ms));
    return { aborted: ctx.signal.aborted };
  }
  aborted() { return { count: aborted }; }
  hoard() { const all = []; for (;;) all.push(new Array(100_000).fill(0.5)); }
}",
    exports: &[("AUTH", "Auth", "AuthService")],
    imports: &[],
    http: false,
};

const RELAY: Sample<'_> = Sample {
    service: "relay",
    version: "1.0.0",
    source: "
export class RelayService {
  async pass({ user }) { return { name: (await user.name()).name, user }; }
}",
    exports: &[("RELAY", "Relay", "RelayService")],
    imports: &[],
    http: false,
};

const DRIVER: &str = "
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const failure = (promise) => promise.then(
  (value) => `no error but ${JSON.stringify(value)}`,
  (error) => `${error.kind}: ${error.message}`);
let remembered = null;
const cases = {
  async passed({ AUTH }) {
    const { session } = await AUTH.session({ token: 'ada' });
    const { user } = await session.user();
    return [(await user.name()).name, (await AUTH.call({ user })).name];
  },
  async identity({ AUTH }) {
    const { session } = await AUTH.session({ token: 'ada' });
    const { user } = await session.user();
    const again = (await session.user()).user;
    const both = await session.both();
    return [user === again, user === both.first, both.first === both.first,
      both.second === both.pair.right, user === both.second,
      (await session.same({ user })).same, (await session.same({ user: both.second })).same].map(String);
  },
  async home({ AUTH }) {
    const mine = { name() { return { name: 'mine' }; }, older() { return { user: mine }; } };
    await AUTH.keep({ user: mine });
    const { user } = await AUTH.kept();
    return [String(user === mine), (await AUTH.call({ user: mine })).name,
      (await AUTH.kept().user.name()).name];
  },
  async third({ AUTH, RELAY }) {
    const { user } = await AUTH.session({ token: 'ada' }).user();
    const relayed = await RELAY.pass({ user });
    const early = await RELAY.pass({ user: AUTH.session({ token: 'bob' }).user() });
    return [relayed.name, String(relayed.user === user), early.name, (await early.user.name()).name];
  },
  async pipelined({ AUTH }) {
    const answer = AUTH.session({ token: 'ada' });
    const both = answer.session.both();
    return [(await answer.user().name()).name, (await answer.user().older({ years: 2 }).name()).name,
      (await both.pair.right.name()).name, (await (await both.first).name()).name,
      (await AUTH.call({ user: answer.user() })).name,
      (await answer.slow({ ms: 5 }).name()).name,
      (await answer.session.same({ user: (await answer.user()).user })).same].map(String);
  },
  async failing({ AUTH }) {
    const answer = AUTH.session({ token: 'ada' });
    return [await failure(answer.fail().name()), await failure(answer.fail().older({}).name()),
      await failure(AUTH.kept().user.name()), await failure(AUTH.call({ user: answer.fail() })),
      await AUTH.call({ user: 7 }).catch((error) => error.message),
      await AUTH.call({ user: { name() {} } }).catch((error) => error.message)];
  },
  async disposed({ AUTH }) {
    const { user } = await AUTH.session({ token: 'ada' }).user();
    user[Symbol.dispose]();
    const pending = AUTH.session({ token: 'bob' });
    pending[Symbol.dispose]();
    return [await failure(user.name()), await failure(pending.user().name())];
  },
  async passed_on({ AUTH, RELAY }) {
    const failed = AUTH.session({ token: 'ada' }).fail();
    const relayed = [failure(RELAY.pass({ user: failed }))];
    failed[Symbol.dispose]();
    const slow = AUTH.session({ token: 'bob' }).slow({ ms: 5 });
    relayed.push(failure(slow), RELAY.pass({ user: slow }).then(({ name }) => name));
    slow[Symbol.dispose]();
    return [...await Promise.all(relayed), (await AUTH.name()).name];
  },
  async revoked({ AUTH }) {
    const { user } = await AUTH.revoked();
    await sleep(10);
    return [await failure(user.name())];
  },
  async inherited({ AUTH }) { return [(await AUTH.name()).name]; },
  async remember({ AUTH }) {
    remembered = await AUTH.session({ token: 'ada' });
    return [];
  },
  // The request goes on, and its stubs with it.
  async hold({ AUTH }, ms, ctx) {
    remembered = await AUTH.session({ token: 'ada' });
    ctx.waitUntil(sleep(ms));
    return [];
  },
  async recall({ AUTH }) {
    const { session } = remembered;
    return [await session.user().name().then(({ name }) => name, (error) => `${error.kind}: ${error.message}`)];
  },
  async replaced({ AUTH }) {
    const { session } = await AUTH.session({ token: 'ada' });
    const lost = await failure(AUTH.hoard());
    for (;;) {
      const again = await AUTH.name().catch(() => null);
      if (again !== null) return [lost, await failure(session.user().name()), again.name];
      await sleep(5);
    }
  },
  async many({ AUTH }, count) {
    const { session } = await AUTH.session({ token: 'ada' });
    let sum = 0;
    for (let i = 0; i < count; i++) {
      sum += (await session.user().older({ years: i }).name()).name.length;
      const { user } = await session.both().pair.right.older({ years: i });
      sum += (await user.name()).name.length;
    }
    return [String(sum)];
  },
  async cancelled({ AUTH }) {
    const controller = new AbortController();
    const call = failure(AUTH.wait({ ms: 1000 }, { signal: controller.signal }));
    await sleep(5);
    controller.abort(Object.assign(new Error('enough'), { kind: 'mine' }));
    const error = await call;
    await sleep(5);
    return [error, String((await AUTH.aborted()).count)];
  },
  async abandoned({ AUTH }) {
    AUTH.wait({ ms: 100 });
    return [];
  },
  async aborted({ AUTH }) { return [String((await AUTH.aborted()).count)]; },
};
export class DriverService {
  constructor(env) { this.env = env; }
  async run({ what, count }, ctx) { return { lines: await cases[what](this.env, count, ctx) }; }
}";

const DRIVEN: Sample<'_> = Sample {
    service: "driver",
    version: "1.0.0",
    source: DRIVER,
    exports: &[("DRIVER", "Driver", "DriverService")],
    imports: &[
        ("AUTH", "auth", ">=1", "Auth"),
        ("RELAY", "relay", "^1", "Relay"),
    ],
    http: false,
};

async fn world(limits: Limits) -> World {
    let schema = SampleSchema::new(SCHEMA).unwrap();
    let programs = programs(&schema, &[AUTH, RELAY, DRIVEN]);
    let set = solve_samples(&programs, "driver").unwrap();
    let (shard, routing) = serve_samples(&programs, &set, "driver", limits)
        .await
        .unwrap();
    tokio::task::spawn_local(Rc::clone(&shard).pump());
    World { shard, routing }
}

impl World {
    pub(super) async fn lines(&self, what: &str, count: u32) -> Vec<String> {
        let argument = format!("{{\"what\": \"{what}\", \"count\": {count}}}");
        let value = self.call("driver", "run", &argument).await;
        let lines = value["lines"].as_array().unwrap();
        let text = |line: &serde_json::Value| line.as_str().unwrap().to_owned();
        lines.iter().map(text).collect()
    }

    /// Nothing of a request that is over may stay.
    pub(super) fn assert_nothing_is_held(&self) {
        assert!(self.shard.capabilities.borrow().is_empty());
        assert_eq!(self.shard.calls.borrow().iter().count(), 0);
        assert_eq!(self.shard.roots.borrow().len(), 0);
    }
}

#[test]
fn an_object_is_called_through_a_stub_and_comes_home_as_itself() {
    on_shard(|| async {
        let world = world(Limits::ample()).await;
        assert_eq!(world.lines("passed", 0).await, ["ada", "ada"]);
        assert_eq!(
            world.lines("identity", 0).await,
            ["true", "true", "true", "true", "false", "true", "false"]
        );
        assert_eq!(world.lines("home", 0).await, ["true", "mine", "mine"]);
        assert_eq!(world.lines("third", 0).await, ["ada", "true", "bob", "bob"]);
        assert_eq!(world.lines("inherited", 0).await, ["auth itself"]);
        world.assert_nothing_is_held();
    });
}

#[test]
fn results_are_called_before_they_are_there() {
    on_shard(|| async {
        let world = world(Limits::ample()).await;
        let expected = ["ada", "ada+2", "second", "ada", "ada", "ada", "true"];
        assert_eq!(world.lines("pipelined", 0).await, expected);
        world.assert_nothing_is_held();
    });
}

#[test]
fn what_is_built_on_a_failure_fails_with_it() {
    on_shard(|| async {
        let world = world(Limits::ample()).await;
        let lines = world.lines("failing", 0).await;
        for line in &lines[..2] {
            assert!(
                line.contains("failed: ") && line.contains("RangeError: no user here"),
                "{line}"
            );
        }
        assert!(
            lines[2].contains("have no capability there"),
            "{}",
            lines[2]
        );
        assert!(lines[3].contains("no user here"), "{}", lines[3]);
        assert!(
            lines[4].contains("field \"user\": expected an object that implements"),
            "{}",
            lines[4]
        );
        assert!(lines[5].contains("lacks method \"older\""), "{}", lines[5]);
        let lines = world.lines("disposed", 0).await;
        assert!(
            lines[0].starts_with("revoked: ") && lines[0].contains("disposed of"),
            "{}",
            lines[0]
        );
        assert!(lines[1].starts_with("cancelled: "), "{}", lines[1]);
        // Disposed of here, still needed there.
        let lines = world.lines("passed_on", 0).await;
        assert!(lines[0].contains("no user here"), "{}", lines[0]);
        assert!(lines[1].starts_with("cancelled: "), "{}", lines[1]);
        assert_eq!(lines[2..], ["bob", "auth itself"]);
        let lines = world.lines("revoked", 0).await;
        assert!(
            lines[0].starts_with("revoked: ") && lines[0].contains("(auth@1.0.0)"),
            "{}",
            lines[0]
        );
        world.assert_nothing_is_held();
    });
}

/// P4: kept in a global variable, a stub outlives its request and is of no use in the next one.
#[test]
fn a_capability_ends_with_its_request() {
    on_shard(|| async {
        let world = world(Limits::ample()).await;
        world.lines("remember", 0).await;
        let lines = world.lines("recall", 0).await;
        assert!(lines[0].starts_with("requestEnded: "), "{}", lines[0]);
        world.assert_nothing_is_held();
    });
}

/// P4: a stub that another request left behind is of use under the same version set only.
#[test]
fn a_capability_of_another_version_set_is_refused() {
    on_shard(|| async {
        let world = world(Limits::ample()).await;
        world.lines("hold", 60_000).await;
        assert_eq!(world.lines("recall", 0).await, ["ada"]);
        // The driver and auth stay as they are, but are in another set.
        let newer = Sample {
            version: "1.1.0",
            ..RELAY
        };
        let schema = SampleSchema::new(SCHEMA).unwrap();
        let programs = programs(&schema, &[newer, AUTH, DRIVEN]);
        let set = solve_samples(&programs, "driver").unwrap();
        let loaded = world.shard.isolates.borrow().iter().flatten().count();
        world.shard.load(Arc::clone(&programs[0])).await.unwrap();
        world.shard.wire(Arc::clone(&set)).unwrap();
        world.publish(set);
        let lines = world.lines("recall", 0).await;
        assert!(lines[0].starts_with("otherVersionSet: "), "{}", lines[0]);
        assert!(lines[0].contains("pinned to version set"), "{}", lines[0]);
        // Nothing was replaced, which would have lost it as well.
        let now = world.shard.isolates.borrow().iter().flatten().count();
        assert_eq!(now, loaded + 1);
    });
}

/// What lists holders counts what a request keeps in isolates.
#[test]
fn capabilities_are_listed_among_the_holders() {
    on_shard(|| async {
        let world = world(Limits::ample()).await;
        world.lines("hold", 60_000).await;
        let isolates = world.shard.isolates.borrow();
        let mut ids = isolates.iter().flatten().map(|one| one.program.id());
        let auth = ids.find(|id| id.service.as_str() == "auth").unwrap();
        let held = world.shard.holders(auth.digest);
        let kinds: Vec<_> = held
            .listed
            .iter()
            .map(|one| (one.kind, one.count))
            .collect();
        assert_eq!(
            kinds,
            [(LeaseKind::Background, 1), (LeaseKind::Capability, 1)]
        );
        assert_eq!(held.total, 2);
    });
}

#[test]
fn a_capability_whose_isolate_was_replaced_is_lost() {
    on_shard(|| async {
        let limits = Limits {
            heap_mib: 32,
            cpu_ms_per_request: 60_000,
            ..Limits::ample()
        };
        let world = world(limits).await;
        let lines = world.lines("replaced", 0).await;
        assert!(lines[0].contains("heap_mib"), "{}", lines[0]);
        assert!(
            lines[1].starts_with("disconnected: ") && lines[1].contains("was replaced"),
            "{}",
            lines[1]
        );
        assert_eq!(lines[2], "auth itself");
        world.assert_nothing_is_held();
    });
}

/// The caller was built against one version of the interface, the callee against another.
#[test]
fn an_interface_grows_on_either_side() {
    const OLD: &str = "
@0xb98bc7c1a4e7a0d6;
interface Driver { run @0 (what :Text, count :UInt32) -> (lines :List(Text)); }
interface Auth { greet @0 (name :Text) -> (text :Text); session @1 () -> (session :Session); }
interface Session { first @0 () -> (text :Text); }
";
    const NEW: &str = "
@0xb98bc7c1a4e7a0d6;
interface Driver { run @0 (what :Text, count :UInt32) -> (lines :List(Text)); }
interface Auth {
  greet @0 (name :Text, greeting :Text = \"Hello\", times :UInt8 = 1) -> (text :Text, length :UInt32 = 9);
  session @1 () -> (session :Session);
  added @2 () -> (text :Text);
}
interface Session { first @0 () -> (text :Text); second @1 () -> (text :Text); }
";
    let old_auth = Sample {
        service: "auth",
        version: "1.0.0",
        source: "
class Session { first() { return { text: 'first' }; } }
export class AuthService {
  greet(params) { return { text: `old ${params.name} ${params.greeting}` }; }
  session() { return { session: new Session() }; }
}",
        exports: &[("AUTH", "Auth", "AuthService")],
        imports: &[],
        http: false,
    };
    let new_auth = Sample {
        source: "
class Session { first() { return { text: 'first' }; } second() { return { text: 'second' }; } }
export class AuthService {
  greet({ name, greeting, times }) { return { text: `new ${name} ${greeting} ${times}`, length: 4 }; }
  session() { return { session: new Session() }; }
  added() { return { text: 'added' }; }
}",
        ..old_auth
    };
    let driver = Sample {
        service: "driver",
        version: "1.0.0",
        source: "
const told = (promise) => promise.then(JSON.stringify, (error) => `${error.kind}: ${error.message}`);
export class DriverService {
  constructor(env) { this.env = env; }
  async run({ what }) {
    const { AUTH } = this.env;
    const { session } = AUTH.session();
    const lines = [await told(AUTH.greet({ name: 'Ada' })), await told(session.first())];
    if (what === 'all') lines.push(await told(AUTH.added()), await told(session.second()));
    if (what === 'all') lines.push(await told(AUTH.greet({ name: 'Ada', greeting: 'Hi', times: 3 })));
    return { lines };
  }
}",
        exports: &[("DRIVER", "Driver", "DriverService")],
        imports: &[("AUTH", "auth", "^1", "Auth")],
        http: false,
    };
    on_shard(|| async move {
        let [old, new] = [OLD, NEW].map(|text| SampleSchema::new(text).unwrap());
        let meet = async |caller: &SampleSchema, callee: &SampleSchema, auth, what| {
            let mut all = programs(caller, &[Sample { ..driver }]);
            all.extend(programs(callee, &[auth]));
            let set = solve_samples(&all, "driver").unwrap();
            let limits = Limits::ample();
            let (shard, routing) = serve_samples(&all, &set, "driver", limits).await.unwrap();
            tokio::task::spawn_local(Rc::clone(&shard).pump());
            World { shard, routing }.lines(what, 0).await
        };
        // What the older side does not send has its default; what it does not know is left unread.
        assert_eq!(
            meet(&old, &new, new_auth, "known").await,
            [r#"{"text":"new Ada Hello 1"}"#, r#"{"text":"first"}"#]
        );
        // A deployment would not let it come to this.
        let lines = meet(&new, &old, old_auth, "all").await;
        assert_eq!(
            lines[..2],
            [
                r#"{"text":"old Ada undefined","length":9}"#,
                r#"{"text":"first"}"#
            ]
        );
        for line in &lines[2..4] {
            assert!(
                line.starts_with("unimplemented: ") && line.contains("(auth@1.0.0)"),
                "{line}"
            );
        }
        assert_eq!(lines[4], r#"{"text":"old Ada undefined","length":9}"#);
    });
}

/// More stubs and answers than the bound allows at once, in one request: those that nobody uses
/// any more are found by the collector.
#[test]
fn a_long_request_keeps_only_what_it_uses() {
    on_shard(|| async {
        let limits = Limits {
            capabilities_per_request: 20_000,
            cpu_ms_per_request: 60_000,
            ..Limits::ample()
        };
        let world = world(limits).await;
        let lines = world.lines("many", 20_000).await;
        assert!(lines[0].parse::<u64>().unwrap() > 200_000, "{}", lines[0]);
        world.assert_nothing_is_held();
    });
}

#[test]
fn a_call_that_nobody_waits_for_aborts_its_handler_s_signal() {
    on_shard(|| async {
        let world = world(Limits::ample()).await;
        assert_eq!(world.lines("cancelled", 0).await, ["mine: enough", "1"]);
        world.lines("abandoned", 0).await;
        assert_eq!(world.lines("aborted", 0).await, ["2"]);
    });
}
