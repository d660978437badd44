//! What is decided without a model: keys, choices, and folders as a killed program leaves them.

use std::fs;

use tempfile::TempDir;

use super::{Key, Part, Record, Store, StoreError, choice, fingerprint, key::Likeness};
use crate::{
    convert::{OUTPUT_VERSION, journal_path, partial_path},
    file_type::FileType,
};

fn record(file_type: &str, parts: &[Part]) -> Record {
    Record {
        source: "/models/Moe".into(),
        made_of: parts.to_vec(),
        knobs: String::new(),
        file_type: file_type.into(),
        file: format!("Moe-{file_type}.gguf"),
        bytes: 4,
        version: OUTPUT_VERSION,
        made: "2026-01-01T00:00:00Z".into(),
    }
}

fn key(parts: &[Part]) -> Key {
    Key {
        source: "/models/Moe".into(),
        made_of: parts.to_vec(),
        knobs: String::new(),
    }
}

#[test]
fn what_a_model_is_to_a_key() {
    let commits = ["0123456789abcdef", "fedcba9876543210"];
    let parts = |commit: &str| [Part::new("recipe", "1"), Part::new("hf:a/b", commit)];
    let then = record("Q8_0", &parts(commits[0]));
    assert_eq!(key(&parts(commits[0])).likeness(&then), Likeness::Same);
    let unknown = [Part::new("recipe", "1"), Part::unknown("hf:a/b")];
    assert_eq!(key(&unknown).likeness(&then), Likeness::Same);
    assert_eq!(
        key(&parts(commits[1])).likeness(&then),
        Likeness::Changed("`hf:a/b` from commit 0123456789ab to fedcba987654".into())
    );
    let changed = |what: &str| Likeness::Changed(what.into());
    let recipe = [Part::new("recipe", "2"), Part::unknown("hf:a/b")];
    assert_eq!(key(&recipe).likeness(&then), changed("`recipe`"));
    let others = [Part::new("recipe", "1"), Part::unknown("hf:a/c")];
    assert_eq!(
        key(&others).likeness(&then),
        changed("what `/models/Moe` is made of")
    );
    let older = Record {
        version: OUTPUT_VERSION + 1,
        ..then.clone()
    };
    assert!(matches!(
        key(&unknown).likeness(&older),
        Likeness::Changed(_)
    ));
    for other in [
        Key {
            source: "/models/Other".into(),
            ..key(&unknown)
        },
        Key {
            knobs: "experts Q8_0".into(),
            ..key(&unknown)
        },
    ] {
        assert_eq!(other.likeness(&then), Likeness::Other);
    }
    let mut learned = key(&unknown);
    learned.learn(&|of| (of == "hf:a/b").then(|| commits[1].to_owned()));
    assert_eq!(learned.made_of, parts(commits[1]));
}

#[test]
fn types_that_were_made_before_come_first() {
    use FileType::{Q2_K, Q3_K_M, Q4_K_M, Q4_K_S, Q5_K_M, Q6_K, Q8_0};
    assert_eq!(choice::order(&[]), choice::TYPES);
    assert_eq!(
        choice::order(&[Q4_K_M, Q5_K_M, FileType::F16]),
        [Q5_K_M, Q4_K_M, Q8_0, Q6_K, Q4_K_S, Q3_K_M, Q2_K]
    );
    // The smallest is also what is left where none fits.
    assert_eq!(
        choice::order(&[Q2_K]),
        [Q2_K, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_K_S, Q3_K_M, Q2_K]
    );
}

#[test]
fn a_folder_is_known_by_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    put("config.json", "{}");
    put("model.safetensors", "x");
    let now = || fingerprint::of_folder(dir.path()).unwrap();
    let before = now();
    put(".lock", "x");
    put("Moe.Q4_K_M.gguf", "x");
    fs::create_dir(dir.path().join("logs")).unwrap();
    assert_eq!(now(), before);
    put("chat_template.jinja", "x");
    let with_another = now();
    assert_ne!(with_another, before);
    put("chat_template.jinja", "xy");
    assert_ne!(now(), with_another);
    fs::rename(
        dir.path().join("chat_template.jinja"),
        dir.path().join("chat_template.json"),
    )
    .unwrap();
    assert_ne!(now(), with_another);
    assert!(fingerprint::of_folder(&dir.path().join("none")).is_err());
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("models"));
    (dir, store)
}

#[test]
fn a_model_is_begun_finished_replaced_and_removed() {
    let (_dir, store) = store();
    assert!(store.entries().unwrap().is_empty());
    let place = store.begin(None, record("Q8_0", &[])).unwrap();
    assert_eq!(place.name, "Moe-Q8_0");
    let begun = &store.entries().unwrap()[0];
    assert!(begun.whole.is_none() && begun.unfinished.is_some());
    assert!(matches!(begun.path(), Err(StoreError::Unfinished { .. })));
    // Of another source or with other knobs.
    let other = store.begin(None, record("Q8_0", &[])).unwrap();
    assert_eq!(other.name, "Moe-Q8_0-2");
    fs::write(&place.path, "1234").unwrap();
    let made = place.finish().unwrap();
    assert_eq!(fs::read(made.path().unwrap()).unwrap(), b"1234");

    // One with another file name, in its folder.
    let next = Record {
        file: "Renamed-Q8_0.gguf".into(),
        ..record("Q8_0", &[Part::new("x", "2")])
    };
    let place = store.begin(Some(&made), next.clone()).unwrap();
    fs::write(partial_path(&place.path), "12").unwrap();
    let half = store.named("moe-q8_0").unwrap();
    assert_eq!((half.written(), half.bytes()), (2, 4));
    assert!(half.whole.is_some() && half.unfinished.is_some());
    fs::rename(partial_path(&place.path), &place.path).unwrap();
    fs::write(&place.path, "5678").unwrap();
    let made = place.finish().unwrap();
    assert_eq!(store.named("Moe-Q8_0").unwrap().whole, Some(next));
    let path = made.path().unwrap();
    assert!(!path.with_file_name("Moe-Q8_0.gguf").exists());

    store.remove(&made).unwrap();
    assert!(!path.parent().unwrap().exists());
    assert_eq!(store.entries().unwrap().len(), 1);
}

#[test]
fn a_program_that_was_killed_behind_the_last_byte_had_finished() {
    let (_dir, store) = store();
    let place = store.begin(None, record("Q8_0", &[])).unwrap();
    fs::write(&place.path, "1234").unwrap();
    drop(place);
    let entry = store.named("Moe-Q8_0").unwrap();
    assert!(entry.whole.is_some() && entry.unfinished.is_none());
    // The file that is to be replaced has the same name and length; it is not the new one.
    let place = store.begin(None, record("Q6_K", &[])).unwrap();
    fs::write(&place.path, "1234").unwrap();
    let old = place.finish().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let next = record("Q6_K", &[Part::new("x", "2")]);
    let place = store.begin(Some(&old), next.clone()).unwrap();
    let entry = store.named("Moe-Q6_K").unwrap();
    assert_eq!(entry.unfinished.as_ref(), Some(&next));
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(&place.path, "5678").unwrap();
    let entry = store.named("Moe-Q6_K").unwrap();
    assert_eq!((entry.whole, entry.unfinished), (Some(next), None));
}

#[test]
fn what_is_in_a_folder_of_models_and_none() {
    let (dir, store) = store();
    let folder = |name: &str, entry: &str| {
        let folder = dir.path().join("models").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("entry.json"), entry).unwrap();
    };
    let text = serde_json::to_string(&record("Q8_0", &[])).unwrap();
    for end in 0..text.len() {
        folder("cut", &text[..end]);
        assert!(store.entries().unwrap().is_empty());
    }
    // A file that is not in the folder, and one that is not there.
    folder("outside", &text.replace("Moe-Q8_0.gguf", "../Moe.gguf"));
    fs::write(dir.path().join("models/Moe.gguf"), "1234").unwrap();
    folder("gone", &text);
    fs::write(dir.path().join("models/file"), "x").unwrap();
    assert!(store.entries().unwrap().is_empty());
    assert!(matches!(
        store.named("gone"),
        Err(StoreError::Unknown { empty: true, .. })
    ));
}

#[test]
fn a_conversion_that_wrote_nothing_leaves_nothing() {
    let (_dir, store) = store();
    let failed = crate::convert::ConvertError::Interrupted;
    let place = store.begin(None, record("Q8_0", &[])).unwrap();
    let folder = place.path.parent().unwrap().to_owned();
    assert!(matches!(
        place.ended_early(failed),
        StoreError::Conversion(_)
    ));
    assert!(!folder.exists());
    let kept = crate::convert::ConvertError::InterruptedKept {
        written: 1,
        total: 4,
    };
    let place = store.begin(None, record("Q8_0", &[])).unwrap();
    fs::write(journal_path(&place.path), "x").unwrap();
    assert!(matches!(
        place.ended_early(kept),
        StoreError::Interrupted { written: 1, .. }
    ));
    assert_eq!(store.entries().unwrap().len(), 1);
}
