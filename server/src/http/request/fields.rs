//! Reading a body or a query field by field. All errors are reported together, each with the JSON pointer of its
//! field.

use domain::{
    FieldError,
    intervention::read_reason,
    json::pointer_to,
    nul::{self, ContainsNul},
    submission::near_names::nearest,
};
use serde_json::{Map, Value, map::Entry};

/// The fields of a body or a query, and the errors of those that have been read. Fields that are not read are
/// ignored, unless they are refused.
pub struct Fields {
    values: Value,
    errors: Vec<FieldError>,
}

impl Fields {
    /// The fields of a body. A body that is not an object is reported with the other errors.
    pub fn of_body(body: Value) -> Self {
        let mut fields = Self { values: body, errors: Vec::new() };
        if !fields.values.is_object() {
            fields.refuse("", "must be a JSON object");
        }
        fields
    }

    /// The fields of a query. An empty field does not count as absent: a filter without it would match more than was
    /// meant. A field must not be given twice.
    pub fn of_query(query: Vec<(String, String)>) -> Self {
        let mut fields = Self { values: Value::Null, errors: Vec::new() };
        let mut values = Map::new();
        for (name, value) in query {
            match values.entry(name) {
                Entry::Vacant(entry) => _ = entry.insert(Value::String(value)),
                Entry::Occupied(entry) => fields.refuse(&pointer_to(entry.key()), "appears twice"),
            }
        }
        fields.values = Value::Object(values);
        fields
    }

    /// Reads the field at a JSON pointer. Null counts as absent.
    pub fn read<T, E: ToString>(
        &mut self,
        pointer: &str,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.values.pointer(pointer).filter(|value| !value.is_null())?;
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.refuse(pointer, error.to_string());
                None
            }
        }
    }

    /// Reads the string at a JSON pointer.
    pub fn text<T, E: ToString>(
        &mut self,
        pointer: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.read(pointer, |value| {
            let text = value.as_str().ok_or_else(|| "must be a string".to_owned())?;
            parse(text).map_err(|error| error.to_string())
        })
    }

    /// Reads the reason of an operation.
    pub fn reason(&mut self) -> Option<String> {
        self.text("/reason", |text| read_reason(text).map(str::to_owned))
    }

    /// Reports unknown fields of an object: a filter with a misspelt field would match more than was meant.
    pub fn refuse_unknown(&mut self, pointer: &str, known: &[&str]) {
        let unknown = match self.values.pointer(pointer) {
            None | Some(Value::Null) => return,
            Some(Value::Object(object)) => {
                object.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect()
            }
            Some(_) => {
                self.refuse(pointer, "must be an object");
                Vec::new()
            }
        };
        for name in unknown {
            let message = match nearest(&name, known) {
                Some(field) => format!("is not a known field; did you mean {field}?"),
                None => "is not a known field".to_owned(),
            };
            self.refuse(&format!("{pointer}{}", pointer_to(&name)), message);
        }
    }

    /// Reports unknown fields of a body that are probably a known one, misspelt. Others are ignored.
    pub fn refuse_misspelt(&mut self, known: &[&str]) {
        let Value::Object(members) = &self.values else { return };
        let misspelt: Vec<_> = members
            .iter()
            .filter(|(name, value)| !value.is_null() && !known.contains(&name.as_str()))
            .filter_map(|(name, _)| Some((pointer_to(name), nearest(name, known)?)))
            .collect();
        for (pointer, field) in misspelt {
            self.refuse(&pointer, format!("is not a field; did you mean {field}?"));
        }
    }

    /// Reports a required field that is absent.
    pub fn require(&mut self, pointer: &str) {
        if self.values.is_object() && self.values.pointer(pointer).is_none_or(Value::is_null) {
            self.refuse(pointer, "is required");
        }
    }

    fn refuse(&mut self, pointer: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, message));
    }

    /// Returns what was read; `read` is `None` if a required field is absent or invalid.
    ///
    /// # Errors
    /// Those of all fields, which are a problem with the status 422.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Vec<FieldError>> {
        match read {
            Some(read) if self.errors.is_empty() => Ok(read),
            _ => Err(self.errors),
        }
    }
}

/// Refuses U+0000.
pub fn without_nul(text: &str) -> Result<String, ContainsNul> {
    nul::without_nul(text).map(str::to_owned)
}
