//! What the MODEL of `run` is, and the GGUF that is run for it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::bail;

use super::{room::Room, source::Source, stored::Stored};
use crate::{
    chat::{Interrupts, note},
    cli::RunArgs,
    commands::fetch::{self, Repository},
    file_type::FileType,
    hub::{Client, Config, GgufModel, HubError, Meant, Repo, RepoFile, RetryPolicy, quoted},
    nearest,
    store::{Store, StoreError, choice},
};

/// Files of which the header is tried to be read, to know what the model is.
const HEADERS: usize = 3;

/// The GGUF to run: made, fetched or found.
pub(super) fn gguf(args: &RunArgs, interrupts: &Interrupts) -> anyhow::Result<PathBuf> {
    let given = args.model().map_err(anyhow::Error::msg)?;
    let stored = Stored { args, interrupts };
    let text = fetch::text_of_nothing_here(given);
    if text.is_none_or(|text| !Repo::is_remote(text)) && is_recipe(given) {
        return stored.gguf(&Source::Recipe(given.to_owned()), args.store.asked_type());
    }
    let Some(text) = text else {
        // What is wrong with a folder is told by those who read checkpoints, unless it has GGUF files.
        let is_checkpoint = || {
            given.join("config.json").is_file() || nearest::files_in(given, &["gguf"]).is_empty()
        };
        if given.is_dir() && is_checkpoint() {
            return stored.gguf(&Source::Folder(given.to_owned()), args.store.asked_type());
        }
        return as_it_is(args, given);
    };
    if Repo::is_remote(text) {
        return of_hub(&stored, given, text);
    }
    match Store::find(args.store.models_dir.as_deref()).and_then(|store| store.named(text)) {
        Ok(entry) => {
            let path = entry.path()?;
            entry.use_now();
            as_it_is(args, &path)
        }
        Err(error @ (StoreError::Several { .. } | StoreError::Unknown { near: Some(_), .. })) => {
            // A file that is nearly of that name is meant rather.
            let parent = given.parent().unwrap_or(Path::new(""));
            match nearest::in_folder(parent, text, |_| true) {
                None => Err(error.into()),
                Some(_) => as_it_is(args, given),
            }
        }
        Err(_) => match fetch::meant(given, text) {
            Some(meant) => {
                let hint = format!("there is no such file, {}", meant.as_model());
                Err(HubError::name(text, hint).into())
            }
            None => as_it_is(args, given),
        },
    }
}

/// The GGUF at a path, or of the hub by its path there: nothing of it can be chosen.
fn as_it_is(args: &RunArgs, given: &Path) -> anyhow::Result<PathBuf> {
    let path = fetch::gguf(given)?.into_owned();
    if let Some(option) = args.store.given().next().filter(|_| path.is_file()) {
        bail!(
            "`{option}` is for what is converted or chosen first, and `{}` is a GGUF file: `quantize` makes another of it",
            given.display()
        );
    }
    Ok(path)
}

fn is_recipe(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_yaml = |ending: &str| {
        ["yml", "yaml"]
            .iter()
            .any(|yaml| ending.eq_ignore_ascii_case(yaml))
    };
    ending.is_some_and(is_yaml)
}

/// What `text` names of the hub: a repository, whole or one type of it, or a file.
fn of_hub(stored: &Stored<'_>, given: &Path, text: &str) -> anyhow::Result<PathBuf> {
    let args = stored.args;
    let config = Config::from_env()?;
    let (repo, tag) = match RepoFile::parse(text) {
        Ok(file) if file.is_tag() => (file.repo, Some(file.path)),
        Ok(_) => return as_it_is(args, given),
        Err(error) => match Repo::parse(text, &config.endpoint) {
            Ok(repo) => (repo, None),
            Err(_) => {
                let meant = Meant::of(text, &config.endpoint);
                let meant = meant.map(|meant| HubError::name(text, meant.as_model()));
                return Err(meant.unwrap_or(error).into());
            }
        },
    };
    let source = Source::Hub(repo.clone());
    let asked = args.store.asked_type();
    let tagged = tag.as_deref().and_then(|tag| tag.parse::<FileType>().ok());
    if let (Some(tag), Some(ty)) = (&tag, asked)
        && tagged != asked
    {
        bail!("`{text}` asks for {tag}, and `--type` for {ty}: expected one of them");
    }
    if tag.is_none() && stored.knows(&source)? {
        return stored.gguf(&source, asked);
    }
    // Ctrl-C ends the program as it is; the next run goes on with what has come.
    let client = Client::new(config, RetryPolicy::default(), Arc::default());
    let repository = Repository::open(client, repo, tag.as_deref())?;
    let model = match &tag {
        Some(tag) => match (repository.tagged(tag)?, tagged) {
            (Some(model), _) => {
                refuse_knobs(args, text)?;
                Some(model)
            }
            (None, Some(_)) if repository.is_checkpoint() => None,
            (None, _) => return Err(repository.without(tag).into()),
        },
        // Of what is neither the conversion says what it is.
        None if repository.is_checkpoint() || repository.models().is_empty() => None,
        None => {
            refuse_knobs(args, text)?;
            Some(chosen(&repository, text, args)?)
        }
    };
    let Some(model) = model else {
        return stored.gguf(&source, tagged.or(asked));
    };
    Ok(repository.fetch(&model)?)
}

/// Fails where something is asked of a conversion, and there is none: `text` holds GGUF files.
fn refuse_knobs(args: &RunArgs, text: &str) -> anyhow::Result<()> {
    match args.store.given().find(|option| *option != "--type") {
        Some(option) => {
            bail!("`{option}` is for what is converted, and `{text}` holds GGUF files")
        }
        None => Ok(()),
    }
}

/// The model of a repository of GGUFs that is taken: of the type asked for, else one that is here and
/// fits, else the largest that fits.
fn chosen(repository: &Repository, text: &str, args: &RunArgs) -> anyhow::Result<GgufModel> {
    if let Some(ty) = args.store.asked_type() {
        let model = repository.tagged(ty.name())?;
        return Ok(model.ok_or_else(|| repository.without(ty.name()))?);
    }
    let mut models = repository.models();
    if let [one] = &models[..] {
        return Ok(one.clone());
    }
    let names: Vec<String> = models
        .iter()
        .map(|model| model.first().to_owned())
        .collect();
    // What is not quantized is only taken where there is nothing else.
    if models.iter().any(GgufModel::is_quantized) {
        models.retain(GgufModel::is_quantized);
    }
    models.retain(|model| model.bytes.is_some());
    // Of one size those come first that most people take.
    models.sort_by_key(|model| {
        let is_common = choice::TYPES.iter().any(|ty| {
            let named = model.file_type.as_deref();
            named.is_some_and(|named| named.eq_ignore_ascii_case(ty.name()))
        });
        (std::cmp::Reverse(model.bytes), !is_common)
    });
    // They differ in their sizes, and hardly in what else takes memory.
    let header = models.iter().rev().take(HEADERS);
    let header = header.filter_map(|model| repository.header(model)).next();
    let (Some(smallest), Some(header)) = (models.last(), header) else {
        return Err(HubError::name(
            text,
            format!(
                "expected a file or a type of it, such as `{text}:Q4_K_M`: it has {}",
                quoted(&names)
            ),
        )
        .into());
    };
    let room = Room::now(args)?;
    let bytes = |model: &GgufModel| model.bytes.unwrap_or(u64::MAX);
    let is_here = |model: &&GgufModel| {
        repository.is_cached(model) && room.has_place_for(&header, bytes(model))
    };
    if let Some(model) = models.iter().find(is_here) {
        note(&format!("`{}` is here, and fits", model.first()));
        return Ok(model.clone());
    }
    let fits = |model: &&GgufModel| room.fits_file(model.first(), &header, bytes(model));
    let model = models.iter().find(fits).unwrap_or(smallest).clone();
    room.say_choice(
        "file",
        false,
        &format!("`{text}:TYPE` takes one all the same"),
    )?;
    Ok(model)
}
