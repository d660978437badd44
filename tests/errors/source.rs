//! Errors of `src/source`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use swallow_gguf::{
    gguf::{Gguf, Value, encode_header, split},
    source::{Checkpoint, GgufModel, GgufModelError, SourceError},
};

use super::{Section, variants};
use crate::edited::{Folder, SHARD};

variants!(SourceError {
    NotACheckpoint,
    File,
    Weights,
    ShardOutsideFolder,
    ShardMissing,
    Malformed,
    Truncated,
    Tensor,
} hands_on { Hub });

variants!(GgufModelError {
    Name,
    Missing,
    Foreign,
    Duplicate,
    TooMany,
} hands_on { Open });

pub(super) fn errors(list: &mut Section) {
    list.want::<SourceError>();
    list.want::<GgufModelError>();
    folders(list);
    small_files(list);
    weights(list);
    shards(list);
    ggufs(list);
}

fn opened(path: &Path) -> SourceError {
    Checkpoint::open(path).unwrap_err()
}

fn folders(list: &mut Section) {
    let dir = list.dir().join("folders");
    let model = Folder::moe(&dir, "Moe");
    for (case, path) in [
        ("no such folder", dir.join("nowhere")),
        ("a file of a checkpoint", model.file("model.safetensors")),
        ("the folder above", dir.clone()),
    ] {
        list.add(case, opened(&path));
    }
    let with = |name: &str, files: &[(&str, &str)]| -> PathBuf {
        let folder = dir.join("other").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), text).unwrap();
        }
        folder
    };
    let adapter =
        "{\"peft_type\": \"LORA\", \"base_model_name_or_path\": \"meta-llama/Llama-2-7b-hf\"}";
    for (case, folder) in [
        ("nothing in it", with("empty", &[])),
        (
            "an adapter",
            with("adapter", &[("adapter_config.json", adapter)]),
        ),
        ("a GGUF in it", with("gguf", &[("m.Q4_K_M.gguf", "")])),
        ("Meta's own format", with("meta", &[("params.json", "{}")])),
        ("another name", with("second", &[("config (1).json", "{}")])),
        ("the hub's cache", with("hub", &[("models--org--m", "")])),
        ("something else", with("notes", &[("notes.txt", "")])),
    ] {
        list.add(case, opened(&folder));
    }
    let folder = with(
        "files",
        &[("m.gguf", ""), ("recipe.yml", ""), ("a.bin", "")],
    );
    for (case, file) in [
        ("a GGUF", "m.gguf"),
        ("a recipe", "recipe.yml"),
        ("some file", "a.bin"),
    ] {
        list.add(case, opened(&folder.join(file)));
    }
}

fn small_files(list: &mut Section) {
    let model = Folder::moe(&list.dir().join("files"), "Moe");
    let config = model.file("config.json");
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (case, bytes) in [
        ("empty", &b""[..]),
        (
            "a pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 615\n",
        ),
        (
            "an older pointer",
            b"version https://hawser.github.com/spec/v1\n",
        ),
        ("a login page", b"<!doctype html><title>Sign in</title>"),
        ("an error of a storage", b"<?xml version=\"1.0\"?><Error>"),
        ("an answer in words", b"Invalid username or password."),
        ("UTF-16", &utf16),
        ("Latin-1", b"{\"a\": \"\xe9\"}"),
        ("cut", b"{\"architectures\": ["),
        ("no JSON of ours", b"{'a': 1}"),
    ] {
        fs::write(&config, bytes).unwrap();
        list.add(case, opened(&model.source));
    }
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    list.add("a folder", opened(&model.source));
    #[cfg(unix)]
    {
        fs::remove_dir(&config).unwrap();
        std::os::unix::fs::symlink("../../blobs/4d", &config).unwrap();
        list.add("a link that points nowhere", opened(&model.source));
    }
    let index = Folder::moe(&list.dir().join("files"), "Index");
    index.add_index(|_| {});
    let file = fs::File::create(index.file("model.safetensors.index.json")).unwrap();
    file.set_len(1 << 30).unwrap();
    list.add("far too large", opened(&index.source));
}

fn weights(list: &mut Section) {
    let model = Folder::moe(&list.dir().join("weights"), "Moe");
    let mut last = "model.safetensors";
    for (case, name) in [
        ("pickles", "pytorch_model-00001-of-00002.bin"),
        ("Mistral's own format", "consolidated.safetensors"),
        ("an adapter", "adapter_model.safetensors"),
        ("a GGUF", "m.Q8_0.gguf"),
        ("nothing", "x.safetensors.part"),
        ("a shard of three", "model-00002-of-00003.safetensors"),
        ("a file of another name", "model.fp16.safetensors"),
    ] {
        fs::rename(model.file(last), model.file(name)).unwrap();
        last = name;
        if name == "model.fp16.safetensors" {
            fs::copy(model.file(name), model.file("model.fp32.safetensors")).unwrap();
        }
        list.add(case, opened(&model.source));
    }
}

fn shards(list: &mut Section) {
    let dir = list.dir().join("shards");
    let mut case = |case: &str, edit: &dyn Fn(&Folder)| {
        let model = Folder::moe(&dir, "Moe");
        edit(&model);
        list.add(case, opened(&model.source));
        fs::remove_dir_all(model.source).unwrap();
    };
    const NORM: &str = "model.norm.weight";
    let put =
        |shard: &'static str| move |model: &Folder| model.add_index(|map| map[NORM] = json!(shard));
    case("shards that are not there", &|model| {
        model.add_index(|map| {
            for (i, shard) in map.values_mut().enumerate() {
                *shard = format!("model-{:05}-of-00003.safetensors", i % 3 + 1).into();
            }
        });
    });
    case("a shard above", &put("../x.safetensors"));
    case("no tensors in the index", &|model| {
        model.add_index(serde_json::Map::clear);
    });
    case("not in its shard", &|model| {
        model.add_index(|map| drop(map.insert("extra.weight".into(), json!(SHARD))));
    });
    case("in two shards", &|model| {
        model.add_index(|map| drop(map.insert("x".into(), json!("b.safetensors"))));
        fs::copy(model.file(SHARD), model.file("b.safetensors")).unwrap();
    });
    let shard = |bytes: &'static [u8]| {
        move |model: &Folder| fs::write(model.file("model.safetensors"), bytes).unwrap()
    };
    case("an empty shard", &shard(b""));
    case("a shard of some bytes", &shard(b"abc"));
    case("a pickle", &shard(b"\x80\x02}q\x00(X\x05\0\0\0model"));
    case("a zip archive", &shard(b"PK\x03\x04\0\0\0\0\0\0\0\0"));
    case("a GGUF", &shard(b"GGUF\x03\0\0\0\0\0\0\0"));
    case("no download", &shard(&[0; 64]));
    case("something else", &shard(b"something else altogether"));
    case("a broken header", &shard(b"\x02\0\0\0\0\0\0\0{]"));
    case("a cut shard", &|model| {
        let path = model.file("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    });
    for (what, key, value) in [
        ("overlapping tensors", "data_offsets", json!([0, 512])),
        ("another shape", "shape", json!([255])),
        (
            "a shape beyond all",
            "shape",
            json!([1u64 << 60, 1u64 << 60]),
        ),
        ("turned bytes", "data_offsets", json!([9, 2])),
    ] {
        case(what, &|model| {
            model.edit_header(|header| header[NORM][key] = value.clone());
        });
    }
}

/// Writes a part of a model, with `tensors` in all parts and none in this.
fn part(path: &Path, no: usize, count: usize, tensors: usize) {
    let mut key_values = vec![("general.architecture".into(), "llama".into())];
    key_values.extend(split::key_values(no, count, tensors));
    fs::write(path, encode_header(&key_values, &[], 32)).unwrap();
}

fn ggufs(list: &mut Section) {
    let dir = list.dir().join("ggufs");
    fs::create_dir(&dir).unwrap();
    let path = |name: &str| dir.join(name);
    let opened = |name: &str| GgufModel::open(&path(name)).unwrap_err();
    part(&path("some.gguf"), 1, 3, 0);
    list.add("a part under another name", opened("some.gguf"));
    part(&path("m-00001-of-00002.gguf"), 0, 2, 0);
    list.add("a part that is alone", opened("m-00001-of-00002.gguf"));
    part(&path("m-00002-of-00002.gguf"), 1, 2, 7);
    list.add("a part of another model", opened("m-00001-of-00002.gguf"));
    fs::write(
        path("m-00002-of-00002.gguf"),
        encode_header(&vec![("a".into(), Value::U32(1))], &[], 32),
    )
    .unwrap();
    list.add(
        "a model in the place of a part",
        opened("m-00001-of-00002.gguf"),
    );
    part(&path("n-00001-of-00002.gguf"), 0, 2, 7);
    part(&path("n-00002-of-00002.gguf"), 1, 2, 7);
    list.add(
        "tensors that are in no part",
        opened("n-00001-of-00002.gguf"),
    );

    let model = Folder::moe(&dir, "Moe");
    let whole = path("whole.gguf");
    crate::support::converted(&model.source, &whole, &["-t", "bf16"]);
    let gguf = Gguf::open(&whole).unwrap();
    let bytes = fs::read(&whole).unwrap();
    let count = 2 * gguf.tensors.len();
    for no in 0..2 {
        let header = encode_header(&split::key_values(no, 2, count), &gguf.tensors, 32);
        let mut bytes = [&header[..], &bytes[gguf.data_offset as usize..]].concat();
        bytes.splice(
            header.len()..header.len(),
            vec![0; header.len().next_multiple_of(32) - header.len()],
        );
        fs::write(path(&format!("d-{:05}-of-00002.gguf", no + 1)), bytes).unwrap();
    }
    list.add("a tensor in two parts", opened("d-00001-of-00002.gguf"));
    let mut key_values = split::key_values(0, 1, 0);
    for (key, value) in &mut key_values {
        if key == "split.count" {
            *value = Value::U32(1 << 20);
        }
    }
    fs::write(path("t.gguf"), encode_header(&key_values, &[], 32)).unwrap();
    list.add("more parts than there can be", opened("t.gguf"));
}
