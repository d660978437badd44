//! `--override-kv`: metadata in the place of the model's own.

use std::str::FromStr;

use super::consistency::{self, Mismatch};
use crate::gguf::{self, KeyValues, Value, ValueType};

/// `KEY=TYPE:VALUE` of the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyOverride {
    /// The key.
    pub key: String,
    /// Its new value: a u32, f32, bool or string.
    pub value: Value,
}

/// What is no `KEY=TYPE:VALUE`, or cannot be overridden.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say what the variants and fields are"
)]
pub enum OverrideError {
    #[error(
        "`{given}` is no override, expected KEY=TYPE:VALUE with int, float, bool or str as the type{}",
        suggestion(.0),
        given = .0
    )]
    Malformed(String),
    #[error("`{given}` has the value `{value}`, expected {expected}")]
    Value {
        given: String,
        value: String,
        expected: &'static str,
    },
    #[error("`{0}` cannot be overridden: the file is laid out by it")]
    Layout(String),
    #[error("`{key}` cannot be overridden: it holds an array of {len} values")]
    Array { key: String, len: usize },
    #[error("`--override-kv` makes a file that does not fit itself: {mismatch}{more}")]
    Inconsistent {
        mismatch: Box<Mismatch>,
        more: String,
    },
}

/// What `given` may have meant: empty, or begins with a separator.
fn suggestion(given: &str) -> String {
    let Some((key, value)) = given.split_once('=') else {
        return String::new();
    };
    // A type of GGUF's own in the place of one of the command line's.
    let own = value.split_once(':').and_then(|(ty, value)| {
        let ty = match ty.to_ascii_lowercase().as_str() {
            "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64" => "int",
            "f32" | "f64" => "float",
            "string" => "str",
            _ => return None,
        };
        Some((ty, value))
    });
    if key.is_empty() || value.is_empty() {
        return String::new();
    }
    let (ty, value) = own.unwrap_or_else(|| {
        let ty = match value {
            "true" | "false" => "bool",
            _ if value.parse::<u32>().is_ok() => "int",
            _ if value.parse::<f32>().is_ok_and(f32::is_finite) => "float",
            _ => "str",
        };
        (ty, value)
    });
    format!("; is `{key}={ty}:{value}` meant?")
}

impl FromStr for KeyOverride {
    type Err = OverrideError;

    fn from_str(given: &str) -> Result<Self, OverrideError> {
        let malformed = || OverrideError::Malformed(given.to_owned());
        let (key, typed) = given.split_once('=').ok_or_else(malformed)?;
        let (ty, text) = typed.split_once(':').ok_or_else(malformed)?;
        if key.is_empty() || key.len() as u64 > gguf::MAX_KEY {
            return Err(malformed());
        }
        if key == gguf::ALIGNMENT_KEY || key.starts_with("split.") {
            return Err(OverrideError::Layout(key.to_owned()));
        }
        let value = match ty {
            "int" => text.parse::<u32>().ok().map(Value::U32),
            "float" => text
                .parse::<f64>()
                .ok()
                .map(|v| v as f32)
                .filter(|v| v.is_finite())
                .map(Value::F32),
            "bool" => text.parse::<bool>().ok().map(Value::Bool),
            "str" => Some(text.into()),
            _ => return Err(malformed()),
        };
        let value = value.ok_or_else(|| OverrideError::Value {
            given: given.to_owned(),
            value: text.to_owned(),
            expected: match ty {
                "int" => "a whole number from 0 to 4294967295",
                "float" => "a finite number",
                _ => "true or false",
            },
        })?;
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }
}

/// As [`apply`], and sees to it that the file is still one that fits itself and its `tensors` (names and
/// dimensions).
///
/// # Errors
/// As [`apply`]; and where something that fitted the rest of the file does so no more. A file may well
/// be odd already.
pub fn apply_fitting<'a>(
    overrides: &[KeyOverride],
    key_values: &mut KeyValues,
    tensors: impl Iterator<Item = (&'a str, &'a [u64])> + Clone,
) -> Result<Vec<String>, OverrideError> {
    if overrides.is_empty() {
        return Ok(Vec::new());
    }
    let before = consistency::check(key_values, tensors.clone());
    let notes = apply(overrides, key_values)?;
    let mut new = consistency::check(key_values, tensors)
        .into_iter()
        .filter(|mismatch| !before.contains(mismatch));
    match new.next() {
        None => Ok(notes),
        Some(mismatch) => Err(OverrideError::Inconsistent {
            mismatch: Box::new(mismatch),
            more: match new.count() {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            },
        }),
    }
}

/// Puts the overrides into `key_values`, each at the end as llama.cpp leaves them, and returns a
/// line for each that looks like a slip: a key that was not there, or that had another type.
///
/// # Errors
/// Where a key holds an array.
pub fn apply(
    overrides: &[KeyOverride],
    key_values: &mut KeyValues,
) -> Result<Vec<String>, OverrideError> {
    let mut notes = Vec::new();
    for KeyOverride { key, value } in overrides {
        let ty = value.value_type();
        match key_values.iter().position(|(k, _)| k == key) {
            None => notes.push(new_key(key, key_values)),
            Some(at) => match key_values.remove(at).1 {
                Value::Array(array) => {
                    return Err(OverrideError::Array {
                        key: key.clone(),
                        len: array.len(),
                    });
                }
                old if old.value_type() != ty => notes.push(changed_type(key, &old, ty)),
                _ => {}
            },
        }
        key_values.push((key.clone(), value.clone()));
    }
    Ok(notes)
}

/// Bytes of the longest key that is compared with another.
const MAX_NEAR: usize = 100;

/// The note of a key that was not there, with the one that may be meant.
fn new_key(key: &str, key_values: &KeyValues) -> String {
    let likeness =
        |(known, _): &(String, Value)| strsim::normalized_damerau_levenshtein(known, key);
    // What is compared grows with the product of both lengths.
    let short = |known: &str| known.len() <= MAX_NEAR && key.len() <= MAX_NEAR;
    let known = key_values.iter().filter(|(known, _)| short(known));
    let known = known.map(|entry| (likeness(entry), &entry.0));
    let nearest = known.max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = match nearest {
        Some((likeness, known)) if likeness > 0.75 => format!("; is `{known}` meant?"),
        _ => String::new(),
    };
    format!("`--override-kv` adds `{key}`, a new key{hint}")
}

fn changed_type(key: &str, old: &Value, new: ValueType) -> String {
    let old = old.value_type();
    format!("`--override-kv` makes `{key}` a value of type {new}, it was {old}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_types() {
        for (given, value) in [
            ("a.b=int:7", Value::U32(7)),
            ("a.b=float:1e6", Value::F32(1e6)),
            ("a.b=bool:true", Value::Bool(true)),
            ("a.b=str:x=y:z", "x=y:z".into()),
            ("a.b=str:", "".into()),
        ] {
            let parsed: KeyOverride = given.parse().unwrap();
            assert_eq!((parsed.key.as_str(), parsed.value), ("a.b", value));
        }
    }

    #[test]
    fn errors_show_what_is_expected() {
        for (given, message) in [
            (
                "a.b",
                "expected KEY=TYPE:VALUE with int, float, bool or str",
            ),
            ("a.b=7", "expected KEY=TYPE:VALUE"),
            ("=int:7", "expected KEY=TYPE:VALUE"),
            ("a.b=u32:7", "with int, float, bool or str"),
            ("a.b=int:-1", "has the value `-1`, expected a whole number"),
            ("a.b=int:4294967296", "from 0 to 4294967295"),
            ("a.b=float:1e99", "expected a finite number"),
            ("a.b=bool:yes", "expected true or false"),
            ("general.alignment=int:64", "the file is laid out by it"),
        ] {
            let error = given.parse::<KeyOverride>().unwrap_err().to_string();
            assert!(error.contains(message), "{given}: {error}");
        }
    }

    #[test]
    fn overridden_keys_move_to_the_end_and_slips_are_noted() {
        let mut key_values: KeyValues = vec![
            ("a".into(), 1u32.into()),
            ("b".into(), "text".into()),
            ("c".into(), 2u32.into()),
        ];
        let overrides =
            ["a=int:5", "b=int:6", "new=bool:false", "a=int:8"].map(|given| given.parse().unwrap());
        let notes = apply(&overrides, &mut key_values).unwrap();
        let expected: KeyValues = vec![
            ("c".into(), 2u32.into()),
            ("b".into(), 6u32.into()),
            ("new".into(), false.into()),
            ("a".into(), 8u32.into()),
        ];
        assert_eq!(key_values, expected);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("`b` a value of type u32, it was str"));
        assert!(notes[1].contains("`new`, a new key"));

        let mut key_values: KeyValues = vec![("llama.context_length".into(), 1u32.into())];
        let slip = "llama.contextlength=int:5".parse().unwrap();
        let notes = apply(&[slip], &mut key_values).unwrap();
        assert_eq!(
            notes,
            [
                "`--override-kv` adds `llama.contextlength`, a new key; is `llama.context_length` meant?"
            ]
        );

        let array = gguf::Array::U32(vec![1, 2]);
        let mut key_values: KeyValues = vec![("a".into(), array.into())];
        let error = apply(&overrides[..1], &mut key_values).unwrap_err();
        assert!(error.to_string().contains("an array of 2 values"));
    }
}
