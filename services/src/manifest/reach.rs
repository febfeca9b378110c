//! What a service asks for beyond other services: outbound requests.

use toml::de::{DeTable, DeValue};

use super::{Reader, Value, kind};
use crate::origin::{ORIGIN_HINT, OriginRule};

/// Origins that one binding may name.
const MAX_ORIGINS: usize = 256;

impl<'t> Reader<'t> {
    /// `[imports.GEO] fetch = ["https://api.example.com"]`; `None` if the import is of another
    /// kind.
    pub(super) fn fetch(&mut self, name: &str, value: &Value<'t>) -> Option<Vec<OriginRule>> {
        let table = value.get_ref().as_table()?;
        let list = table.get("fetch")?;
        let place = format!("[imports.{name}]");
        self.known_keys(table, &place, &["fetch"]);
        Some(self.origins(list, &place))
    }

    fn origins(&mut self, list: &Value<'t>, place: &str) -> Vec<OriginRule> {
        let mut rules = Vec::new();
        let DeValue::Array(items) = list.get_ref() else {
            let message = format!("{place} fetch is {}, not a list", kind(list.get_ref()));
            self.problem(
                &list.span(),
                message,
                "write `fetch = [\"https://api.example.com\"]`",
            );
            return rules;
        };
        if items.is_empty() || items.len() > MAX_ORIGINS {
            let message = format!("{place} fetch has {} origins", items.len());
            self.problem(&list.span(), message, format!("from 1 to {MAX_ORIGINS}"));
        }
        for item in items {
            let text = match item.get_ref().as_str() {
                Some(text) => text,
                None => {
                    let message = format!("{place} fetch holds {}", kind(item.get_ref()));
                    self.problem(&item.span(), message, ORIGIN_HINT);
                    continue;
                }
            };
            rules.extend(self.checked(text.parse::<OriginRule>(), &item.span(), ORIGIN_HINT));
        }
        rules.sort();
        rules.dedup();
        rules
    }

    /// `TOKEN = { secret = true }`
    pub(super) fn is_secret(table: &DeTable<'_>) -> bool {
        table.len() == 1 && table.get("secret").and_then(|v| v.get_ref().as_bool()) == Some(true)
    }
}
