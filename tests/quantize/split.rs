//! Models in several files, read and written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use swallow_gguf::{
    file_type::FileType::{BF16, Q4_K_M},
    gguf::{Gguf, Value, encode_header, split},
};

use super::{Model, compare};
use crate::{
    parity::assert_same_file,
    support::{
        LlamaKnobs, checkpoint, converted, llama_quantize, quantize, quantized, small_moe,
        swallow_gguf, text,
    },
};

fn parts(dir: &Path, stem: &str, count: usize) -> Vec<PathBuf> {
    (1..=count)
        .map(|no| dir.join(format!("{stem}-{no:05}-of-{count:05}.gguf")))
        .collect()
}

/// A model of BF16 in parts, and in one file.
fn in_parts() -> (Model, Vec<PathBuf>) {
    let model = Model::new(BF16);
    let run = swallow_gguf()
        .current_dir(model.dir.path())
        .args(["convert", "Test-Model-v1.0", "-t", "bf16", "-o", "m.gguf"])
        .args(["--split-max-size", "600000"])
        .output()
        .unwrap();
    let said = text(&run.stderr);
    assert!(run.status.success(), "{said}");
    let count = fs::read_dir(model.dir.path())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("m-")
        })
        .count();
    let parts = parts(model.dir.path(), "m", count);
    assert!(
        count > 2 && parts.iter().all(|part| part.is_file()),
        "{said}"
    );
    let first = parts[0].file_name().unwrap().to_str().unwrap();
    let last = parts[count - 1].file_name().unwrap().to_str().unwrap();
    assert!(
        said.contains(&format!("wrote `{first}` to `{last}`")),
        "{said}"
    );
    assert!(
        said.contains(&format!("next: swallow-gguf run {first}")),
        "{said}"
    );
    assert!(!model.path("m.gguf").exists());
    (model, parts)
}

#[test]
fn parts_hold_the_model_within_the_limit() {
    let (model, parts) = in_parts();
    let whole = Gguf::open(&model.plain).unwrap();
    let whole_bytes = fs::read(&model.plain).unwrap();
    let mut tensors = whole.tensors.iter();
    for (no, part) in parts.iter().enumerate() {
        let gguf = Gguf::open(part).unwrap();
        let bytes = fs::read(part).unwrap();
        let own = split::key_values(no, parts.len(), whole.tensors.len());
        let mut expected = if no == 0 {
            whole.key_values.clone()
        } else {
            Vec::new()
        };
        expected.extend(own);
        assert_eq!(gguf.key_values, expected);
        assert_eq!(
            gguf.get("split.count"),
            Some(&Value::U16(parts.len() as u16))
        );
        assert!(gguf.tensor_bytes() <= 600_000 || gguf.tensors.len() == 1);
        for tensor in &gguf.tensors {
            let same = tensors.next().unwrap();
            assert_eq!(
                (&tensor.name, &tensor.dims, tensor.ty),
                (&same.name, &same.dims, same.ty)
            );
            let at = |g: &Gguf, offset| (g.data_offset + offset) as usize;
            let (a, b) = (at(&gguf, tensor.offset), at(&whole, same.offset));
            let len = tensor.size() as usize;
            assert!(
                bytes[a..a + len] == whole_bytes[b..b + len],
                "{}",
                tensor.name
            );
        }
    }
    assert!(tensors.next().is_none());
}

#[test]
fn a_split_model_is_quantized_from_any_part_as_by_llama_cpp() {
    let (model, parts) = in_parts();
    let knobs = LlamaKnobs::default();
    // llama.cpp takes the first part only.
    compare("split", &parts[0], Q4_K_M, &[], &knobs);
    let theirs = model.path("theirs.gguf");
    assert!(llama_quantize(&model.plain, &theirs, Q4_K_M, &knobs));
    let theirs = fs::read(theirs).unwrap();
    for part in [&parts[1], parts.last().unwrap()] {
        let ours = quantized(part, &model.path("other.gguf"), &["--force"]);
        assert_same_file("from another part", &ours, &theirs);
    }
    // Split again, smaller; and whole again.
    let args = ["-t", "bf16", "--split-max-size", "1M"];
    let run = quantize(&parts[0], &model.path("again.gguf"), &args);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let again: Vec<PathBuf> = fs::read_dir(model.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("again-00001-of"))
        .collect();
    let whole = quantized(&again[0], &model.path("whole.gguf"), &["-t", "bf16"]);
    assert_same_file("whole again", &whole, &fs::read(&model.plain).unwrap());
}

#[test]
fn what_fits_stays_in_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Test-Model-v1.0", &small_moe());
    let one = converted(
        &source,
        &dir.path().join("one.gguf"),
        &["--split-max-size", "1G"],
    );
    let plain = converted(&source, &dir.path().join("plain.gguf"), &[]);
    assert_same_file("one file", &one, &plain);
}

#[test]
fn no_part_replaces_a_file_or_an_input() {
    let (model, parts) = in_parts();
    let before: Vec<Vec<u8>> = parts.iter().map(|part| fs::read(part).unwrap()).collect();
    let args = ["-t", "bf16", "--split-max-size", "600000"];
    let run = quantize(&model.plain, &model.path("m.gguf"), &args);
    let said = text(&run.stderr);
    assert!(!run.status.success());
    assert!(
        said.contains("m-00001-of-") && said.contains("exists"),
        "{said}"
    );
    let run = quantize(
        &parts[0],
        &model.path("m.gguf"),
        &[&args[..], &["--force"]].concat(),
    );
    let said = text(&run.stderr);
    assert!(said.contains("is a file of the source itself"), "{said}");
    for (part, before) in parts.iter().zip(before) {
        assert!(fs::read(part).unwrap() == before);
    }
}

/// Writes `part` anew with other metadata.
fn rewrite(part: &Path, change: impl Fn(&mut swallow_gguf::gguf::KeyValues)) {
    let gguf = Gguf::open(part).unwrap();
    let data = fs::read(part).unwrap().split_off(gguf.data_offset as usize);
    let mut key_values = gguf.key_values;
    change(&mut key_values);
    let mut bytes = encode_header(&key_values, &gguf.tensors, gguf.alignment);
    bytes.extend(data);
    fs::write(part, bytes).unwrap();
}

#[test]
fn parts_that_do_not_belong_together_are_told() {
    type Damage<'a> = (&'a str, &'a dyn Fn(&[PathBuf]), &'a str);
    let damages: [Damage<'_>; 6] = [
        (
            "missing",
            &|p| fs::remove_file(&p[1]).unwrap(),
            "is missing, it is one of",
        ),
        (
            "cut",
            &|p| fs::write(&p[1], &fs::read(&p[1]).unwrap()[..900]).unwrap(),
            "cannot read",
        ),
        (
            "twice",
            &|p| assert!(fs::copy(&p[2], &p[1]).unwrap() > 0),
            "does not belong to the other parts: expected part 2 of",
        ),
        (
            "whole",
            &|p| rewrite(&p[1], |kv| kv.clear()),
            "found a model in one file",
        ),
        (
            "count",
            &|p| {
                p.iter().for_each(|part| {
                    rewrite(part, |kv| {
                        kv.retain(|(k, _)| k != "split.tensors.count");
                        kv.push(("split.tensors.count".into(), Value::I32(1000)));
                    })
                })
            },
            "expected 1000 tensors in all parts",
        ),
        (
            "millions",
            &|p| {
                rewrite(&p[0], |kv| {
                    kv.retain(|(k, _)| k != "split.count");
                    kv.push(("split.count".into(), Value::U64(u64::MAX)));
                })
            },
            "expected at most 99999",
        ),
    ];
    for (name, damage, expected) in damages {
        let (model, parts) = in_parts();
        damage(&parts);
        let run = quantize(&parts[0], &model.path("out.gguf"), &[]);
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        assert!(!model.path("out.gguf").exists());
    }

    let (model, parts) = in_parts();
    let renamed = model.path("other.gguf");
    fs::rename(&parts[0], &renamed).unwrap();
    let run = quantize(&renamed, &model.path("out.gguf"), &[]);
    let said = text(&run.stderr);
    assert!(
        said.contains("expected a name that ends with `-00001-of-"),
        "{said}"
    );
}

/// What is wrong with one part is told of that part, whichever is given.
#[test]
fn a_broken_part_is_named() {
    let (model, parts) = in_parts();
    let whole = fs::read(&parts[1]).unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 499723\n";
    for (bytes, expected) in [
        (
            &whole[..whole.len() - 100],
            "bytes are missing: the tensors need a file of",
        ),
        (&whole[..100], "the file ends inside its header"),
        (&b""[..], "the file is empty"),
        (
            pointer,
            "it is a git-lfs pointer to the file of 499723 bytes",
        ),
    ] {
        fs::write(&parts[1], bytes).unwrap();
        for given in [&parts[0], &parts[1]] {
            let run = quantize(given, &model.path("out.gguf"), &[]);
            let said = text(&run.stderr);
            let begins = format!("error: cannot read `{}`: ", parts[1].display());
            assert!(
                said.starts_with(&begins) && said.contains(expected),
                "{said}"
            );
            assert_eq!(
                said.matches(&*parts[1].to_string_lossy()).count(),
                1,
                "{said}"
            );
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}
