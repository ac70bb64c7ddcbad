//! Typed reading of `[gateway]` keys.

use super::SettingFault;

/// The `[gateway]` table of a job, or a table below it.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    table: &'a toml::Table,
    /// Where the table stands below `gateway`, with its dot; empty for `[gateway]` itself.
    prefix: &'a str,
}

impl<'a> Keys<'a> {
    /// The keys of `[gateway]`.
    pub fn gateway(table: &'a toml::Table) -> Keys<'a> {
        Keys { table, prefix: "" }
    }

    /// The keys of a table below it; `prefix` ends with a dot.
    pub fn below(table: &'a toml::Table, prefix: &'a str) -> Keys<'a> {
        Keys { table, prefix }
    }

    /// A fault of `key`.
    pub fn fault(&self, key: &str, text: impl Into<String>) -> SettingFault {
        SettingFault { key: format!("{}{key}", self.prefix), text: text.into() }
    }

    fn mistyped(&self, key: &str, found: &toml::Value, expected: &str) -> SettingFault {
        self.fault(key, format!("found {} `{found}`, expected {expected}", found.type_str()))
    }

    /// The value as it stands.
    pub fn get(&self, key: &str) -> Option<&'a toml::Value> {
        self.table.get(key)
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, SettingFault> {
        match self.get(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.mistyped(key, other, "a text in quotes")),
        }
    }

    /// A text that goes into a header or a path: visible ASCII, at least one character. Required without `default`.
    pub fn token(&self, key: &str, default: Option<&'a str>) -> Result<&'a str, SettingFault> {
        let text = self.text(key)?.or(default).ok_or_else(|| self.fault(key, "missing; this dialect needs it"))?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.fault(key, format!("found {text:?}, expected visible ASCII characters without blanks")));
        }
        Ok(text)
    }

    /// A list of texts, none of them empty or twice.
    pub fn texts(&self, key: &str, default: &[&'a str]) -> Result<Vec<&'a str>, SettingFault> {
        const EXPECTED: &str = "a list of texts in quotes, as [\"a\", \"b\"]";
        let texts = match self.get(key) {
            None => return Ok(default.to_vec()),
            Some(value) => value
                .as_array()
                .and_then(|items| items.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>())
                .ok_or_else(|| self.mistyped(key, value, EXPECTED))?,
        };
        for (at, text) in texts.iter().enumerate() {
            if text.is_empty() {
                return Err(self.fault(key, "found an empty text in the list; remove it"));
            }
            if texts[..at].contains(text) {
                return Err(self.fault(key, format!("found {text:?} twice; remove one")));
            }
        }
        Ok(texts)
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], default: T) -> Result<T, SettingFault> {
        let Some(found) = self.text(key)? else { return Ok(default) };
        words.iter().find(|(word, _)| *word == found).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.fault(key, format!("found {found:?}, expected {}", words.join(" or ")))
        })
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, SettingFault> {
        match self.get(key) {
            None => Ok(default),
            Some(toml::Value::Boolean(flag)) => Ok(*flag),
            Some(other) => Err(self.mistyped(key, other, "true or false")),
        }
    }

    /// A whole number from 0 on.
    pub fn number(&self, key: &str, default: u32) -> Result<u32, SettingFault> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_integer()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| self.mistyped(key, value, "a whole number from 0 on, without quotes")),
        }
    }

    /// A table; empty where it is absent.
    pub fn entries(
        &self,
        key: &str,
    ) -> Result<impl Iterator<Item = (&'a str, &'a toml::Value)> + use<'a>, SettingFault> {
        let table = match self.get(key) {
            None => None,
            Some(toml::Value::Table(table)) => Some(table),
            Some(other) => return Err(self.mistyped(key, other, "a table")),
        };
        Ok(table.into_iter().flatten().map(|(name, value)| (name.as_str(), value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_wrong_type_are_named() {
        let table: toml::Table =
            "path = 1\nflag = 'yes'\nlist = ['a', 'a']\nversion = -1\nword = 'no'".parse().unwrap();
        let keys = Keys::gateway(&table);
        for (fault, expected) in [
            (keys.token("path", None).unwrap_err(), "gateway.path: found integer `1`, expected a text in quotes"),
            (keys.token("client_id", None).unwrap_err(), "gateway.client_id: missing; this dialect needs it"),
            (keys.flag("flag", false).unwrap_err(), "gateway.flag: found string `\"yes\"`, expected true or false"),
            (keys.texts("list", &[]).unwrap_err(), "gateway.list: found \"a\" twice; remove one"),
            (
                keys.word("word", &[("a", 1), ("b", 2)], 1).unwrap_err(),
                "gateway.word: found \"no\", expected \"a\" or \"b\"",
            ),
        ] {
            assert_eq!(fault.to_string(), expected);
        }
        assert!(keys.number("version", 1).is_err());
        assert!(keys.token("blank", Some("a b")).is_err());
        assert_eq!(keys.number("other", 7), Ok(7));
    }
}
