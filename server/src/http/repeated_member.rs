//! An object that names a member twice. JSON leaves open which of the two counts (RFC 8259, section 4), so what
//! one program reads as an amount of 1 another reads as 100.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::fields::pointer_to;

/// The JSON pointer to the first member, at any depth, whose name its object has had already. `json` must be
/// JSON.
pub fn repeated_member(json: &[u8]) -> Option<String> {
    let mut path = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let found = Search(&mut path).deserialize(&mut deserializer).is_err();
    found.then(|| path.iter().rev().map(|name| pointer_to(name)).collect())
}

/// Goes through a value; ends with an error at a repeated member, its path left behind, innermost first.
struct Search<'a>(&'a mut Vec<String>);

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
                    self.0.push(index.to_string());
                    return Err(error);
                }
            }
        }
    }

    // Other numbers come this way: with arbitrary precision serde_json gives them as an object of one member.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let read = match names.contains(&name) {
                true => Err(A::Error::custom("a repeated member")),
                false => members.next_value_seed(Search(self.0)),
            };
            if let Err(error) = read {
                self.0.push(name);
                return Err(error);
            }
            names.insert(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_repeated_member_is_found_at_any_depth() {
        for (json, pointer) in [
            (r#"{"amount": 1, "amount": 100}"#, Some("/amount")),
            (r#"{"amount": 1, "\u0061mount": 1}"#, Some("/amount")),
            (r#"[{"a": 1}, {"b": 1, "b": null}]"#, Some("/1/b")),
            (r#"{"a": {"b": [0, {"c/d~e": 1, "c/d~e": 1}]}, "a": 1}"#, Some("/a/b/1/c~1d~0e")),
            (r#"{"": 1, "": 2}"#, Some("/")),
            (r#"{"a": {"b": 1}, "b": {"b": -1.5e300}, "c": [true, null, "a", 1, -1, 1.0]}"#, None),
            ("17", None),
        ] {
            assert_eq!(repeated_member(json.as_bytes()).as_deref(), pointer, "{json}");
        }
    }
}
