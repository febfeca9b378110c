//! Entries of the history, as they cross the socket.

use capnp::text_list;
use isolith_capnp::control_capnp::history_entry;

use crate::state::Entry;

/// Writes an entry into its message.
pub(super) fn write_entry(entry: &Entry, mut to: history_entry::Builder<'_>) {
    to.set_number(entry.number);
    to.set_at_ms(entry.at_ms);
    to.set_who(&entry.who[..]);
    to.set_action(&entry.action[..]);
    to.set_message(&entry.message[..]);
    to.set_epoch(entry.epoch);
    to.set_set(&entry.set[..]);
    write_texts(&entry.bundles, |count| to.reborrow().init_bundles(count));
    let pool: Vec<_> = entry.pool.iter().map(ToString::to_string).collect();
    write_texts(&pool, |count| to.reborrow().init_pool(count));
}

/// Reads an entry from its message.
///
/// # Errors
/// If the message is malformed.
pub(super) fn read_entry(from: history_entry::Reader<'_>) -> Result<Entry, capnp::Error> {
    let pool = texts(from.get_pool()?)?;
    let digest = |text: &String| {
        let digest = text.parse();
        digest.map_err(|error| capnp::Error::failed(format!("{error}")))
    };
    Ok(Entry {
        number: from.get_number(),
        at_ms: from.get_at_ms(),
        who: from.get_who()?.to_string()?,
        action: from.get_action()?.to_string()?,
        message: from.get_message()?.to_string()?,
        epoch: from.get_epoch(),
        set: from.get_set()?.to_string()?,
        bundles: texts(from.get_bundles()?)?,
        pool: pool.iter().map(digest).collect::<Result<_, _>>()?,
    })
}

/// A list of texts.
pub(super) fn texts(list: text_list::Reader<'_>) -> Result<Vec<String>, capnp::Error> {
    list.iter().map(|text| Ok(text?.to_string()?)).collect()
}

/// Writes texts into the list that `init` makes.
pub(super) fn write_texts<'b>(texts: &[String], init: impl FnOnce(u32) -> text_list::Builder<'b>) {
    let mut list = init(u32::try_from(texts.len()).unwrap_or(u32::MAX));
    for (place, text) in (0..).zip(texts) {
        list.set(place, &text[..]);
    }
}
