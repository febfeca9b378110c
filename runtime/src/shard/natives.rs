//! The native services of one shard.

use std::rc::Rc;
use std::sync::Arc;

use isolith_versions::Digest;
use tokio::sync::mpsc::unbounded_channel;

use super::Shard;
use super::outside::Outside;
use crate::error::LoadError;
use crate::isolate::IsolateStats;
use crate::native::NativeCode;
use crate::native::vat::Vat;
use crate::program::Program;

impl Shard {
    /// Makes a native service's exports. Does nothing if they are made already.
    pub(super) fn load_native(
        self: &Rc<Self>,
        program: &Arc<Program>,
        code: &Arc<NativeCode>,
    ) -> Result<(), LoadError> {
        if self.native(program.id().digest).is_some() {
            return Ok(());
        }
        let (to_party, told) = unbounded_channel();
        let outside = self.take_in(Arc::clone(program), to_party);
        let begun = Vat::begin(self, &outside, code, told);
        begun.map_err(|reason| LoadError::Threw {
            bundle: program.id().to_string(),
            reason,
        })?;
        self.natives.borrow_mut().push(outside);
        Ok(())
    }

    /// The native service with this digest, if it is loaded.
    pub(super) fn native(&self, digest: Digest) -> Option<Rc<Outside>> {
        let natives = self.natives.borrow();
        let is_it = |native: &&Rc<Outside>| {
            let program = native.program();
            program.is_some_and(|program| program.id().digest == digest)
        };
        natives.iter().find(is_it).map(Rc::clone)
    }

    /// What those did that some set has.
    pub(super) fn native_stats(&self) -> Vec<IsolateStats> {
        let sets = self.sets.borrow();
        let wired = |native: &&Rc<Outside>| {
            let mut members = sets.iter().flat_map(|set| set.members());
            members.any(|member| *member == **native)
        };
        let natives = self.natives.borrow();
        let natives = natives.iter().filter(wired);
        natives.filter_map(|native| native.stats()).collect()
    }
}
