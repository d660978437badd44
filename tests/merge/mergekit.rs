//! mergekit's own output.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value as Json;

use super::write_checkpoint;
use crate::support::fixtures;

/// What mergekit 0.1.5 itself wrote of a trained model of 260,000 parameters, twice, with gates that it
/// drew: the same recipe and its gates give the same checkpoint, byte for byte of every tensor.
#[test]
fn mergekits_own_checkpoint_comes_out_of_its_recipe_and_gates() {
    let Some(fixtures) = fixtures("mergekits_own_checkpoint_comes_out_of_its_recipe_and_gates")
    else {
        return;
    };
    let stories = fixtures.join("stories260K");
    let theirs = stories.join("mergekit-0.1.5-moe");
    let dir = tempfile::tempdir().unwrap();
    // The folders that the recipe names are beside the merged one's.
    let path = dir.path().join("recipe.yml");
    let yaml = fs::read_to_string(theirs.join("mergekit_moe_config.yml")).unwrap();
    let parent = stories.join("hf-dense-bf16");
    fs::write(
        &path,
        yaml.replace("./hf-dense-bf16", parent.to_str().unwrap()),
    )
    .unwrap();

    let ours = dir.path().join("ours");
    let gates = theirs.join("model.safetensors");
    write_checkpoint(
        &path,
        &ours,
        &["--layout", "fused", "--gates", gates.to_str().unwrap()],
    );
    let tensors = |dir: &Path| {
        let bytes = fs::read(dir.join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let table: BTreeMap<String, Json> = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        let tensors = table.into_iter().filter(|(name, _)| name != "__metadata__");
        tensors
            .map(|(name, entry)| {
                let [begin, end] = [0, 1]
                    .map(|i| 8 + header + entry["data_offsets"][i].as_u64().unwrap() as usize);
                let (dtype, shape) = (entry["dtype"].clone(), entry["shape"].clone());
                (name, (dtype, shape, bytes[begin..end].to_vec()))
            })
            .collect::<BTreeMap<_, _>>()
    };
    let (a, b) = (tensors(&theirs), tensors(&ours));
    assert!(a.keys().eq(b.keys()), "{:?}\n{:?}", a.keys(), b.keys());
    for (name, tensor) in &a {
        assert!(b[name] == *tensor, "{name}");
    }
    let config = |dir: &Path| -> BTreeMap<String, Json> {
        serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap()
    };
    let (a, b) = (config(&theirs), config(&ours));
    for (key, value) in &b {
        assert_eq!(a.get(key), Some(value), "{key}");
    }
    // What is left are keys of LlamaConfig that no Mixtral looks at, and a version.
    let rest: Vec<&str> = a
        .keys()
        .filter(|k| !b.contains_key(*k))
        .map(String::as_str)
        .collect();
    assert_eq!(
        rest,
        [
            "attention_bias",
            "mlp_bias",
            "pretraining_tp",
            "transformers_version"
        ]
    );
}
