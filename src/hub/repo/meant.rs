//! What someone means who names something of the hub as another program does, or as a browser
//! shows it.
//!
//! | form | of |
//! | --- | --- |
//! | `ORG/NAME[@REVISION]` | the hub's own library, mergekit |
//! | `ORG/NAME:TAG` | llama.cpp, where the tag stands for a GGUF file |
//! | `hf.co/ORG/NAME[:TAG]` | ollama |
//! | `hf://ORG/NAME[@REVISION]/FILE` | fsspec |
//! | `https://huggingface.co/ORG/NAME/blob/REVISION/FILE` | the page of a file; `resolve`, `raw` |

use super::{Repo, RepoId, check_path};

/// Something of the hub, named in another way than ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// The repository.
    pub repo: Repo,
    /// What of it.
    pub part: Part,
}

/// What of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The file at this path.
    File(String),
    /// A file that has no name yet, but a tag, for example `Q4_K_M`.
    Tag(String),
}

/// Hosts of the hub.
const HOSTS: [&str; 3] = ["huggingface.co", "www.huggingface.co", "hf.co"];

/// What pages of a file or folder have between repository and revision.
const PAGES: [&str; 4] = ["blob", "resolve", "raw", "tree"];

/// What else than a repository of a model stands first on the hub.
const OTHERS: [&str; 8] = [
    "api",
    "blob",
    "collections",
    "datasets",
    "docs",
    "models",
    "papers",
    "spaces",
];

impl Meant {
    /// What of the hub may be meant by `text`, which names nothing that is here; `None` for what looks
    /// like a path. `endpoint` is the hub in use.
    pub fn of(text: &str, endpoint: &str) -> Option<Self> {
        let (rest, is_address) = match address(text, endpoint) {
            Some(rest) => (rest.split(['?', '#']).next()?, true),
            None => (text, false),
        };
        let rest = rest.trim_end_matches('/');
        let (rest, tail) = match rest.split_once(':') {
            Some((rest, tail)) => (rest, Some(tail)),
            None => (rest, None),
        };
        let mut segments = rest.split('/');
        // A revision stands behind the name, and a path may have an `@`, too.
        let (first, second) = (segments.next()?, segments.next());
        let (name, mut revision) = match second.unwrap_or(first).split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (second.unwrap_or(first), None),
        };
        let mut path: Vec<&str> = segments.collect();
        if let [page, at, ..] = path[..]
            && PAGES.contains(&page)
        {
            revision = Some(at);
            path.drain(..2);
        }
        let is_file = path.last().is_some_and(|name| match is_address {
            true => name.contains('.'),
            false => is_file_name(name),
        });
        let is_other = match is_address {
            true => OTHERS.contains(&first),
            false => {
                let is_path = text.starts_with(['.', '/', '~']) || text.contains('\\');
                let is_file = path.is_empty() && is_file_name(name) && tail.is_none();
                is_path || second.is_none() || is_file
            }
        };
        if is_other {
            return None;
        }
        let id = match second {
            Some(_) => RepoId::new(&format!("{first}/{name}")),
            None => RepoId::new(name),
        };
        let part = match tail.filter(|tail| !tail.is_empty()) {
            _ if is_file => Part::File(path.join("/")),
            _ if !path.is_empty() && !is_address => return None,
            Some(tail) if check_path(tail).is_err() => return None,
            Some(tail) if is_file_name(tail) => Part::File(tail.into()),
            Some(tail) if tail.contains('/') => return None,
            Some(tail) => Part::Tag(tail.into()),
            None => Part::Whole,
        };
        Some(Self {
            repo: Repo::new(id.ok()?, revision.filter(|r| !r.is_empty())).ok()?,
            part,
        })
    }

    /// What to write where a checkpoint is wanted.
    pub fn as_checkpoint(&self) -> String {
        let repo = &self.repo;
        let file = match &self.part {
            Part::Whole => None,
            Part::Tag(tag) => Some(tag.as_str()),
            Part::File(path) => Some(path.as_str()).filter(|path| is_gguf(path)),
        };
        match file {
            None => format!("did you mean `{repo}`?"),
            Some(file) => format!(
                "did you mean the checkpoint `{repo}`? A GGUF of it is `{repo}:{file}`, for `run` and `quantize`"
            ),
        }
    }

    /// What to write where a GGUF is wanted.
    pub fn as_gguf(&self) -> String {
        let repo = &self.repo;
        match &self.part {
            Part::Whole => format!("did you mean a file of `{repo}`? It is named `{repo}:FILE`"),
            Part::Tag(part) | Part::File(part) => format!("did you mean `{repo}:{part}`?"),
        }
    }

    /// What to write where either will do.
    pub fn as_model(&self) -> String {
        match &self.part {
            Part::Whole => format!("did you mean `{}`?", self.repo),
            _ => self.as_gguf(),
        }
    }
}

/// What follows the host in an address of the hub, or `hf:`.
pub(super) fn address<'t>(text: &'t str, endpoint: &str) -> Option<&'t str> {
    let rest = |text: &'t str| {
        let hosts = HOSTS.iter().copied();
        let own = endpoint.split_once("://").map(|(_, host)| host);
        hosts
            .chain(own)
            .find_map(|host| text.strip_prefix(host)?.strip_prefix('/'))
    };
    let schemes = ["https://", "http://", "hf://", "hf:", ""];
    let (scheme, text) = schemes
        .iter()
        .find_map(|scheme| Some((*scheme, text.strip_prefix(scheme)?)))?;
    match rest(text) {
        None if scheme.starts_with("hf:") => Some(text),
        rest => rest,
    }
}

fn is_gguf(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".gguf")
}

/// Whether `name` is one of a file of a model, by its ending.
fn is_file_name(name: &str) -> bool {
    let endings = [".gguf", ".safetensors", ".json", ".bin", ".yml", ".yaml"];
    let name = name.to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &str = "http://127.0.0.1:99";

    fn meant(text: &str) -> Option<(String, Part)> {
        let meant = Meant::of(text, HUB)?;
        Some((meant.repo.to_string(), meant.part))
    }

    #[test]
    fn names_as_other_programs_have_them() {
        let file = |path: &str| Part::File(path.into());
        let tag = |tag: &str| Part::Tag(tag.into());
        for (text, repo, part) in [
            ("a/b", "hf:a/b", Part::Whole),
            ("a/b-v0.1", "hf:a/b-v0.1", Part::Whole),
            ("a/b@v1", "hf:a/b@v1", Part::Whole),
            ("a/b:Q4_K_M", "hf:a/b", tag("Q4_K_M")),
            ("a/b:x.gguf", "hf:a/b", file("x.gguf")),
            ("a/b/x.gguf", "hf:a/b", file("x.gguf")),
            ("a/b/sub/x.gguf", "hf:a/b", file("sub/x.gguf")),
            ("hf.co/a/b:latest", "hf:a/b", tag("latest")),
            ("hf.co/gpt2", "hf:gpt2", Part::Whole),
            ("huggingface.co/a/b/", "hf:a/b", Part::Whole),
            ("www.huggingface.co/a/b", "hf:a/b", Part::Whole),
            ("hf:hf.co/a/b", "hf:a/b", Part::Whole),
            ("hf://a/b", "hf:a/b", Part::Whole),
            ("hf://a/b@v1/sub/x.gguf", "hf:a/b@v1", file("sub/x.gguf")),
            ("hf:a/b/x.gguf", "hf:a/b", file("x.gguf")),
            (
                "https://huggingface.co/a/b/blob/main/x.gguf",
                "hf:a/b",
                file("x.gguf"),
            ),
            (
                "https://hf.co/a/b/resolve/v2/sub/x.gguf?download=true",
                "hf:a/b@v2",
                file("sub/x.gguf"),
            ),
            (
                "http://127.0.0.1:99/a/b/raw/main/config.json",
                "hf:a/b",
                file("config.json"),
            ),
            ("huggingface.co/a/b/tree/main", "hf:a/b", Part::Whole),
            ("huggingface.co/a/b/discussions", "hf:a/b", Part::Whole),
        ] {
            assert_eq!(meant(text), Some((repo.to_owned(), part)), "{text}");
        }
        for path in [
            "a",
            "./a/b",
            "../a",
            "/a/b",
            "~/a",
            "a\\b",
            "a/",
            "a/x.gguf",
            "a/config.json",
            "a/b/c",
            "a/b:../x",
            "a/b:x//y",
            "a/b:x/y",
            "models/m/v0.1",
            "C:/a/b",
            "C:\\a",
            "a/b--c",
            "",
            ":",
            "/",
            "a/b@..",
            "https://example.org/a/b",
            "https://huggingface.co/datasets/a/b",
            "hf.co.evil.org/a/b/c",
            "models/x.safetensors",
        ] {
            assert_eq!(meant(path), None, "{path}");
        }
    }

    #[test]
    fn what_to_write() {
        let say = |text: &str| {
            let meant = Meant::of(text, HUB).unwrap();
            (meant.as_checkpoint(), meant.as_gguf())
        };
        assert_eq!(
            say("a/b"),
            (
                "did you mean `hf:a/b`?".into(),
                "did you mean a file of `hf:a/b`? It is named `hf:a/b:FILE`".into()
            )
        );
        assert_eq!(
            say("a/b:Q8_0"),
            (
                "did you mean the checkpoint `hf:a/b`? A GGUF of it is `hf:a/b:Q8_0`, for `run` and `quantize`".into(),
                "did you mean `hf:a/b:Q8_0`?".into()
            )
        );
        let page = "https://hf.co/a/b/blob/v1/x.gguf";
        assert_eq!(say(page).1, "did you mean `hf:a/b@v1:x.gguf`?");
        assert!(say(page).0.contains("`hf:a/b@v1:x.gguf`, for `run`"));
        let page = "https://hf.co/a/b/blob/v1/config.json";
        assert_eq!(say(page).0, "did you mean `hf:a/b@v1`?");
    }
}
