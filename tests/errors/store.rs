//! Errors of `src/store`.

use std::{fs, io};

use swallow_gguf::store::{Entry, Record, Store, StoreError};

use super::{Section, variants};

variants!(StoreError {
    NoHome,
    Io,
    Unknown,
    Several,
    NotExactly,
    Busy,
    Unfinished,
    Interrupted,
} hands_on { Conversion });

fn begin(store: &Store, file_type: &str) -> swallow_gguf::store::Place {
    let record = Record {
        source: "/models/My Moe".into(),
        made_of: Vec::new(),
        knobs: String::new(),
        file_type: file_type.into(),
        file: format!("Moe-{file_type}.gguf"),
        bytes: 4,
        version: 1,
        made: String::new(),
    };
    store.begin(None, record).unwrap()
}

pub(super) fn errors(list: &mut Section) {
    list.want::<StoreError>();
    let name = |name: &str| name.to_owned();

    // Made by hand: it depends on the environment.
    list.add("no home", StoreError::NoHome);
    let store = Store::new(list.dir().join("models"));
    list.add("an empty store", store.named("Moe").unwrap_err());
    begin(&store, "Q8_0");
    let entry = store.named("Moe-Q8_0").unwrap();
    list.add("half a model", entry.path().unwrap_err());
    begin(&store, "Q4_K_M");
    list.add("a slip of the pen", store.named("Moe-Q8_O").unwrap_err());
    list.add("another name", store.named("Llama").unwrap_err());
    list.add("two of one name", store.named("Moe").unwrap_err());
    list.add(
        "two of one source",
        store.named("/models/My Moe").unwrap_err(),
    );
    list.add(
        "the beginning of a name, to remove",
        StoreError::NotExactly {
            name: name("Moe"),
            meant: name("Moe-Q8_0"),
        },
    );
    let alone = store
        .convert_alone(entry.source(), &|| true, &|| ())
        .unwrap();
    assert!(alone.is_some());
    list.add("one that is being made", store.remove(&entry).unwrap_err());
    list.add(
        "Ctrl-C",
        StoreError::Interrupted {
            name: name("Moe-Q8_0"),
            written: 3_000_000_000,
            total: 13_090_000_000,
        },
    );
    let file = list.dir().join("file");
    fs::write(&file, "x").unwrap();
    let error = Store::new(&file)
        .entries()
        .map(|found: Vec<Entry>| found.len());
    let kind = io::ErrorKind::NotADirectory;
    assert!(matches!(&error, Err(StoreError::Io { error, .. }) if error.kind() == kind));
    list.add("a file in its place", error.unwrap_err());
}
