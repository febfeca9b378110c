//! How many isolates this process may have before the system runs out of what they take.
//!
//! V8 has no error for a memory map that the kernel refuses: the process ends. So whoever is about
//! to make many isolates asks here first.

use std::fs;

/// Memory maps that an idle isolate with a small service takes. Measured: 7 for a bare one, 11 for one
/// of 10,000; among few isolates, whose message memory shares maps, 8.
const MAPS_PER_ISOLATE: usize = 12;
/// Maps left to everything else: threads, files, buffers of requests.
const MAPS_RESERVED: usize = 1_024;
/// Address space that an isolate reserves: almost all of it is never touched.
const ADDRESS_MIB_PER_ISOLATE: usize = 800;
/// Resident memory of an idle isolate with a small service. Measured: 1,237 for one of 10,000.
const RESIDENT_KIB_PER_ISOLATE: usize = 1_344;

/// What the system grants this process, and what of it is in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// `vm.max_map_count`; unlimited if it cannot be read.
    maps_max: usize,
    maps_used: usize,
    /// Memory that can be had without swapping.
    available_kib: usize,
    /// `ulimit -v`.
    address_kib_max: usize,
    address_kib_used: usize,
}

/// The system has no room for so many isolates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    #[error(
        "{isolates} more isolates need about {needed} memory maps beside the {used} in use, and \
         the system allows a process {max}; raise it (sysctl -w vm.max_map_count={advised}), \
         or load fewer services or shards"
    )]
    Maps {
        isolates: usize,
        needed: usize,
        used: usize,
        max: usize,
        advised: usize,
    },
    #[error(
        "{isolates} more isolates need about {needed_mib} MiB of memory, and {available_mib} MiB \
         are available; load fewer services or shards, or give the machine more"
    )]
    Memory {
        isolates: usize,
        needed_mib: usize,
        available_mib: usize,
    },
    #[error(
        "{isolates} more isolates reserve about {needed_mib} MiB of address space beside the \
         {used_mib} MiB in use, and the process may have {max_mib}; raise it (ulimit -v), or load \
         fewer services or shards"
    )]
    Address {
        isolates: usize,
        needed_mib: usize,
        used_mib: usize,
        max_mib: usize,
    },
}

impl Capacity {
    /// As of now. Reads a few files of `/proc`: up to some milliseconds with many maps.
    pub(crate) fn of_this_process() -> Self {
        let unlimited = usize::MAX;
        let statm = |field| statm_pages(field).unwrap_or(0) * page_kib();
        Capacity {
            maps_max: read_number("/proc/sys/vm/max_map_count").unwrap_or(unlimited),
            maps_used: maps(),
            available_kib: available_kib().unwrap_or(unlimited),
            address_kib_max: address_limit_kib(),
            address_kib_used: statm(0),
        }
    }

    /// Whether so many more isolates may be made.
    ///
    /// # Errors
    /// What there is too little of, how much is needed, and what to do.
    pub(crate) fn check(&self, isolates: usize) -> Result<(), NoRoom> {
        let needed = isolates.saturating_mul(MAPS_PER_ISOLATE);
        let total = self.maps_used.saturating_add(needed) + MAPS_RESERVED;
        if total > self.maps_max {
            return Err(NoRoom::Maps {
                isolates,
                needed,
                used: self.maps_used,
                max: self.maps_max,
                advised: total.next_power_of_two(),
            });
        }
        let needed_kib = isolates.saturating_mul(RESIDENT_KIB_PER_ISOLATE);
        if needed_kib > self.available_kib {
            return Err(NoRoom::Memory {
                isolates,
                needed_mib: needed_kib >> 10,
                available_mib: self.available_kib >> 10,
            });
        }
        let needed_mib = isolates.saturating_mul(ADDRESS_MIB_PER_ISOLATE);
        let used_mib = self.address_kib_used >> 10;
        let max_mib = self.address_kib_max >> 10;
        if used_mib.saturating_add(needed_mib) > max_mib {
            return Err(NoRoom::Address {
                isolates,
                needed_mib,
                used_mib,
                max_mib,
            });
        }
        Ok(())
    }
}

/// Memory of this process that is resident, in KiB; 0 if it cannot be known.
pub(crate) fn resident_kib() -> usize {
    statm_pages(1).unwrap_or(0) * page_kib()
}

/// Memory maps of this process; 0 if they cannot be known.
pub(crate) fn maps() -> usize {
    let maps = fs::read("/proc/self/maps").unwrap_or_default();
    memchr::memchr_iter(b'\n', &maps).count()
}

fn statm_pages(field: usize) -> Option<usize> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    text.split_ascii_whitespace().nth(field)?.parse().ok()
}

fn page_kib() -> usize {
    // SAFETY: asks for a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4_096) >> 10
}

fn read_number(file: &str) -> Option<usize> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn available_kib() -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn address_limit_kib() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is a valid place to write to; if it fails, there is no limit.
    unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    match limit.rlim_cur {
        libc::RLIM_INFINITY => usize::MAX,
        bytes => usize::try_from(bytes >> 10).unwrap_or(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Capacity = Capacity {
        maps_max: 65_530,
        maps_used: 500,
        available_kib: 24 << 20,
        address_kib_max: usize::MAX,
        address_kib_used: 1 << 20,
    };

    #[test]
    fn what_fits_is_let_through() {
        assert_eq!(SMALL.check(4_500), Ok(()));
    }

    #[test]
    fn too_few_maps_are_named_with_the_number_that_would_do() {
        let Err(NoRoom::Maps {
            needed,
            max,
            advised,
            ..
        }) = SMALL.check(10_000)
        else {
            panic!("10,000 isolates do not fit into 65,530 maps");
        };
        assert!(needed > max);
        assert_eq!(
            Capacity {
                maps_max: advised,
                ..SMALL
            }
            .check(10_000),
            Ok(())
        );
    }

    #[test]
    fn too_little_memory_is_refused() {
        let full = Capacity {
            available_kib: 1 << 20,
            ..SMALL
        };
        assert!(matches!(full.check(1_000), Err(NoRoom::Memory { .. })));
        assert_eq!(full.check(100), Ok(()));
    }

    #[test]
    fn address_space_counts_what_is_in_use() {
        let limited = Capacity {
            address_kib_max: 9 << 20,
            address_kib_used: 8 << 20,
            ..SMALL
        };
        assert_eq!(limited.check(1), Ok(()));
        assert!(matches!(limited.check(2), Err(NoRoom::Address { .. })));
    }

    #[test]
    fn this_process_is_looked_at() {
        let now = Capacity::of_this_process();
        assert!(now.maps_used > 0 && now.maps_used < now.maps_max);
        assert!(resident_kib() > 0);
    }
}
