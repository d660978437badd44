//! `swallow-gguf models`

use std::time::SystemTime;

use indicatif::{DecimalBytes, HumanDuration};
use serde_json::{Value as Json, json};

use crate::{
    chat::note,
    cli::{ModelsAction, ModelsArgs},
    store::{Entry, Store, StoreError},
    table::{
        Cell::{Left, Right},
        aligned,
    },
};

pub(super) fn execute(args: ModelsArgs) -> anyhow::Result<()> {
    let store = Store::find(args.models_dir.as_deref())?;
    match args.action {
        None => list(&store, args.json),
        Some(ModelsAction::Rm { names }) => remove(&store, &names),
        Some(ModelsAction::Path { name }) => {
            super::print(&format!("{}\n", store.named(&name)?.path()?.display()))
        }
    }
}

fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let entries = store.entries()?;
    if json {
        let all: Vec<Json> = entries.iter().map(as_json).collect();
        return super::print(&format!("{:#}\n", Json::Array(all)));
    }
    if entries.is_empty() {
        note(&format!(
            "there are no models in `{}`: `swallow-gguf run` of a checkpoint makes them",
            store.root().display()
        ));
        return Ok(());
    }
    let titles = ["NAME", "TYPE", "SIZE", "SOURCE", "LAST USED"];
    let mut rows = vec![titles.map(|title| Left(title.to_owned())).into()];
    let now = SystemTime::now();
    rows.extend(entries.iter().map(|entry| row(entry, now)));
    super::print(&aligned(&rows))
}

fn row(entry: &Entry, now: SystemTime) -> Vec<crate::table::Cell> {
    let used = entry
        .last_used()
        .and_then(|used| now.duration_since(used).ok());
    let used = match used {
        None => "just now".to_owned(),
        Some(passed) if passed.as_secs() < 1 => "just now".to_owned(),
        Some(passed) => format!("{} ago", HumanDuration(passed)),
    };
    let percent = |part: u64, of: u64| 100 * part / of.max(1);
    let used = match (&entry.whole, &entry.unfinished) {
        (None, _) => format!(
            "unfinished, {} %",
            percent(entry.written(), entry.bytes()).min(99)
        ),
        (Some(_), Some(new)) => format!(
            "{used}; a new one is unfinished, {} %",
            percent(entry.written(), new.bytes).min(99)
        ),
        (Some(_), None) => used,
    };
    vec![
        Left(entry.name.clone()),
        Left(entry.file_type().to_owned()),
        Right(DecimalBytes(entry.bytes()).to_string()),
        Left(entry.source().to_owned()),
        Left(used),
    ]
}

fn as_json(entry: &Entry) -> Json {
    let record = entry.whole.as_ref().or(entry.unfinished.as_ref());
    let time = |time: SystemTime| jiff::Timestamp::try_from(time).ok().map(|t| t.to_string());
    json!({
        "name": entry.name,
        "type": entry.file_type(),
        "bytes": entry.bytes(),
        "source": entry.source(),
        "made_of": record.map(|record| &record.made_of),
        "knobs": record.map(|record| &record.knobs),
        "path": entry.path().ok(),
        "made": record.map(|record| &record.made),
        "last_used": entry.last_used().and_then(time),
        "finished": entry.whole.is_some(),
        "unfinished_bytes": entry.unfinished.as_ref().map(|_| entry.written()),
    })
}

/// Removes the models, all of them or, where a name is wrong, none.
fn remove(store: &Store, names: &[String]) -> anyhow::Result<()> {
    let entries = names
        .iter()
        .map(|name| match store.named(name)? {
            entry if entry.name.eq_ignore_ascii_case(name) || entry.source() == name => Ok(entry),
            entry => Err(StoreError::NotExactly {
                name: name.clone(),
                meant: entry.name,
            }),
        })
        .collect::<Result<Vec<Entry>, StoreError>>()?;
    for entry in entries {
        let bytes = match &entry.whole {
            Some(_) => entry.bytes(),
            None => entry.written(),
        };
        store.remove(&entry)?;
        note(&format!(
            "removed `{}`, {}",
            entry.name,
            DecimalBytes(bytes)
        ));
    }
    Ok(())
}
