//! A checkpoint to be changed.

use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};
use swallow_gguf::synthetic::Spec;
use tempfile::TempDir;

use crate::{
    convert::listing,
    support::{checkpoint, convert, small_moe, swallow_gguf, text},
};

/// A checkpoint of one shard that a test may change.
pub(crate) struct Folder {
    pub(crate) source: PathBuf,
}

/// One in a temporary folder of its own.
pub(crate) struct Edited {
    pub(crate) dir: TempDir,
    folder: Folder,
}

impl Deref for Edited {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

fn one_shard() -> Spec {
    Spec {
        shards: 1,
        ..small_moe()
    }
}

impl Edited {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::moe(dir.path(), "Moe");
        Self { dir, folder }
    }

    /// A dense Llama.
    pub(crate) fn dense() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::dense(dir.path(), "Dense");
        Self { dir, folder }
    }

    /// Converts it to BF16, which must succeed: the file and what was said.
    pub(crate) fn converted(&self, args: &[&str]) -> (Vec<u8>, String) {
        let output = self.dir.path().join("out.gguf");
        let run = swallow_gguf()
            .arg("convert")
            .arg(&self.source)
            .args(["--force", "-t", "bf16", "-o"])
            .arg(&output)
            .args(args)
            .output()
            .unwrap();
        let said = text(&run.stderr);
        assert!(run.status.success(), "{said}");
        (fs::read(output).unwrap(), said)
    }

    /// What is said where it cannot be converted.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        refused(&self.source, args)
    }
}

impl Folder {
    pub(crate) fn moe(dir: &Path, name: &str) -> Self {
        let source = checkpoint(dir, name, &one_shard());
        Self { source }
    }

    pub(crate) fn dense(dir: &Path, name: &str) -> Self {
        let mut spec = one_shard();
        spec.sizes.num_local_experts = 0;
        let source = checkpoint(dir, name, &spec);
        Self { source }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.source.join(name)
    }

    pub(crate) fn edit_json(&self, name: &str, edit: impl FnOnce(&mut Json)) {
        let path = self.file(name);
        let mut json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut json);
        fs::write(path, json.to_string()).unwrap();
    }

    /// Changes the shard's header and leaves its data as it is.
    pub(crate) fn edit_header(&self, edit: impl FnOnce(&mut Json)) {
        let path = self.file("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Json = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
        edit(&mut header);
        let header = header.to_string();
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header.as_bytes());
        out.extend(&bytes[8 + len..]);
        fs::write(path, out).unwrap();
    }

    /// Overwrites one bf16 weight of a tensor.
    pub(crate) fn set_weight(&self, tensor: &str, index: usize, bits: u16) {
        let path = self.file("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Json = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
        let begin = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
        let at = 8 + len + begin + 2 * index;
        bytes[at..at + 2].copy_from_slice(&bits.to_le_bytes());
        fs::write(path, bytes).unwrap();
    }

    /// The shard's header, and its data.
    pub(crate) fn parts(&self) -> (serde_json::Map<String, Json>, Vec<u8>) {
        let bytes = fs::read(self.file("model.safetensors")).unwrap();
        let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Json = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
        (
            header.as_object().unwrap().clone(),
            bytes[8 + len..].to_vec(),
        )
    }

    /// Gives tensors other names; those without one are left out.
    pub(crate) fn rename(&self, rename: impl Fn(&str) -> Option<String>) {
        self.edit_header(|header| {
            let old = std::mem::take(header.as_object_mut().unwrap());
            for (name, entry) in old {
                if let Some(name) = rename(&name) {
                    header[name] = entry;
                }
            }
        });
    }

    /// Adds a tensor without weights.
    pub(crate) fn add_empty(&self, name: &str) {
        self.edit_header(|header| {
            header[name] = json!({"dtype": "BF16", "shape": [0], "data_offsets": [0, 0]});
        });
    }

    /// Makes the shard the first of one, with an index that puts every tensor in it, but for what
    /// `edit` changes.
    pub(crate) fn add_index(&self, edit: impl FnOnce(&mut serde_json::Map<String, Json>)) {
        let names = self.parts().0;
        let names = names.keys().filter(|name| *name != "__metadata__");
        let mut map = names.map(|name| (name.clone(), json!(SHARD))).collect();
        edit(&mut map);
        let index = json!({"metadata": {}, "weight_map": map});
        fs::write(self.file("model.safetensors.index.json"), index.to_string()).unwrap();
        fs::rename(self.file("model.safetensors"), self.file(SHARD)).unwrap();
    }
}

/// The one shard where there is an index.
pub(crate) const SHARD: &str = "model-00001-of-00001.safetensors";

/// What is said where `source` cannot be converted: one line, and nothing is written.
pub(crate) fn refused(source: &Path, args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let run = convert(source, &dir.path().join("out.gguf"), args);
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(listing(dir.path()), [""; 0], "{said}");
    said.strip_prefix("error: ").unwrap().trim_end().to_owned()
}
