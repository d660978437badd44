//! A checkpoint or recipe that is run: converted into the store once, and found there from then on.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use indicatif::{DecimalBytes, HumanDuration};

use super::{
    conversation::check_before,
    room::Room,
    source::{Source, ask_hub, client},
};
use crate::{
    chat::{Interrupts, note},
    cli::RunArgs,
    commands::{merge as merging, write},
    convert::{
        CheckpointOptions, CheckpointSource, Conversion, ConvertError, OUTPUT_VERSION, WriteOptions,
    },
    file_type::FileType,
    gguf::Gguf,
    imatrix::Imatrix,
    merge::MergeWishes,
    mix::Knobs,
    plan::{Fitting, Search, Wishes},
    runner::ChatFormat,
    store::{Entry, Key, Record, Store, choice, fingerprint, key::Likeness},
};

/// The way from a source to its GGUF.
pub(super) struct Stored<'a> {
    pub(super) args: &'a RunArgs,
    pub(super) interrupts: &'a Interrupts,
}

impl Stored<'_> {
    /// Whether the store has a model of this source.
    pub(super) fn knows(&self, source: &Source) -> anyhow::Result<bool> {
        let name = source.name()?;
        let is_of = |entry: &Entry| entry.whole.is_some() && entry.source() == name;
        Ok(self.store()?.entries()?.iter().any(is_of))
    }

    /// The GGUF of `source`, of a type or of the one that fits: that of the store, or a new one.
    pub(super) fn gguf(&self, source: &Source, ty: Option<FileType>) -> anyhow::Result<PathBuf> {
        let working = self.interrupts.answering();
        let stop = working.flag();
        let store = self.store()?;
        let mut key = source.key(self.knobs()?, &stop)?;
        ask_hub(&store, &mut key)?;
        if let Some(entry) = self.look_up(&store, &key, ty)? {
            return used(&entry);
        }
        let waiting = || {
            note(&format!(
                "`{}` is being converted by another process, waiting for it",
                key.source
            ));
        };
        let wanted = || !stop.load(Ordering::Relaxed);
        let Some(_alone) = store.convert_alone(&key.source, &wanted, &waiting)? else {
            return Err(ConvertError::Interrupted.into());
        };
        // The other one may have made it.
        if let Some(entry) = self.look_up(&store, &key, ty)? {
            return used(&entry);
        }
        used(&self.convert(&store, source, key, ty, &stop)?)
    }

    fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::find(self.args.store.models_dir.as_deref())?)
    }

    /// What else decides about the file, in words.
    fn knobs(&self) -> anyhow::Result<String> {
        let args = &self.args.store;
        let mut knobs = Vec::new();
        if let Some(ty) = args.experts_type {
            knobs.push(format!("experts {}", ty.name()));
        }
        if let Some(ty) = args.attn_type {
            knobs.push(format!("attention {}", ty.name()));
        }
        if let Some(path) = &args.imatrix {
            let state = fingerprint::of_file(path);
            let state = state.with_context(|| format!("cannot read `{}`", path.display()))?;
            knobs.push(format!("imatrix {state}"));
        }
        if args.search == Search::Best {
            knobs.push("search best".to_owned());
        }
        Ok(knobs.join(", "))
    }

    fn wishes(&self, ty: FileType) -> anyhow::Result<Wishes> {
        let args = &self.args.store;
        let imatrix = args.imatrix.as_deref().map(Imatrix::open).transpose()?;
        Ok(Wishes {
            knobs: Knobs {
                experts_type: args.experts_type,
                attn_type: args.attn_type,
                ..Knobs::default()
            },
            imatrix: imatrix.map(Arc::new),
            search: args.search,
            ..ty.into()
        })
    }

    /// The model of the store that is what would be made: of the type asked for, else the largest that
    /// fits, if perhaps not the largest that would.
    fn look_up(
        &self,
        store: &Store,
        key: &Key,
        ty: Option<FileType>,
    ) -> anyhow::Result<Option<Entry>> {
        let is_wanted = |entry: &Entry| {
            let whole = entry.whole.as_ref();
            let is_of_type = ty.is_none_or(|ty| entry.file_type() == ty.name());
            is_of_type && whole.is_some_and(|record| key.likeness(record) == Likeness::Same)
        };
        let mut found = store.entries()?;
        found.retain(is_wanted);
        found.sort_by_key(|entry| std::cmp::Reverse(entry.bytes()));
        if ty.is_some() || found.is_empty() {
            return Ok(found.into_iter().next());
        }
        let room = Room::now(self.args)?;
        let fits = |entry: &Entry| {
            let header = entry.path().ok().and_then(|path| Gguf::open(&path).ok());
            header.is_some_and(|header| room.has_place_for(&header, entry.bytes()))
        };
        let fitting = found.iter().position(fits);
        match fitting {
            Some(at) => {
                let entry = found.swap_remove(at);
                note(&format!("`{}` is in the store, and fits", entry.name));
                Ok(Some(entry))
            }
            None => {
                note(&format!(
                    "`{}` is in the store, but does not fit into the {} that are free",
                    found[0].name,
                    DecimalBytes(room.free())
                ));
                Ok(None)
            }
        }
    }

    fn convert(
        &self,
        store: &Store,
        source: &Source,
        mut key: Key,
        ty: Option<FileType>,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<Entry> {
        let entries = store.entries()?;
        let before = types_before(&entries, &key);
        let types = match ty {
            Some(ty) => vec![ty],
            None => choice::order(&before),
        };
        let room = Room::now(self.args)?;
        let fitting = Fitting {
            types: &types,
            fits: &|plan| room.fits_plan(plan),
        };
        let conversion = self.open(store, source, &fitting, stop)?;
        let chat = ChatFormat::of(&conversion.plan.key_values);
        check_before(self.args, &key.source, &chat)?;
        let ty_taken = conversion.plan.file_type;
        if ty.is_none() {
            if types.last() == Some(&ty_taken) {
                // The last one is taken without being asked about.
                room.fits_plan(&conversion.plan);
            }
            let anyway = format!("`--type {ty_taken}` converts it all the same");
            room.say_choice("type", before.contains(&ty_taken), &anyway)?;
        }
        key.learn(&|part| {
            let id = part.strip_prefix("hf:")?.split('@').next()?;
            let mut origins = conversion.origins.iter();
            Some(origins.find(|origin| origin.repo == id)?.commit.clone())
        });

        let name = &conversion.default_file_name;
        let record = Record {
            source: key.source.clone(),
            made_of: key.made_of.clone(),
            knobs: key.knobs.clone(),
            file_type: ty_taken.name().to_owned(),
            file: name.clone(),
            bytes: conversion.plan.file_bytes(),
            version: OUTPUT_VERSION,
            made: jiff::Timestamp::now().to_string(),
        };
        let is_old = |entry: &&Entry| {
            let records = entry.whole.iter().chain(&entry.unfinished);
            entry.file_type() == ty_taken.name()
                && records
                    .into_iter()
                    .any(|r| key.likeness(r) != Likeness::Other)
        };
        let old = entries.iter().find(is_old);
        if let Some(entry) = old
            && let Some(whole) = &entry.whole
        {
            match key.likeness(whole) {
                // What did not fit, and is the smallest there is.
                Likeness::Same => return Ok(entry.clone()),
                Likeness::Changed(what) => note(&format!(
                    "{what} has changed: converting it anew, `{}` is replaced when that is done",
                    entry.name
                )),
                Likeness::Other => {}
            }
        }
        let goes_on = old
            .and_then(|entry| entry.unfinished.as_ref())
            .is_some_and(|begun| {
                key.likeness(begun) == Likeness::Same && begun.file == record.file
            });
        let place = store.begin(old, record)?;
        write::show_notes(&conversion, false);
        let options = WriteOptions {
            replace: true,
            keep: true,
            restart: !goes_on,
            ..WriteOptions::default()
        };
        let write = |options| write::to_file(&conversion, &place.path, options, false, stop);
        let written = match write(&options) {
            // By another version of this program.
            Err(ConvertError::OtherConversion { .. }) => write(&WriteOptions {
                restart: true,
                ..options
            }),
            written => written,
        };
        match written {
            Ok(written) => {
                let entry = place.finish()?;
                note(&format!(
                    "made `{}`, {}, in {}: the next run starts at once",
                    entry.name,
                    DecimalBytes(written.file_bytes),
                    duration(written.elapsed)
                ));
                Ok(entry)
            }
            Err(error) => Err(place.ended_early(error).into()),
        }
    }

    /// Opens the source, and plans the conversion to the first of the types that fits.
    fn open(
        &self,
        store: &Store,
        source: &Source,
        fitting: &Fitting<'_>,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<Conversion> {
        let ty = fitting.types.first().copied().unwrap_or(choice::SMALLEST);
        let wishes = self.wishes(ty)?;
        let source = match source {
            Source::Folder(dir) => CheckpointSource::Folder(dir.clone()),
            Source::Hub(repo) => CheckpointSource::Hub(client(stop)?, repo.clone()),
            Source::Recipe(path) => {
                let merge = merging::open(path, client(stop)?, store.root(), stop)?;
                let wanted = MergeWishes {
                    wishes,
                    chat_template: None,
                };
                return Ok(merge.into_conversion_fitting(&wanted, fitting)?);
            }
        };
        let options = CheckpointOptions {
            source,
            wishes,
            chat_template: None,
            pre: None,
        };
        Ok(Conversion::of_checkpoint_fitting(&options, fitting)?)
    }
}

/// The types that the source has been converted to before, those that are not finished first.
fn types_before(entries: &[Entry], key: &Key) -> Vec<FileType> {
    let mut before: Vec<(bool, FileType)> = Vec::new();
    for entry in entries {
        for record in entry.whole.iter().chain(&entry.unfinished) {
            if key.likeness(record) != Likeness::Other
                && let Ok(ty) = record.file_type.parse()
            {
                before.push((entry.unfinished.is_none(), ty));
            }
        }
    }
    before.sort_by_key(|(is_whole, _)| *is_whole);
    before.into_iter().map(|(_, ty)| ty).collect()
}

/// So much time, for a sentence.
fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => HumanDuration(time).to_string(),
    }
}

fn used(entry: &Entry) -> anyhow::Result<PathBuf> {
    entry.use_now();
    Ok(entry.path()?)
}
