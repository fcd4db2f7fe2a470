//! Reads JSON from outside. A byte order mark at its beginning is skipped, as RFC 8259 allows (section 8.1): some
//! programs write one. Two kinds of object members are refused:
//!
//! - A repeated member. JSON leaves open which of the two counts (RFC 8259, section 4), so one program may read an
//!   amount of 1 where another reads 100.
//! - A member with a name that serde_json reserves for itself. serde_json would read such an object as a number, or as
//!   the JSON inside its string, with no limit to the depth of nesting.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor},
};
use serde_json::Value;

/// The prefix of the names that serde_json reserves for itself.
const RESERVED: &str = "$serde_json::private::";

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON, or it is nested more than 128 levels deep.
    #[error("is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// An object has a member that is not allowed.
    #[error("cannot be accepted: {pointer} {why}")]
    Member {
        /// The JSON pointer to the first such member.
        pointer: String,
        /// What is wrong, worded to follow the member's name.
        why: &'static str,
    },
}

/// Reads JSON from outside.
///
/// # Errors
/// See [`Unreadable`].
pub fn read(json: &[u8]) -> Result<Value, Unreadable> {
    let json = without_byte_order_mark(json);
    // The search comes first, because reading a `Value` interprets reserved names.
    let mut found = Found::default();
    let searched = Search(&mut found).deserialize(&mut serde_json::Deserializer::from_slice(json));
    if let Some(why) = found.why {
        let pointer = found.path.iter().rev().map(|name| pointer_to(name)).collect();
        return Err(Unreadable::Member { pointer, why });
    }
    searched?;
    Ok(serde_json::from_slice(json)?)
}

/// A text of JSON without the byte order mark that some programs write before it.
pub fn without_byte_order_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json)
}

/// The last step of a JSON pointer (RFC 6901) to a member with this name.
pub fn pointer_to(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A refused member, once one is found.
#[derive(Default)]
struct Found {
    /// The path to the member, innermost name first.
    path: Vec<String>,
    why: Option<&'static str>,
}

impl Found {
    fn refuse<E: Error>(&mut self, why: &'static str) -> E {
        self.why = Some(why);
        E::custom(why)
    }
}

/// Walks through a value, and stops with an error at a refused member.
struct Search<'a>(&'a mut Found);

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            match items.next_element_seed(Search(self.0)) {
                Ok(Some(())) => index += 1,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.0.path.push(index.to_string());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let read = if names.contains(&name) {
                Err(self.0.refuse("appears twice"))
            } else if name.starts_with(RESERVED) {
                let number = members.next_value::<Number>().map(|Number| ());
                number.map_err(|_| self.0.refuse("has a reserved name"))
            } else {
                members.next_value_seed(Search(self.0))
            };
            if let Err(error) = read {
                self.0.path.push(name);
                return Err(error);
            }
            names.insert(name);
        }
        Ok(())
    }
}

/// The text of a number. With arbitrary precision, serde_json presents a number as an object of one member with a
/// reserved name, whose value is an owned string. It presents a string of the JSON itself as a borrowed one.
struct Number;

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        Err(E::invalid_type(Unexpected::Str(text), &self))
    }

    fn visit_string<E>(self, _: String) -> Result<Number, E> {
        Ok(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> Option<(String, &'static str)> {
        match read(json.as_bytes()) {
            Ok(_) => None,
            Err(Unreadable::Member { pointer, why }) => Some((pointer, why)),
            Err(Unreadable::NotJson(error)) => panic!("{json}: {error}"),
        }
    }

    #[test]
    fn the_first_repeated_member_is_found_at_any_depth() {
        for (json, pointer) in [
            (r#"{"amount": 1, "amount": 100}"#, "/amount"),
            (r#"{"amount": 1, "\u0061mount": 1}"#, "/amount"),
            (r#"[{"a": 1}, {"b": 1, "b": null}]"#, "/1/b"),
            (r#"{"a": {"b": [0, {"c/d~e": 1, "c/d~e": 1}]}, "a": 1}"#, "/a/b/1/c~1d~0e"),
            (r#"{"": 1, "": 2}"#, "/"),
        ] {
            assert_eq!(refused(json), Some((pointer.to_owned(), "appears twice")), "{json}");
        }
    }

    #[test]
    fn a_name_that_serde_json_reserves_is_found_at_any_depth() {
        for (json, parent) in [
            (r#"{"$serde_json::private::RawValue": "{\"amount\": 1, \"amount\": 100}"}"#, ""),
            (r#"{"amount": {"$serde_json::private::Number": "1"}}"#, "/amount"),
            (r#"{"amount": {"\u0024serde_json::private::Number": "\u0031"}}"#, "/amount"),
            (r#"[1, {"a": 1, "$serde_json::private::RawValue": "[]"}]"#, "/1"),
            (r#"{"a": [{"$serde_json::private::Number": 1}]}"#, "/a/0"),
            (r#"{"a": [{"$serde_json::private::Number": {"b": []}}]}"#, "/a/0"),
            (r#"{"a": [{"$serde_json::private::": null}]}"#, "/a/0"),
        ] {
            let (pointer, why) = refused(json).expect(json);
            assert!(pointer.starts_with(&format!("{parent}/$serde_json::private::")), "{pointer}");
            assert_eq!(why, "has a reserved name");
        }
    }

    #[test]
    fn all_other_json_is_accepted() {
        for json in [
            r#"{"a": {"b": 1}, "b": {"b": -1.5e300}, "c": [true, null, "a", 1, -1, 1.0]}"#,
            r#"{"$serde_json": 1, "a": "$serde_json::private::Number"}"#,
            "123456789012345678901234567890.123456789",
            "17",
        ] {
            let json = json.replace(' ', "");
            assert_eq!(read(json.as_bytes()).unwrap().to_string(), json.replace("e300", "e+300"));
        }
    }

    #[test]
    fn one_byte_order_mark_at_the_beginning_is_skipped() {
        assert_eq!(read("\u{feff}{\"a\": 1}".as_bytes()).unwrap().to_string(), r#"{"a":1}"#);
        for text in ["\u{feff}\u{feff}1", "[\u{feff}1]", "1\u{feff}", "\u{feff}"] {
            assert!(matches!(read(text.as_bytes()), Err(Unreadable::NotJson(_))), "{text:?}");
        }
    }

    #[test]
    fn a_text_that_is_not_json_is_distinguished_from_a_refused_member() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in ["", "{", "1 2", r#"{"a": 1, "b"#, r#"{"a": 1, 2}"#, &deep] {
            let result = read(text.as_bytes());
            assert!(matches!(result, Err(Unreadable::NotJson(_))), "{text}: {result:?}");
        }
    }
}
