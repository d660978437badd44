//! Files of the hub that a command wants on this machine: fetched into the cache, with a bar.

mod repository;

use std::{
    borrow::Cow,
    cell::RefCell,
    io::IsTerminal,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

use crate::{
    chat::note,
    convert::{CheckpointSource, ConvertError},
    hub::{
        Cache, Client, Config, DEFAULT_ENDPOINT, Event, HubError, Meant, Options, Place, Repo,
        RepoFile, RetryPolicy, ggufs, parts, quoted,
    },
    source::Checkpoint,
};

pub(super) use repository::{Repository, commit_now};

/// The path of a GGUF: `given`, or where it names a file of the hub, by its path or by a tag such as
/// `Q4_K_M`, that file in the cache; of a model in parts, the first, with the others beside it.
pub(super) fn gguf(given: &Path) -> Result<Cow<'_, Path>, HubError> {
    let Some(text) = text_of_nothing_here(given) else {
        return Ok(Cow::Borrowed(given));
    };
    if !text.starts_with("hf:") {
        return match meant(given, text) {
            Some(meant) => Err(HubError::name(
                text,
                format!("there is no such file, {}", meant.as_gguf()),
            )),
            None => Ok(Cow::Borrowed(given)),
        };
    }
    let config = Config::from_env()?;
    let cache = Cache::new(&config.cache);
    // Ctrl-C ends the program as it is; the next run goes on with what has come.
    let client = Client::new(config, RetryPolicy::default(), Arc::default());
    let file = RepoFile::parse(text)
        .map_err(|error| files_to_choose_from(&client, &cache, text).unwrap_or(error))?;
    if file.is_tag() {
        let repository = Repository::open(client, file.repo, Some(&file.path))?;
        let model = repository.tagged(&file.path)?;
        let model = model.ok_or_else(|| repository.without(&file.path))?;
        return Ok(Cow::Owned(repository.fetch(&model)?));
    }
    let parts = parts(&file.path);
    let paths: Vec<&str> = parts.iter().map(String::as_str).collect();
    let display = Display::new();
    let folder = cache.fetch_all(&client, &file.repo, &paths, &Options::default(), &|event| {
        display.show(event)
    })?;
    Ok(Cow::Owned(folder.join(&parts[0])))
}

/// The error for a repository in a file's place: the GGUF files that it has; `None` where `text` is
/// none, or cannot be asked for.
fn files_to_choose_from(client: &Client, cache: &Cache, text: &str) -> Option<HubError> {
    let repo = Repo::parse(text, &client.config().endpoint).ok()?;
    let names: Vec<String> = match cache.locate(client, &repo, &|_| Ok(true)).ok()? {
        Place::Cached(cached, _) => cached.names_beside(""),
        Place::Hub(snapshot) => snapshot.files.into_iter().map(|file| file.path).collect(),
    };
    let ggufs = ggufs(names.iter().map(String::as_str));
    let expected = match ggufs.first() {
        Some(first) => format!(
            "expected a file of it, such as `{repo}:{first}`: it has {}",
            quoted(&ggufs)
        ),
        None => format!("it has no GGUF file; `convert {repo}` makes one of a checkpoint"),
    };
    Some(HubError::name(text, expected))
}

/// Where the checkpoint is that `given` names: a folder, or a repository of the hub. With `download`
/// its files are fetched into the cache, and the folder there is taken. `stop` ends all that goes
/// over the network.
pub(super) fn checkpoint(
    given: &Path,
    download: bool,
    stop: &Arc<AtomicBool>,
) -> Result<CheckpointSource, ConvertError> {
    let folder = || CheckpointSource::Folder(given.to_owned());
    let Some(text) = text_of_nothing_here(given) else {
        return Ok(folder());
    };
    if !Repo::is_remote(text) {
        return match meant(given, text) {
            Some(meant) => Err(HubError::name(
                text,
                format!("there is no such folder, {}", meant.as_checkpoint()),
            )
            .into()),
            None => Ok(folder()),
        };
    }
    let config = Config::from_env()?;
    let repo = Repo::parse(text, &config.endpoint)?;
    let client = Client::new(config, RetryPolicy::default(), Arc::clone(stop));
    if !download {
        return Ok(CheckpointSource::Hub(client, repo));
    }
    let display = Display::new();
    let dir = Checkpoint::download(&client, &repo, &|event| display.show(event))?;
    Ok(CheckpointSource::Folder(dir))
}

/// `given` as text, where there is nothing at that path.
pub(super) fn text_of_nothing_here(given: &Path) -> Option<&str> {
    given.to_str().filter(|_| given.symlink_metadata().is_err())
}

/// What of the hub `text` may mean, unless it is a path in a folder that is there.
pub(super) fn meant(given: &Path, text: &str) -> Option<Meant> {
    let parent = given.parent().filter(|parent| parent.file_name().is_some());
    match parent {
        Some(parent) if parent.is_dir() => None,
        _ => Meant::of(text, DEFAULT_ENDPOINT),
    }
}

/// What is shown of the files: nothing while the cache has them; a bar for each on a terminal, a line
/// elsewhere.
struct Display {
    /// The file that is fetched.
    bar: RefCell<Option<(String, ProgressBar)>>,
}

impl Display {
    fn new() -> Self {
        Self {
            bar: RefCell::new(None),
        }
    }

    fn show(&self, event: Event<'_>) {
        match event {
            Event::Waiting { path } => {
                note(&format!(
                    "`{path}` is being fetched by another program, waiting for it"
                ));
            }
            Event::Unreachable(unreachable) => note(&unreachable.to_string()),
            Event::Fetching { path, done, size } => {
                let mut bar = self.bar.borrow_mut();
                if bar.as_ref().is_none_or(|(of, _)| of != path) {
                    end(&mut bar);
                    *bar = Some((path.to_owned(), begin(path, done, size)));
                }
                if let Some((_, bar)) = &*bar {
                    bar.set_position(done);
                }
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        end(self.bar.get_mut());
    }
}

fn end(bar: &mut Option<(String, ProgressBar)>) {
    if let Some((_, bar)) = bar.take() {
        bar.finish_and_clear();
    }
}

fn begin(path: &str, done: u64, size: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        let there = match done {
            0 => String::new(),
            done => format!(", {} of it are there", DecimalBytes(done)),
        };
        note(&format!("fetching `{path}`, {}{there}", DecimalBytes(size)));
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(size).with_position(done);
    // The rate is that of now, not of what an earlier run fetched.
    bar.reset_eta();
    let template = "{bar:24} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left  {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(path.to_owned());
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
