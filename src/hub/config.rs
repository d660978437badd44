//! Where the hub is, who asks, and where its files are kept: the environment variables of Hugging
//! Face's own library, with the meaning they have there.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HF_ENDPOINT` | the hub, else `https://huggingface.co` |
//! | `HF_TOKEN`, else `HUGGING_FACE_HUB_TOKEN` | the access token, before the token file |
//! | `HF_TOKEN_PATH` | the token file, else `token` in `HF_HOME` |
//! | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | send no token |
//! | `HF_HOME` | else `huggingface` in `XDG_CACHE_HOME`, else in `~/.cache` |
//! | `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE` | the cache, else `hub` in `HF_HOME` |
//! | `TRANSFORMERS_CACHE` | the same, where none of these is set: transformers 4 fetches to it |
//! | `HF_HUB_OFFLINE`, else `TRANSFORMERS_OFFLINE` | only what the cache has |
//!
//! `HF_DATASETS_OFFLINE` and `HF_DATASETS_CACHE` are not among them: they are of data sets alone.
//! `1`, `ON`, `YES` and `TRUE` are yes, in any case. `~` and `$NAME` are written out in paths.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::error::HubError;

/// The hub where `HF_ENDPOINT` names none.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// An access token. It is shown nowhere, not by `Debug` either.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token in `text`, which `what` holds, without the space and line ends around it; `None`
    /// where there is none.
    ///
    /// # Errors
    /// [`HubError::Config`] where it could not be sent; the text is not shown.
    pub fn new(text: &str, what: &str) -> Result<Option<Self>, HubError> {
        let text = text.trim();
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(HubError::Config {
                what: what.into(),
                reason: "is no token: expected one word such as `hf_…`".into(),
            });
        }
        Ok((!text.is_empty()).then(|| Self(text.into())))
    }

    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How the hub is reached, and where its files are kept.
#[derive(Clone, Debug)]
pub struct Config {
    /// The hub: scheme, host and port, perhaps a path, without a slash at the end.
    pub endpoint: String,
    /// The access token, where there is one.
    pub token: Option<Token>,
    /// The cache's folder.
    pub cache: PathBuf,
    /// The variable that says that the network is not to be used, where one does.
    pub offline: Option<&'static str>,
}

impl Config {
    /// What the environment says.
    ///
    /// # Errors
    /// [`HubError::Config`] where a variable makes no sense or the token file cannot be read.
    pub fn from_env() -> Result<Self, HubError> {
        let home = std::env::home_dir();
        Self::from_vars(&|name| std::env::var(name).ok(), home.as_deref())
    }

    /// As [`Config::from_env`], with the environment given.
    ///
    /// # Errors
    /// As those of [`Config::from_env`].
    pub fn from_vars(
        var: &dyn Fn(&str) -> Option<String>,
        home: Option<&Path>,
    ) -> Result<Self, HubError> {
        let path = |text: &str| written_out(text, var, home);
        let hf_home = match var("HF_HOME") {
            Some(text) => path(&text),
            None => match (var("XDG_CACHE_HOME"), home) {
                (Some(text), _) => path(&text).join("huggingface"),
                (None, Some(home)) => home.join(".cache/huggingface"),
                (None, None) => {
                    return Err(HubError::Config {
                        what: "HF_HOME".into(),
                        reason: "is not set, and there is no home folder: set it to a folder for \
                                 downloads"
                            .into(),
                    });
                }
            },
        };
        let cache = var("HF_HUB_CACHE")
            .or_else(|| var("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| var("TRANSFORMERS_CACHE").filter(|_| var("HF_HOME").is_none()))
            .map_or_else(|| hf_home.join("hub"), |text| path(&text));
        let endpoint = match var("HF_ENDPOINT") {
            Some(text) => checked_endpoint(&text)?,
            None => DEFAULT_ENDPOINT.into(),
        };
        let token = if is_true(var("HF_HUB_DISABLE_IMPLICIT_TOKEN").as_deref()) {
            None
        } else {
            let mut given = None;
            for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
                if let (None, Some(text)) = (&given, var(name)) {
                    given = Token::new(&text, name)?;
                }
            }
            match given {
                Some(token) => Some(token),
                None => {
                    let file = var("HF_TOKEN_PATH")
                        .map_or_else(|| hf_home.join("token"), |text| path(&text));
                    read_token(&file)?
                }
            }
        };
        // The first of them that says something decides, also by a no.
        let offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
            .into_iter()
            .find_map(|name| Some((name, var(name).filter(|text| !text.is_empty())?)))
            .filter(|(_, text)| is_true(Some(text)))
            .map(|(name, _)| name);
        Ok(Self {
            endpoint,
            token,
            cache,
            offline,
        })
    }
}

fn is_true(value: Option<&str>) -> bool {
    let value = value.map(str::to_uppercase);
    matches!(value.as_deref(), Some("1" | "ON" | "YES" | "TRUE"))
}

fn checked_endpoint(text: &str) -> Result<String, HubError> {
    let endpoint = text.trim_end_matches('/');
    let uri = endpoint.parse::<ureq::http::Uri>().ok();
    let fits = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|at| !at.host().is_empty() && !at.as_str().contains('@'))
            && uri.query().is_none()
    });
    if fits {
        return Ok(endpoint.into());
    }
    Err(HubError::Config {
        what: "HF_ENDPOINT".into(),
        reason: format!("is `{text}`, expected an address such as `{DEFAULT_ENDPOINT}`"),
    })
}

/// The largest token file that is read, in bytes.
const MAX_TOKEN: u64 = 4096;

fn read_token(path: &Path) -> Result<Option<Token>, HubError> {
    let what = format!("the token file `{}`", path.display());
    let mut bytes = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(MAX_TOKEN + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HubError::Config {
            what,
            reason: format!(
                "cannot be read: {error}: HF_TOKEN_PATH can name another, HF_TOKEN have the token itself"
            ),
        }),
        // Too much, or no text, is no token either.
        Ok(_) if bytes.len() as u64 > MAX_TOKEN => Token::new("\0", &what),
        Ok(_) => Token::new(&String::from_utf8_lossy(&bytes), &what),
    }
}

/// A path with `~` at the front, and `$NAME` and `${NAME}` anywhere, written out. What is not set
/// stays as it is.
fn written_out(text: &str, var: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> PathBuf {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, end, as_written) = match rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2, format!("${{{name}}}")),
            None => {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
                (&rest[..end], end, format!("${}", &rest[..end]))
            }
        };
        out.push_str(&var(name).filter(|_| !name.is_empty()).unwrap_or(as_written));
        rest = &rest[end..];
    }
    out.push_str(rest);
    match (out.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.into(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(&rest[1..]),
        _ => out.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<Config, HubError> {
        let var = |name: &str| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::from_vars(&var, Some(Path::new("/nowhere/home")))
    }

    #[test]
    fn folders() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[], "/nowhere/home/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (
                &[("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/x")],
                "/nowhere/home/hf/hub",
            ),
            (
                &[("HF_HOME", "$BIG/a-${BIG}$NONE"), ("BIG", "/b")],
                "/b/a-/b$NONE/hub",
            ),
            (&[("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
            (
                &[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")],
                "/new",
            ),
            (
                &[("TRANSFORMERS_CACHE", "~/t"), ("XDG_CACHE_HOME", "/x")],
                "/nowhere/home/t",
            ),
            // To the hub's own library this is no name of it.
            (
                &[("TRANSFORMERS_CACHE", "~/t"), ("HF_HOME", "/hf")],
                "/hf/hub",
            ),
            (
                &[
                    ("HUGGINGFACE_HUB_CACHE", "/old"),
                    ("TRANSFORMERS_CACHE", "/t"),
                ],
                "/old",
            ),
            (
                &[("HF_DATASETS_CACHE", "/d"), ("HF_HOME", "/hf")],
                "/hf/hub",
            ),
        ];
        for (vars, cache) in cases {
            assert_eq!(config(vars).unwrap().cache, Path::new(cache), "{vars:?}");
        }
    }

    #[test]
    fn offline_as_the_library_reads_it() {
        for (value, offline) in [
            ("1", true),
            ("on", true),
            ("Yes", true),
            ("0", false),
            ("2", false),
        ] {
            let found = config(&[("HF_HUB_OFFLINE", value)]).unwrap().offline;
            assert_eq!(found, offline.then_some("HF_HUB_OFFLINE"), "{value}");
        }
        let both = [("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")];
        assert_eq!(config(&both).unwrap().offline, None);
        let second = config(&both[1..]).unwrap().offline;
        assert_eq!(second, Some("TRANSFORMERS_OFFLINE"));
        let empty = [("HF_HUB_OFFLINE", ""), ("TRANSFORMERS_OFFLINE", "1")];
        assert_eq!(config(&empty).unwrap().offline, second);
        let of_data_sets = [("HF_DATASETS_OFFLINE", "1")];
        assert_eq!(config(&of_data_sets).unwrap().offline, None);
    }

    #[test]
    fn endpoints() {
        assert_eq!(config(&[]).unwrap().endpoint, "https://huggingface.co");
        let own = config(&[("HF_ENDPOINT", "http://127.0.0.1:8080/hub/")]).unwrap();
        assert_eq!(own.endpoint, "http://127.0.0.1:8080/hub");
        for wrong in [
            "",
            "huggingface.co",
            "ftp://a",
            "http://u:p@a",
            "http://a/?b=c",
            "https://",
        ] {
            let error = config(&[("HF_ENDPOINT", wrong)]).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "HF_ENDPOINT is `{wrong}`, expected an address such as `https://huggingface.co`"
                )
            );
        }
    }

    #[test]
    fn tokens() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "hf_file\n").unwrap();
        let path = file.to_str().unwrap();
        let home = dir.path().to_str().unwrap();
        let token = |vars: &[(&str, &str)]| {
            let token = config(vars).unwrap().token;
            token.map(|token| token.secret().to_owned())
        };
        assert_eq!(token(&[]), None);
        assert_eq!(
            token(&[("HF_TOKEN", " hf_env\n"), ("HF_TOKEN_PATH", path)]).as_deref(),
            Some("hf_env")
        );
        assert_eq!(
            token(&[("HF_TOKEN", ""), ("HF_TOKEN_PATH", path)]).as_deref(),
            Some("hf_file")
        );
        assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("hf_file"));
        assert_eq!(
            token(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]),
            None
        );

        for damaged in [vec![0xff; 8], vec![b'a'; 5000], b"two words".to_vec()] {
            fs::write(&file, damaged).unwrap();
            let error = config(&[("HF_TOKEN_PATH", path)]).unwrap_err();
            let expected =
                format!("the token file `{path}` is no token: expected one word such as `hf_…`");
            assert_eq!(error.to_string(), expected);
        }
        let error = config(&[("HF_TOKEN", "hf_\u{e9}")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "HF_TOKEN is no token: expected one word such as `hf_…`"
        );
    }

    #[test]
    fn a_token_is_not_shown() {
        let config = config(&[("HF_TOKEN", "hf_secret")]).unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
