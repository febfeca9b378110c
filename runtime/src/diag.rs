//! tmp
#![allow(missing_docs, clippy::all)]
use std::cell::RefCell;
use std::collections::BTreeMap;
thread_local! { static LAPS: RefCell<(f64, BTreeMap<&'static str, Vec<f64>>)> = RefCell::default(); }
pub(crate) fn begin() { LAPS.with_borrow_mut(|l| l.0 = crate::shard::thread_cpu_time().as_secs_f64()*1e6); }
pub(crate) fn lap(name: &'static str) { LAPS.with_borrow_mut(|l| { let now = crate::shard::thread_cpu_time().as_secs_f64()*1e6; l.1.entry(name).or_default().push(now - l.0); l.0 = now; }); }
pub(crate) fn print() { LAPS.with_borrow_mut(|l| for (k,v) in &mut l.1 { v.sort_by(f64::total_cmp); eprintln!("  {k}: {:.0} us ({})", v[v.len()/2], v.len()); }); }
pub(crate) fn on(what: &str) -> bool { std::env::var("ISO").is_ok_and(|s| s.split(',').any(|x| x == what)) }
pub(crate) fn num(what: &str) -> Option<usize> { std::env::var("ISO").ok()?.split(',').find_map(|x| x.strip_prefix(what)?.strip_prefix('=')?.parse().ok()) }
pub(crate) fn spaces(isolate: &mut v8::Isolate) {
    let h = isolate.get_heap_statistics();
    eprintln!("  heap: used {} K, total {} K, physical {} K, malloced {} K peak {} K, external {} K, native ctx {}", h.used_heap_size()>>10, h.total_heap_size()>>10, h.total_physical_size()>>10, h.malloced_memory()>>10, h.peak_malloced_memory()>>10, h.external_memory()>>10, h.number_of_native_contexts());
    for i in 0..isolate.number_of_heap_spaces() {
        if let Some(s) = isolate.get_heap_space_statistics(i) {
            eprintln!("   {:?}: size {} K used {} K avail {} K physical {} K", s.space_name(), s.space_size()>>10, s.space_used_size()>>10, s.space_available_size()>>10, s.physical_space_size()>>10);
        }
    }
}
pub(crate) fn smaps(file: &str) { let _ = std::fs::copy("/proc/self/smaps", file); }
