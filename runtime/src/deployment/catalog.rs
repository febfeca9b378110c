//! Every bundle that was ever deployed, and how they could be wired. Pure: no shard, no disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use isolith_capnp::compat::{self, Incompatibility};
use isolith_capnp::model::Schema;
use isolith_services::bundle::Bundle;
use isolith_versions::{
    BundleFacts, BundleId, Candidate, Digest, Entry, ExportFact, Range, ServiceName, Version,
    VersionSet, World, solve,
};

use super::Refused;

/// Bundles that one process knows. A change to this many versions calls for another design.
const MAX_KNOWN_BUNDLES: usize = 4096;

/// Differences between two schemas that one refusal lists.
const MAX_SHOWN: usize = 8;

/// What is known, and what requests enter by.
///
/// A bundle stays known when no set names it any more, so that a way back stays open.
#[derive(Clone)]
pub(crate) struct Catalog {
    entries: Vec<Entry>,
    world: World,
    /// By bundle; none for a bundle without interfaces.
    schemas: BTreeMap<Digest, Arc<Schema>>,
}

/// The bundles that a wiring may choose from, by digest.
pub(crate) type Pool = BTreeSet<Digest>;

/// A change that was checked and not carried out.
#[derive(Clone)]
pub(crate) struct Plan {
    /// The catalog with the new bundles.
    pub(crate) catalog: Catalog,
    /// What the set was chosen from.
    pub(crate) pool: Pool,
    /// How everything would be wired.
    pub(crate) set: Arc<VersionSet>,
}

impl Catalog {
    /// Knows nothing. Requests will enter by the newest versions of `entries`.
    ///
    /// # Errors
    /// Never in practice: an empty world is consistent.
    pub(crate) fn new(entries: impl IntoIterator<Item = ServiceName>) -> Result<Self, Refused> {
        let entry = |service| Entry {
            service,
            range: Range::any(),
        };
        Ok(Catalog {
            entries: entries.into_iter().map(entry).collect(),
            world: World::new([]).map_err(refused)?,
            schemas: BTreeMap::new(),
        })
    }

    /// Every bundle known.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// The bundle with this digest, if it is known. Cost: a scan.
    pub(crate) fn find(&self, digest: &Digest) -> Option<&Arc<BundleFacts>> {
        let mut bundles = self.world.bundles().iter();
        bundles.find(|bundle| bundle.id.digest == *digest)
    }

    /// The catalog that knows `bundles` too.
    ///
    /// # Errors
    /// If one is damaged, or has the version of another one that is known.
    pub(crate) fn with(&self, bundles: &[Bundle]) -> Result<Self, Refused> {
        let mut schemas = self.schemas.clone();
        for bundle in bundles.iter().filter(|bundle| !bundle.schema().is_empty()) {
            if let std::collections::btree_map::Entry::Vacant(place) =
                schemas.entry(bundle.digest())
            {
                let schema = Schema::read(bundle.schema())
                    .map_err(|error| Refused(format!("{}: {error}", bundle.id())))?;
                place.insert(Arc::new(schema));
            }
        }
        let facts = bundles.iter().map(|bundle| bundle.facts());
        let known = self.world.bundles().iter().chain(facts).cloned();
        let world = World::new(known).map_err(refused)?;
        if world.bundles().len() > MAX_KNOWN_BUNDLES {
            return Err(Refused(format!(
                "the process would know more than {MAX_KNOWN_BUNDLES} bundles: begin anew with \
                 those that are still wanted, in another data directory"
            )));
        }
        Ok(Catalog {
            entries: self.entries.clone(),
            world,
            schemas,
        })
    }

    /// Adds `bundles` to those of `pool` and wires everything anew, the newest versions preferred.
    ///
    /// # Errors
    /// Why the bundles do not fit together, for a person.
    pub(crate) fn plan(&self, pool: &Pool, bundles: &[Bundle]) -> Result<Plan, Refused> {
        let catalog = self.with(bundles)?;
        let mut pool = pool.clone();
        pool.extend(bundles.iter().map(Bundle::digest));
        let plan = catalog.rewire(pool)?;
        plan.catalog.require_all_usable(&plan, bundles)?;
        Ok(plan)
    }

    /// Requires that no one of `bundles` was passed over because it cannot be used.
    ///
    /// # Errors
    /// Why one cannot be used, for a person.
    pub(crate) fn require_all_usable(
        &self,
        plan: &Plan,
        bundles: &[Bundle],
    ) -> Result<(), Refused> {
        let world = self.pick(&plan.pool)?;
        let mut bundles = bundles.iter();
        bundles.try_for_each(|bundle| self.require_usable(&world, bundle.facts(), &plan.set))
    }

    /// Wires everything anew from the bundles in `pool`, the newest versions preferred.
    ///
    /// # Errors
    /// Why they do not fit together, for a person.
    pub(crate) fn rewire(self, pool: Pool) -> Result<Plan, Refused> {
        let set = self.solve(&self.pick(&pool)?, &self.entries)?;
        Ok(Plan {
            set: Arc::new(set),
            pool,
            catalog: self,
        })
    }

    /// Wires everything from the bundles in `pool`, but so that the candidates are used in place of
    /// other versions of their services: everywhere if that can be, or else where versions of their
    /// line (`1.x`) were used. The plan's pool lacks what they took the place of, so wiring from it
    /// again gives the same set.
    ///
    /// # Errors
    /// Why the candidates cannot be wired, or that nothing would use one, for a person.
    pub(crate) fn pinned(self, pool: &Pool, candidates: &[Digest]) -> Result<Plan, Refused> {
        let mut pinned = Vec::new();
        for digest in candidates {
            let known = self.find(digest).map(Arc::clone);
            pinned.push(known.ok_or_else(|| Refused(format!("{digest} is not deployed")))?);
        }
        let without = |replaced: &dyn Fn(&BundleId, &BundleId) -> bool| -> Pool {
            let stays = |digest: &&Digest| {
                let bundle = self.find(digest);
                bundle.is_some_and(|bundle| !pinned.iter().any(|pin| replaced(&pin.id, &bundle.id)))
            };
            let kept = pool.iter().filter(stays).copied();
            kept.chain(candidates.iter().copied()).collect()
        };
        let same_service = |pin: &BundleId, other: &BundleId| pin.service == other.service;
        let same_line = |pin: &BundleId, other: &BundleId| {
            pin.service == other.service && one_line(&pin.version, &other.version)
        };
        let mut reason = None;
        for pool in [without(&same_service), without(&same_line)] {
            let world = self.pick(&pool)?;
            match self.solve(&world, &self.entries) {
                Err(refused) => reason = Some(refused),
                Ok(set) => match pinned.iter().find(|pin| set.find(pin.id.digest).is_none()) {
                    Some(unused) => reason = Some(self.unused(unused, &pinned, &set, reason)),
                    None => {
                        return Ok(Plan {
                            set: Arc::new(set),
                            pool,
                            catalog: self,
                        });
                    }
                },
            }
        }
        Err(reason.unwrap_or_else(|| Refused("there is no candidate".to_owned())))
    }

    /// Why a set that was to use `bundle` does not; `alone` is why it cannot be the only version of
    /// its service.
    fn unused(
        &self,
        bundle: &BundleFacts,
        pinned: &[Arc<BundleFacts>],
        set: &VersionSet,
        alone: Option<Refused>,
    ) -> Refused {
        let id = &bundle.id;
        let rival = pinned.iter().map(|other| &other.id).find(|other| {
            *other != id && other.service == id.service && one_line(&other.version, &id.version)
        });
        if let Some(rival) = rival {
            return Refused(format!(
                "{id} and {rival} cannot both be used: a version set has one version of each line \
                 of a service"
            ));
        }
        let callers = set.bundles().iter();
        let misfits: Vec<_> = callers
            .flat_map(|caller| self.misfits(caller, bundle))
            .collect();
        match misfits.is_empty() {
            true => Refused(format!(
                "no request would use {id}: nothing asks for that version of {}{}",
                id.service,
                alone.map_or(String::new(), |Refused(reason)| format!("\n{reason}"))
            )),
            false => Refused(format!("{id} cannot be used:\n{}", misfits.join("\n"))),
        }
    }

    /// The known bundles that are in `pool`.
    fn pick(&self, pool: &Pool) -> Result<World, Refused> {
        let known = self.world.bundles().iter();
        let picked = known.filter(|bundle| pool.contains(&bundle.id.digest));
        World::new(picked.cloned()).map_err(refused)
    }

    fn solve(&self, world: &World, entries: &[Entry]) -> Result<VersionSet, Refused> {
        solve(world, entries, &|edge| self.fits(edge)).map_err(refused)
    }

    /// The solver passes over a version that cannot be wired and takes an older one. Whoever
    /// deploys that version wants to know why, so it is a refusal; that it is too old, or that
    /// nobody asks for it, is none.
    fn require_usable(
        &self,
        world: &World,
        bundle: &BundleFacts,
        set: &VersionSet,
    ) -> Result<(), Refused> {
        let id = &bundle.id;
        let compatible = Range::new(&format!("^{}", id.version)).map_err(refused)?;
        let used_or_outdated = set.bundles().iter().any(|chosen| {
            let (service, version) = (&chosen.id.service, &chosen.id.version);
            *service == id.service && (*version == id.version || compatible.contains(version))
        });
        if used_or_outdated {
            return Ok(());
        }
        // Could it be wired, beside whatever else is wanted?
        let exactly = Range::new(&format!("={}", id.version)).map_err(refused)?;
        let mut entries = self.entries.clone();
        entries.retain(|entry| entry.service != id.service);
        entries.push(Entry {
            service: id.service.clone(),
            range: exactly,
        });
        let unusable = |reason: String| Refused(format!("{id} cannot be used:\n{reason}"));
        self.solve(world, &entries)
            .map_err(|Refused(reason)| unusable(reason))?;
        // Would those who ask for it understand it?
        let misfits: Vec<_> = set
            .bundles()
            .iter()
            .flat_map(|caller| self.misfits(caller, bundle))
            .collect();
        match misfits.is_empty() {
            true => Ok(()),
            false => Err(unusable(misfits.join("\n"))),
        }
    }

    /// Why `caller`, whose ranges admit `callee`, cannot call it; a line for each such import.
    fn misfits(&self, caller: &BundleFacts, callee: &BundleFacts) -> Vec<String> {
        let mut lines = Vec::new();
        for (place, import) in caller.imports.iter().enumerate() {
            if import.service != callee.id.service || !import.range.contains(&callee.id.version) {
                continue;
            }
            let serves = |export: &ExportFact| {
                let named = import
                    .export
                    .as_ref()
                    .is_none_or(|name| *name == export.name);
                named && export.interface == import.interface
            };
            let reason = match callee.exports.iter().position(serves) {
                None => Err("does not export that interface".to_owned()),
                Some(export) => self.fits(Candidate {
                    caller,
                    import: place,
                    callee,
                    export,
                }),
            };
            if let Err(reason) = reason {
                lines.push(format!(
                    "- {} asks for {} {} (import {}), but {} {reason}\n    hint: keep the \
                     interface compatible, or give the bundle a version outside of that range",
                    caller.id, import.service, import.range, import.name, callee.id
                ));
            }
        }
        lines
    }

    /// Whether the callee still understands what the caller was built against.
    fn fits(&self, edge: Candidate<'_>) -> Result<(), String> {
        let schema = |bundle: &BundleFacts| {
            let schema = self.schemas.get(&bundle.id.digest);
            schema.ok_or_else(|| format!("cannot be checked: {} carries no schema", bundle.id))
        };
        let import = edge
            .caller
            .imports
            .get(edge.import)
            .ok_or("has no such import")?;
        let (caller, callee) = (schema(edge.caller)?, schema(edge.callee)?);
        compat::check(caller, callee, import.interface).map_err(|found| misfit(&found))
    }
}

/// Requires that service `entry` handles HTTP in `set`.
///
/// # Errors
/// If the version that was chosen does not.
pub(crate) fn require_http(set: &VersionSet, entry: &ServiceName) -> Result<(), Refused> {
    let place = set.entry(entry.as_str());
    let chosen = place.and_then(|place| set.bundles().get(place));
    match chosen {
        Some(bundle) if !bundle.http => Err(Refused(format!(
            "{} is the application's entry and does not handle HTTP\n  hint: \
             its main module must `export default {{ async fetch(request, env, ctx) {{ ... }} }}`",
            bundle.id
        ))),
        _ => Ok(()),
    }
}

impl Plan {
    /// One line for each bundle and edge of the set, then one for each bundle left out.
    pub(crate) fn wiring(&self) -> Vec<String> {
        let set = &self.set;
        let entries: BTreeSet<_> = set.entries().iter().map(|(_, place)| *place).collect();
        let mut lines = Vec::new();
        for (place, bundle) in set.bundles().iter().enumerate() {
            let mark = match (entries.contains(&place), bundle.native) {
                (true, _) => "  entry",
                (false, true) => "  native",
                (false, false) => "",
            };
            lines.push(format!("{}  {}{mark}", bundle.id, bundle.id.digest.short()));
            for (import, edge) in bundle.imports.iter().zip(set.edges(place)) {
                let Some(callee) = set.bundles().get(edge.callee) else {
                    continue;
                };
                let export = callee
                    .exports
                    .get(edge.export)
                    .map_or("", |export| &export.name);
                lines.push(format!(
                    "  {} -> {} {export}  (asks for {})",
                    import.name, callee.id, import.range
                ));
            }
        }
        for bundle in self.catalog.world.bundles() {
            if set.find(bundle.id.digest).is_none() {
                let digest = bundle.id.digest.short();
                lines.push(format!("{}  {digest}  known, and not in use", bundle.id));
            }
        }
        lines
    }
}

/// Whether callers take the two versions for compatible: `1.x`, `0.3.x`, `0.0.4`, as in Cargo.
fn one_line(one: &Version, other: &Version) -> bool {
    let line = |version: &Version| match (version.major, version.minor) {
        (0, 0) => (0, 0, version.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    };
    line(one) == line(other)
}

/// Completes "auth@2.0.0 ..." with what the caller would miss.
fn misfit(found: &[Incompatibility]) -> String {
    let shown: Vec<_> = found
        .iter()
        .take(MAX_SHOWN)
        .map(ToString::to_string)
        .collect();
    let rest = match found.len().saturating_sub(MAX_SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "does not fit the schema that its caller was built with: {}{rest}",
        shown.join("; ")
    )
}

fn refused(error: impl std::fmt::Display) -> Refused {
    Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    use isolith_services::bundle::{Content, ImportContent, ModuleContent};

    fn bundle(service: &str, version: &str, http: bool, source: &str) -> Bundle {
        asking(service, version, http, source, &[])
    }

    /// Asks for each of `imports`: a service and a range.
    fn asking(
        service: &str,
        version: &str,
        http: bool,
        source: &str,
        imports: &[(&str, &str)],
    ) -> Bundle {
        let import = |(service, range): &(&str, &str)| ImportContent {
            name: service.to_uppercase(),
            service: service.parse().unwrap(),
            range: Range::new(range).unwrap(),
            export: None,
            interface: 1,
            interface_name: "a.capnp:A".into(),
        };
        let module = ModuleContent {
            specifier: "main.js".into(),
            source: source.into(),
            source_map: String::new(),
        };
        let content = Content {
            service: service.parse().unwrap(),
            version: version.parse().unwrap(),
            http,
            native: false,
            modules: vec![module],
            exports: vec![],
            imports: imports.iter().map(import).collect(),
            fetches: vec![],
            vars: BTreeMap::new(),
            secrets: Default::default(),
            limits: Default::default(),
            schema: vec![],
            dependencies: vec![],
        };
        Bundle::read(&content.encode().unwrap()).unwrap()
    }

    fn shop() -> Catalog {
        Catalog::new(["shop".parse().unwrap()]).unwrap()
    }

    fn reason(result: Result<Plan, Refused>) -> String {
        result.map(|_| ()).unwrap_err().0
    }

    #[test]
    fn the_newest_version_is_wired_and_the_old_one_stays_known() {
        let first = shop()
            .plan(&Pool::new(), &[bundle("shop", "1.0.0", true, "1")])
            .unwrap();
        let second = first
            .catalog
            .plan(&first.pool, &[bundle("shop", "1.1.0", true, "2")])
            .unwrap();
        assert_ne!(first.set.digest(), second.set.digest());
        let lines = second.wiring();
        assert!(
            lines[0].starts_with("shop@1.1.0") && lines[0].ends_with("entry"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("shop@1.0.0") && lines[1].ends_with("not in use"),
            "{lines:?}"
        );
        // An older one changes nothing.
        let third = second
            .catalog
            .plan(&second.pool, &[bundle("shop", "0.9.0", true, "3")])
            .unwrap();
        assert_eq!(second.set.digest(), third.set.digest());
    }

    #[test]
    fn one_version_is_one_build() {
        let first = shop()
            .plan(&Pool::new(), &[bundle("shop", "1.0.0", true, "1")])
            .unwrap();
        let again = first
            .catalog
            .plan(&first.pool, &[bundle("shop", "1.0.0", true, "1")])
            .unwrap();
        assert_eq!(again.set.digest(), first.set.digest());
        let other = reason(
            first
                .catalog
                .plan(&first.pool, &[bundle("shop", "1.0.0", true, "2")]),
        );
        assert!(
            other.contains("shop@1.0.0 exists as two different bundles"),
            "{other}"
        );
    }

    #[test]
    fn a_version_that_cannot_be_wired_is_refused_and_not_passed_over() {
        let first = shop()
            .plan(&Pool::new(), &[bundle("shop", "1.0.0", true, "1")])
            .unwrap();
        let needy = asking("shop", "1.1.0", true, "2", &[("auth", "^9")]);
        let refusal = reason(first.catalog.plan(&first.pool, &[needy]));
        assert!(
            refusal.starts_with("shop@1.1.0 cannot be used:"),
            "{refusal}"
        );
        assert!(refusal.contains("auth"), "{refusal}");
        // A service that nobody asks for yet must be whole in itself.
        let alone = asking("cart", "1.0.0", false, "3", &[("auth", "^9")]);
        let refusal = reason(first.catalog.plan(&first.pool, &[alone]));
        assert!(
            refusal.starts_with("cart@1.0.0 cannot be used:"),
            "{refusal}"
        );
        let whole = bundle("cart", "1.0.0", false, "4");
        let plan = first.catalog.plan(&first.pool, &[whole]).unwrap();
        assert_eq!(plan.set.digest(), first.set.digest());
    }

    #[test]
    fn the_entry_must_be_there_and_handle_http() {
        let missing = reason(shop().plan(&Pool::new(), &[bundle("auth", "1.0.0", false, "1")]));
        assert!(missing.contains("shop"), "{missing}");
        let plan = shop()
            .plan(&Pool::new(), &[bundle("shop", "1.0.0", false, "1")])
            .unwrap();
        let deaf = require_http(&plan.set, &"shop".parse().unwrap())
            .unwrap_err()
            .0;
        assert!(
            deaf.contains("shop@1.0.0 is the application's entry"),
            "{deaf}"
        );
    }
}
