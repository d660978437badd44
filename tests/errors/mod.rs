//! Everything that is said of bad input, in one list that a person can read: `list.txt`.
//!
//! Each room has a file here that makes its errors, from real input where that can be had. A line
//! is what the terminal shows after `error: `, with the folder of the test called `DIR`. Every variant
//! of every error is in the list: one that is not named in `variants!` does not compile, and one
//! that is named and not made fails the test.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --release --test tests errors::` writes the list anew.

mod families;
mod gguf;
mod hub;
mod merge;
mod model;
mod sessions;
mod source;
mod store;
mod vocabulary;

use std::{collections::BTreeSet, error::Error, fmt::Write as _, fs, path::Path};

use tempfile::TempDir;

/// An error whose variants are known by name.
pub(super) trait Variants: Error + Send + Sync + 'static {
    /// The type's name.
    const NAME: &'static str;
    /// The variants that the list must have: all but those that hand on another error as it is.
    const ALL: &'static [&'static str];

    /// The name of this error's variant.
    fn variant(&self) -> &'static str;
}

/// Implements [`Variants`]: `variants!(SourceError { Io, Malformed } hands_on { Hub });`
macro_rules! variants {
    ($error:ident { $($variant:ident),+ $(,)? } $(hands_on { $($handed:ident),+ $(,)? })?) => {
        impl crate::errors::Variants for $error {
            const NAME: &'static str = stringify!($error);
            const ALL: &'static [&'static str] = &[$(stringify!($variant)),+];

            fn variant(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant),)+
                    $($(Self::$handed { .. } => stringify!($handed),)+)?
                }
            }
        }
    };
}
use variants;

/// The errors of one room.
pub(super) struct Section {
    room: &'static str,
    dir: TempDir,
    /// What is not the same in every run, and what the list has in its place.
    names: Vec<(String, &'static str)>,
    /// Variants made so far, as `Error::Variant`.
    made: BTreeSet<String>,
    /// Variants that must be made.
    wanted: BTreeSet<String>,
    text: String,
}

impl Section {
    fn new(room: &'static str) -> Self {
        Self {
            room,
            dir: tempfile::tempdir().unwrap(),
            names: Vec::new(),
            made: BTreeSet::new(),
            wanted: BTreeSet::new(),
            text: String::new(),
        }
    }

    /// A folder for inputs; it is called `DIR` in the list.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes `name` for `text`, which is not the same in every run.
    pub(super) fn call(&mut self, text: &str, name: &'static str) {
        self.names.push((text.to_owned(), name));
    }

    /// Every variant of `E` is to be in the list.
    pub(super) fn want<E: Variants>(&mut self) {
        let names = E::ALL
            .iter()
            .map(|variant| format!("{}::{variant}", E::NAME));
        self.wanted.extend(names);
    }

    /// Adds what the terminal shows of `error`; `case` says in a few words what the input was.
    pub(super) fn add<E: Variants>(&mut self, case: &str, error: E) {
        let variant = format!("{}::{}", E::NAME, error.variant());
        self.made.insert(variant.clone());
        let text = format!("{:#}", anyhow::Error::from(error));
        let mut text = text.replace(&*self.dir().to_string_lossy(), "DIR");
        for (of_this_run, name) in &self.names {
            text = text.replace(of_this_run, name);
        }
        assert_readable(case, &text);
        writeln!(self.text, "{case}  ({variant})\n    {text}").unwrap();
    }

    fn finish(self) -> String {
        let missing: Vec<_> = self.wanted.difference(&self.made).collect();
        assert!(
            missing.is_empty(),
            "{}: not in the list: {missing:?}",
            self.room
        );
        format!("# {}\n\n{}\n", self.room, self.text)
    }
}

/// One line, not endless, and nothing told twice.
fn assert_readable(case: &str, text: &str) {
    assert!(!text.contains('\n'), "{case}: several lines: {text}");
    assert!(text.chars().count() <= 400, "{case}: too long: {text}");
    let parts: Vec<&str> = text.split(": ").filter(|part| part.len() > 12).collect();
    let distinct: BTreeSet<&str> = parts.iter().copied().collect();
    assert_eq!(parts.len(), distinct.len(), "{case}: told twice: {text}");
}

#[test]
fn the_list_of_errors() {
    let mut found = String::new();
    for (room, make) in [
        ("source", source::errors as fn(&mut Section)),
        ("model", model::errors),
        ("model/vocabulary", vocabulary::errors),
        ("merge", merge::errors),
        ("hub", hub::errors),
        ("gguf", gguf::errors),
        ("store", store::errors),
        ("sessions", sessions::errors),
    ] {
        let mut section = Section::new(room);
        make(&mut section);
        found += &section.finish();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors/list.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(
        found == expected,
        "the list is not {}: {differs:?}; UPDATE_SNAPSHOTS=1 writes it anew, then read it",
        path.display()
    );
}
