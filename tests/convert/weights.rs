//! Which files of a folder are read as its weights.

use std::fs;

use crate::edited::{Edited, SHARD};

/// The shard with zeros for weights.
fn zeros(model: &Edited) -> Vec<u8> {
    let (_, data) = model.parts();
    let mut bytes = fs::read(model.file("model.safetensors")).unwrap();
    let header = bytes.len() - data.len();
    bytes[header..].fill(0);
    bytes
}

#[test]
fn a_whole_file_goes_before_an_older_index_and_its_shards() {
    let model = Edited::new();
    let (expected, _) = model.converted(&[]);
    let whole = fs::read(model.file("model.safetensors")).unwrap();
    let zeros = zeros(&model);
    model.add_index(|_| {});
    fs::write(model.file(SHARD), zeros).unwrap();
    let (of_zeros, said) = model.converted(&[]);
    assert_ne!(of_zeros, expected);
    assert!(!said.contains("note:"), "{said}");

    fs::write(model.file("model.safetensors"), whole).unwrap();
    let (found, said) = model.converted(&[]);
    assert!(found == expected);
    let note = "note: the weights are read from `model.safetensors`, as transformers does; passed \
                over: `model.safetensors.index.json`, `model-00001-of-00001.safetensors`\n";
    assert!(said.starts_with(note), "{said}");

    // Without the shards the index is no error.
    fs::remove_file(model.file(SHARD)).unwrap();
    let (found, said) = model.converted(&[]);
    assert!(found == expected);
    assert!(
        said.contains("passed over: `model.safetensors.index.json`\n"),
        "{said}"
    );
}

#[test]
fn shards_that_number_themselves_need_no_index() {
    let model = Edited::new();
    let (expected, _) = model.converted(&[]);
    fs::rename(model.file("model.safetensors"), model.file(SHARD)).unwrap();
    let (found, said) = model.converted(&[]);
    assert!(found == expected);
    assert!(!said.contains("note:"), "{said}");

    fs::rename(
        model.file(SHARD),
        model.file("model-00002-of-00003.safetensors"),
    )
    .unwrap();
    assert_eq!(
        model.refused(&[]),
        format!(
            "`{}`: 2 of 3 shards are missing, `model-00001-of-00003.safetensors` and 1 more: download them again",
            model.source.display()
        )
    );
}

#[test]
fn another_name_is_taken_where_it_is_all_there_is() {
    let model = Edited::new();
    let (expected, _) = model.converted(&[]);
    let other = "model.fp16.safetensors";
    fs::rename(model.file("model.safetensors"), model.file(other)).unwrap();
    let (found, said) = model.converted(&[]);
    assert!(found == expected);
    assert!(
        said.contains("note: there is no `model.safetensors`, the weights are read from `model.fp16.safetensors`"),
        "{said}"
    );
    fs::copy(model.file(other), model.file("model.fp32.safetensors")).unwrap();
    let said = model.refused(&[]);
    assert!(
        said.contains("`model.fp16.safetensors`, `model.fp32.safetensors`"),
        "{said}"
    );
}

#[test]
fn every_shard_that_is_missing_is_counted() {
    let model = Edited::new();
    model.add_index(|map| {
        for (i, shard) in map.values_mut().enumerate() {
            *shard = format!("model-{:05}-of-00003.safetensors", i % 3 + 1).into();
        }
    });
    fs::rename(
        model.file(SHARD),
        model.file("model-00002-of-00003.safetensors"),
    )
    .unwrap();
    let said = model.refused(&[]);
    assert!(
        said.starts_with("2 of 3 shards that `")
            && said.ends_with(
                "are missing, `model-00001-of-00003.safetensors` and 1 more: download them again"
            ),
        "{said}"
    );
}
