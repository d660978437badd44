//! What a checkpoint is on the hub: the repository, the commit, and what names each shard's bytes.

use std::{fs, path::Path};

use crate::hub::is_commit;

/// Where a checkpoint comes from, to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `ORG/NAME`.
    pub repo: String,
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// The shards by name, each with its `ETag`: the SHA-256 of a file in large-file storage. Empty
    /// where these are not known: in a cache whose files were copied, and are no links.
    pub shards: Vec<(String, String)>,
}

impl Origin {
    /// Of a folder of the hub's cache, `models--ORG--NAME/snapshots/COMMIT`, in which files are links
    /// to blobs that are named by their `ETag`; `None` for any other folder.
    pub(super) fn of_cache<'a>(dir: &Path, shards: impl Iterator<Item = &'a Path>) -> Option<Self> {
        let dir = fs::canonicalize(dir).ok()?;
        let commit = dir.file_name()?.to_str().filter(|name| is_commit(name))?;
        let snapshots = dir
            .parent()
            .filter(|parent| parent.ends_with("snapshots"))?;
        let repo = snapshots.parent()?.file_name()?.to_str()?;
        let repo = repo.strip_prefix("models--")?.replacen("--", "/", 1);
        Some(Self {
            repo,
            commit: commit.to_owned(),
            shards: Self::etags(shards)?,
        })
    }

    /// The `ETag`s of files of the cache, which are links; `None` where one of them is not.
    pub(super) fn etags<'a>(
        shards: impl Iterator<Item = &'a Path>,
    ) -> Option<Vec<(String, String)>> {
        let named = |path: &Path| {
            let blob = fs::read_link(path).ok()?;
            let (name, etag) = (path.file_name()?.to_str()?, blob.file_name()?.to_str()?);
            Some((name.to_owned(), etag.to_owned()))
        };
        shards.map(named).collect()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_cache_tells_commit_and_etags() {
        let dir = tempfile::tempdir().unwrap();
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let snapshot = dir.path().join("models--Org--Name/snapshots").join(commit);
        fs::create_dir_all(&snapshot).unwrap();
        let shard = snapshot.join("model.safetensors");
        std::os::unix::fs::symlink("../../blobs/12ab", &shard).unwrap();
        let origin = Origin::of_cache(&snapshot, [shard.as_path()].into_iter());
        assert_eq!(
            origin,
            Some(Origin {
                repo: "Org/Name".into(),
                commit: commit.into(),
                shards: vec![("model.safetensors".into(), "12ab".into())],
            })
        );
        // A folder like any other, or a file that is none of the cache's.
        assert_eq!(Origin::of_cache(dir.path(), [].into_iter()), None);
        fs::write(snapshot.join("x"), "").unwrap();
        let own = snapshot.join("x");
        assert_eq!(
            Origin::of_cache(&snapshot, [own.as_path()].into_iter()),
            None
        );
    }
}
