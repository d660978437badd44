//! Rope scaling, from config.json to the keys of the file.

use serde_json::json;
use swallow_gguf::gguf::{Gguf, Value};

use crate::edited::Edited;

#[test]
fn yarn_is_written_where_llama_cpp_looks_for_it() {
    let model = Edited::dense();
    model.edit_json("config.json", |c| {
        c["rope_scaling"] = json!({"type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096, "beta_fast": 32});
    });
    model.converted(&[]);
    let gguf = Gguf::open(&model.dir.path().join("out.gguf")).unwrap();
    let keys = gguf.key_values.iter().map(|(key, _)| key.as_str());
    let from = keys.skip_while(|key| *key != "llama.attention.head_count_kv");
    assert_eq!(
        from.take(6).collect::<Vec<_>>(),
        [
            "llama.attention.head_count_kv",
            "llama.rope.scaling.type",
            "llama.rope.scaling.factor",
            "llama.rope.scaling.original_context_length",
            "llama.rope.scaling.yarn_beta_fast",
            "llama.rope.freq_base",
        ]
    );
    let value = |key: &str| gguf.get(key).cloned();
    assert_eq!(value("llama.rope.scaling.type"), Some("yarn".into()));
    assert_eq!(value("llama.rope.scaling.factor"), Some(Value::F32(16.0)));
    assert_eq!(
        value("llama.rope.scaling.original_context_length"),
        Some(Value::U32(4096))
    );
}

#[test]
fn dynamic_changes_nothing_but_is_told() {
    let model = Edited::dense();
    let (expected, _) = model.converted(&[]);
    model.edit_json("config.json", |c| {
        c["rope_scaling"] = json!({"type": "dynamic", "factor": 2.0});
    });
    let (found, said) = model.converted(&[]);
    assert!(found == expected);
    assert!(
        said.contains("note: the rope scaling `dynamic` is left out"),
        "{said}"
    );
    model.edit_json("config.json", |c| {
        c["rope_scaling"]["type"] = json!("longrope")
    });
    let said = model.refused(&[]);
    assert!(
        said.contains("`rope_scaling.type` is `longrope`, expected"),
        "{said}"
    );
}
