//! `isolith history` and `isolith rollback`.

use std::time::{Duration, UNIX_EPOCH};

use super::print;
use super::remote::{Target, report};
use crate::app::Failure;
use crate::state::Entry;

/// `isolith history [--most COUNT] [--json]`: the newest change first.
pub(super) fn history(most: u32, json: bool, target: &Target) -> Result<(), Failure> {
    let entries = target.ask(async |client| Ok(client.history(most).await?))?;
    match json {
        true => print(serde_json::to_string_pretty(&entries)?),
        false => print(entries.iter().map(describe).collect::<Vec<_>>().join("\n")),
    }
}

/// `isolith rollback NUMBER [--message TEXT]`
pub(super) fn rollback(number: u64, message: &str, target: &Target) -> Result<(), Failure> {
    let changed = target.ask(async |client| Ok(client.rollback(number, message).await?))?;
    report("rolled back", changed)
}

fn describe(entry: &Entry) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(entry.at_ms);
    let at = humantime::format_rfc3339_seconds(at);
    let mut lines = format!("{}  {at}  {}  {}", entry.number, entry.who, entry.action);
    if !entry.message.is_empty() {
        lines += &format!("\n    {}", entry.message.replace('\n', "\n    "));
    }
    let (epoch, bundles) = (entry.epoch, entry.bundles.join(" "));
    lines + &format!("\n    epoch {epoch}, in force: {bundles}")
}
