//! Typed calls through a whole shard, and admission.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::sample::{Sample, SampleSchema, serve_samples, solve_samples};
use crate::shard::{JsonCall, Shard};

type Error = Box<dyn std::error::Error>;

const SCHEMA: &str = "
@0xb0f1d2c3a4958677;
interface Auth {
  check @0 (token :Text) -> (user :User);
  echo @1 (blob :Data) -> (blob :Data);
  session @2 (token :Text) -> (session :Session);
}
interface Session { account @0 () -> (account :Account); }
interface Account { name @0 () -> (name :Text); }
struct User {
  id @0 :UInt32;
  name @1 :Text;
}
interface Driver {
  small @0 (calls :UInt32, width :UInt32) -> (sum :Float64);
  blob @1 (calls :UInt32, bytes :UInt32) -> (sum :Float64);
  chain @2 (calls :UInt32) -> (sum :Float64);
}
";

const AUTH: &str = "
class Account {
  name() { return { name: 'Ada Marlowe' }; }
}
class Session {
  account() { return { account: new Account() }; }
}
export class AuthService {
  session() { return { session: new Session() }; }
  async check({ token }) {
    return { user: { id: token.length, name: 'Ada Marlowe' } };
  }
  async echo({ blob }) {
    if (blob[blob.length - 1] !== 7) throw new Error('the last byte is not what was sent');
    return { blob };
  }
}
";

/// Each call passes an object, and its result is read as a service would read it.
const DRIVER: &str = "
export class DriverService {
  constructor(env) { this.env = env; }
  async small({ calls, width }) {
    const { AUTH } = this.env;
    let sum = 0;
    const worker = async (n) => {
      for (let i = 0; i < n; i++) {
        const { user } = await AUTH.check({ token: 'token-0123456789' });
        sum += user.id + user.name.length;
      }
    };
    const workers = [];
    for (let w = 0; w < width; w++) workers.push(worker(calls / width));
    await Promise.all(workers);
    return { sum };
  }
  async chain({ calls }) {
    const { AUTH } = this.env;
    let sum = 0;
    for (let i = 0; i < calls; i++) {
      sum += (await AUTH.session({ token: 'token-0123456789' }).account().name()).name.length;
    }
    return { sum };
  }
  async blob({ calls, bytes }) {
    const { AUTH } = this.env;
    let blob = new Uint8Array(bytes);
    blob[bytes - 1] = 7;
    let sum = 0;
    for (let i = 0; i < calls; i++) {
      ({ blob } = await AUTH.echo({ blob }));
      sum += blob.length;
    }
    return { sum };
  }
}
";

/// Chains of pipelined calls in one request, and small calls beside them: a request keeps what its
/// chains return.
const CALLS_PER_REQUEST: u32 = 100;
/// Requests of either kind before it is the other's turn.
const REQUESTS_BY_TURNS: u32 = 20;

/// Nanoseconds each.
pub(super) struct TypedCalls {
    /// A small object in, a lazy result out and read; one call in flight.
    pub(super) small_ns: f64,
    /// The same, 32 in flight.
    pub(super) small_32_ns: f64,
    /// 1 MiB of bytes there and back, each side reading a byte of it.
    pub(super) mib_ns: f64,
    pub(super) chains: Chains,
}

/// Three calls, each of what the one before returns, sent together, beside single calls. Both are
/// made in requests of [`CALLS_PER_REQUEST`], by turns: what the machine does meanwhile, and what a
/// request costs, concerns both alike.
pub(super) struct Chains {
    /// Nanoseconds.
    pub(super) ns: f64,
    /// In a single small call.
    pub(super) in_calls: f64,
}

/// One shard with the two services, driven from this thread.
pub(super) struct Bench {
    shard: Rc<Shard>,
}

impl Bench {
    pub(super) async fn new(limits: Limits) -> Result<Self, Error> {
        let schema = SampleSchema::new(SCHEMA)?;
        let auth = schema.program(&Sample {
            service: "auth",
            version: "1.0.0",
            source: AUTH,
            exports: &[("AUTH", "Auth", "AuthService")],
            imports: &[],
            http: false,
        })?;
        let driver = schema.program(&Sample {
            service: "driver",
            version: "1.0.0",
            source: DRIVER,
            exports: &[("DRIVER", "Driver", "DriverService")],
            imports: &[("AUTH", "auth", "^1", "Auth")],
            http: false,
        })?;
        let programs = [auth, driver];
        let set = solve_samples(&programs, "driver")?;
        let (shard, _routing) = serve_samples(&programs, &set, "driver", limits).await?;
        tokio::task::spawn_local(Rc::clone(&shard).pump());
        Ok(Bench { shard })
    }

    async fn run(&self, method: &str, argument: String, calls: u32) -> Result<f64, Error> {
        let start = Instant::now();
        let call = self.shard.call_json(JsonCall {
            service: "driver".into(),
            version: None,
            export: None,
            method: method.into(),
            argument,
            deadline: start + Duration::from_secs(300),
        });
        let reply = call.await?;
        let elapsed = start.elapsed();
        if !reply.json.contains("sum") {
            return Err(format!("unexpected reply {}", reply.json).into());
        }
        Ok(elapsed.as_nanos() as f64 / f64::from(calls))
    }

    pub(super) async fn small(&self, calls: u32, width: u32) -> Result<f64, Error> {
        let argument = format!("{{\"calls\": {calls}, \"width\": {width}}}");
        self.run("small", argument, calls).await
    }

    async fn chains(&self, chains: u32) -> Result<Chains, Error> {
        let (mut single, mut chained) = (0.0, 0.0);
        let turns = chains / (CALLS_PER_REQUEST * REQUESTS_BY_TURNS);
        for _ in 0..turns {
            for _ in 0..REQUESTS_BY_TURNS {
                single += self.small(CALLS_PER_REQUEST, 1).await?;
            }
            for _ in 0..REQUESTS_BY_TURNS {
                let argument = format!("{{\"calls\": {CALLS_PER_REQUEST}}}");
                chained += self.run("chain", argument, CALLS_PER_REQUEST).await?;
            }
        }
        Ok(Chains {
            ns: chained / f64::from(turns * REQUESTS_BY_TURNS),
            in_calls: chained / single,
        })
    }

    pub(super) async fn blob(&self, calls: u32, bytes: u32) -> Result<f64, Error> {
        let argument = format!("{{\"calls\": {calls}, \"bytes\": {bytes}}}");
        self.run("blob", argument, calls).await
    }

    /// One round of small calls, in nanoseconds each, and one of chains.
    pub(super) async fn calls(&self, calls: u32) -> Result<(f64, Chains), Error> {
        Ok((self.small(calls, 1).await?, self.chains(calls / 2).await?))
    }

    /// One round of each measurement.
    pub(super) async fn round(&self, calls: u32) -> Result<TypedCalls, Error> {
        Ok(TypedCalls {
            small_ns: self.small(calls, 1).await?,
            small_32_ns: self.small(calls, 32).await?,
            chains: self.chains(calls / 2).await?,
            mib_ns: self.blob(calls, 1 << 20).await?,
        })
    }
}
