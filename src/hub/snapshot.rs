//! A repository at one commit: what the hub's model information says of it.
//!
//! `GET /api/models/ORG/NAME/revision/REVISION?blobs=true` answers with a JSON object, of which we
//! read `sha`, the commit, and `siblings`, the files: `rfilename` (path), `size`, `blobId` (git's
//! id of the blob) and, for files in large-file storage, `lfs` with the `sha256` of the bytes. (Of
//! such a file git only has a pointer, so its `blobId` says nothing of its bytes.) Git itself takes
//! files up to 10 MB; weights are in large-file storage.

use serde::Deserialize;
use sha2::Digest as _;

use super::{
    error::HubError,
    like,
    repo::{Repo, RepoId, check_path, encode_path, encode_segment, is_commit},
};

/// A repository, pinned to a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The repository, with the revision that was asked for.
    pub repo: Repo,
    /// The commit that the revision stood for, 40 hexadecimal digits.
    pub commit: String,
    /// Its files, in the order of their paths.
    pub files: Vec<FileInfo>,
}

/// One file of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its path in the repository.
    pub path: String,
    /// Its size in bytes, where the hub tells.
    pub size: Option<u64>,
    /// The digest of its bytes, where the hub tells.
    pub digest: Option<Digest>,
}

/// What the bytes of a file hash to. Both are written in hexadecimal digits, and both are the
/// file's `ETag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 of the bytes: files in large-file storage.
    Sha256(String),
    /// Git's id of the blob, SHA-1 of `blob LENGTH\0` and the bytes: all other files.
    GitBlob(String),
}

#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Snapshot {
    /// Reads the hub's model information.
    pub(super) fn parse(repo: &Repo, json: &[u8]) -> Result<Self, HubError> {
        let malformed = |reason: String| HubError::malformed(repo.to_string(), reason);
        let info: ModelInfo = serde_json::from_slice(json)
            .map_err(|error| malformed(format!("its model information: {error}")))?;
        if !is_commit(&info.sha) {
            return Err(malformed(format!("its commit is `{:.80}`", info.sha)));
        }
        if repo.is_pinned() && !repo.revision.eq_ignore_ascii_case(&info.sha) {
            return Err(malformed(format!("its commit is `{}`", info.sha)));
        }
        let mut files = Vec::with_capacity(info.siblings.len());
        for sibling in info.siblings {
            check_path(&sibling.rfilename).map_err(|error| malformed(error.to_string()))?;
            let size = sibling.lfs.as_ref().and_then(|lfs| lfs.size);
            let digest = match sibling.lfs {
                Some(lfs) => lfs.sha256.map(Digest::Sha256),
                None => sibling.blob_id.map(Digest::GitBlob),
            };
            files.push(FileInfo {
                path: sibling.rfilename,
                size: size.or(sibling.size),
                digest: digest.filter(Digest::is_digest),
            });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self {
            repo: repo.clone(),
            commit: info.sha.to_lowercase(),
            files,
        })
    }

    /// What is known of the file at `path`.
    ///
    /// # Errors
    /// [`HubError::NoSuchFile`], with the files of the same kind that there are.
    pub fn file(&self, path: &str) -> Result<&FileInfo, HubError> {
        if let Some(file) = self.files.iter().find(|file| file.path == path) {
            return Ok(file);
        }
        let like = like::like(path, self.files.iter().map(|file| file.path.as_str()));
        let files = like::counted(self.files.len() as u64, "file");
        let advice = match (like.as_slice(), like::kind(path)) {
            ([], Some(kind)) => {
                format!("it has {files}, none of them `.{kind}`")
            }
            ([], None) => format!("it has {files}, none of such a name"),
            (like, _) => format!("it has {}", like::quoted(like)),
        };
        Err(HubError::NoSuchFile {
            repo: self.repo.to_string(),
            path: path.into(),
            advice,
        })
    }

    /// Whether there is a file at `path`.
    pub fn contains(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }
}

impl Digest {
    /// The hexadecimal digits.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::GitBlob(_) => "git blob id",
        }
    }

    pub(super) fn is_digest(&self) -> bool {
        let digits = match self {
            Self::Sha256(_) => 64,
            Self::GitBlob(_) => 40,
        };
        self.hex().len() == digits && self.hex().bytes().all(|b| b.is_ascii_hexdigit())
    }

    /// Fails where `hasher` has seen other bytes than these of `what`.
    pub(super) fn check(&self, hasher: Hasher, what: &str) -> Result<(), HubError> {
        let found = hasher.finish();
        if found == self.hex().to_lowercase() {
            return Ok(());
        }
        Err(HubError::Damaged {
            what: what.into(),
            kind: self.kind(),
            expected: self.hex().into(),
            found,
        })
    }

    /// Fails where `bytes` are not these of `what`.
    pub(super) fn check_whole(&self, bytes: &[u8], what: &str) -> Result<(), HubError> {
        let mut hasher = self.hasher(bytes.len() as u64);
        hasher.update(bytes);
        self.check(hasher, what)
    }

    /// Begins to hash a file of `len` bytes.
    pub(super) fn hasher(&self, len: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(sha2::Sha256::new()),
            Self::GitBlob(_) => {
                let mut hasher = sha1::Sha1::new();
                hasher.update(format!("blob {len}\0"));
                Hasher::GitBlob(hasher)
            }
        }
    }
}

/// A digest on its way.
pub(super) enum Hasher {
    Sha256(sha2::Sha256),
    GitBlob(sha1::Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitBlob(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::GitBlob(hasher) => hex(&hasher.finalize()),
        }
    }
}

/// Where the model information of `repo` is.
pub(super) fn info_url(endpoint: &str, repo: &Repo) -> String {
    let revision = encode_segment(&repo.revision);
    format!(
        "{endpoint}/api/models/{}/revision/{revision}?blobs=true",
        repo.id
    )
}

/// Where a file's bytes are, or a redirect to them.
pub(super) fn resolve_url(endpoint: &str, id: &RepoId, commit: &str, path: &str) -> String {
    format!("{endpoint}/{id}/resolve/{commit}/{}", encode_path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parse(json: &str) -> Result<Snapshot, HubError> {
        let repo = Repo::parse("hf:a/b", "https://huggingface.co").unwrap();
        Snapshot::parse(&repo, json.as_bytes())
    }

    #[test]
    fn reads_what_the_hub_says() {
        let sha = "a".repeat(64);
        let blob = "b".repeat(40);
        let snapshot = parse(&format!(
            r#"{{"sha": "{COMMIT}", "private": false, "siblings": [
                {{"rfilename": "model.safetensors", "size": 7, "blobId": "{blob}", "lfs": {{"sha256": "{sha}", "size": 7, "pointerSize": 135}}}},
                {{"rfilename": "config.json", "size": 5, "blobId": "{blob}"}},
                {{"rfilename": "old"}}]}}"#
        ))
        .unwrap();
        assert_eq!(snapshot.commit, COMMIT);
        let file = |path: &str, size, digest| FileInfo {
            path: path.into(),
            size,
            digest,
        };
        assert_eq!(
            snapshot.files,
            [
                file("config.json", Some(5), Some(Digest::GitBlob(blob))),
                file("model.safetensors", Some(7), Some(Digest::Sha256(sha))),
                file("old", None, None),
            ]
        );
        assert_eq!(
            snapshot.file("other.json").unwrap_err().to_string(),
            "hf:a/b has no file `other.json`: it has `config.json`"
        );
        assert_eq!(
            snapshot.file("x.gguf").unwrap_err().to_string(),
            "hf:a/b has no file `x.gguf`: it has 3 files, none of them `.gguf`"
        );
    }

    #[test]
    fn what_no_hub_says() {
        let cases = [
            (
                "<html>",
                "its model information: expected value at line 1 column 1",
            ),
            (
                "{}",
                "its model information: missing field `sha` at line 1 column 2",
            ),
            (r#"{"sha": "../x", "siblings": []}"#, "its commit is `../x`"),
            (
                &format!(r#"{{"sha": "{COMMIT}", "siblings": [{{"rfilename": "../../x"}}]}}"#),
                "`../../x`: expected the path of a file in a repository",
            ),
        ];
        for (json, reason) in cases {
            assert_eq!(
                parse(json).unwrap_err().to_string(),
                format!(
                    "the answer for hf:a/b is not a hub's: {reason}: does HF_ENDPOINT name a hub?"
                ),
                "{json}"
            );
        }
    }

    #[test]
    fn digests() {
        // git hash-object, sha256sum.
        let git = Digest::GitBlob("ce013625030ba8dba906f756967f9e9ca394464a".into());
        git.check_whole(b"hello\n", "x").unwrap();
        let sha = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        Digest::Sha256(sha.to_uppercase())
            .check_whole(b"hello\n", "x")
            .unwrap();
        let error = git.check_whole(b"hello!", "x").unwrap_err().to_string();
        assert!(
            error.starts_with("x arrived damaged: expected git blob id ce013625030ba8dba906f756967f9e9ca394464a, found "),
            "{error}"
        );
    }
}
