use std::path::Path;

use bstr::BString;
use swallow_quant::GgmlType;

use super::{json, text};
use crate::gguf::{Array, Gguf, KeyValues, TensorInfo, Value, encode_header, lay_out};

/// A Mixture of three experts of which two are used, in a file that tries to play with the
/// terminal.
fn model() -> Gguf {
    let strings = |list: &[&[u8]]| Array::String(list.iter().map(|s| BString::from(*s)).collect());
    let tokens: Vec<String> = (0..100).map(|i| format!("token{i}")).collect();
    let tokens: Vec<&[u8]> = tokens.iter().map(String::as_bytes).collect();
    let key_values: KeyValues = vec![
        ("general.architecture".into(), "llama".into()),
        ("general.name".into(), "東京 MoE \u{1b}[2J".into()),
        ("general.size_label".into(), "3x1M".into()),
        ("general.file_type".into(), Value::U32(15)),
        ("llama.expert_count".into(), Value::U32(3)),
        ("llama.expert_used_count".into(), Value::U32(2)),
        ("llama.rope.freq_base".into(), Value::F32(1e6)),
        (
            "llama.attention.layer_norm_rms_epsilon".into(),
            Value::F32(1e-5),
        ),
        ("a.nan".into(), Value::F32(f32::NAN)),
        ("a.bytes".into(), Value::String(b"caf\xe9 \xc2\x9b".into())),
        ("a.long".into(), "長い".repeat(50).into()),
        ("tokenizer.ggml.tokens".into(), strings(&tokens).into()),
        (
            "tokenizer.ggml.eos".into(),
            strings(&[b"</s>", b"\xff"]).into(),
        ),
        (
            "tokenizer.chat_template".into(),
            "{% for m in messages %}\n{{ m }}\n{% endfor %}".into(),
        ),
        ("split.no".into(), Value::U16(0)),
        ("split.count".into(), Value::U16(2)),
    ];
    let tensor =
        |name: &str, dims: &[u64], ty| TensorInfo::new(name.to_owned(), dims.to_vec(), ty).unwrap();
    let mut tensors = vec![
        tensor("token_embd.weight", &[256, 100], GgmlType::Q6_K),
        tensor("blk.0.ffn_gate_inp.weight", &[256, 3], GgmlType::F32),
        tensor("blk.0.ffn_up_exps.weight", &[256, 512, 3], GgmlType::Q4_K),
        tensor("blk.0.ffn_down_exps.weight", &[512, 256, 3], GgmlType::Q4_K),
    ];
    let data = lay_out(&mut tensors, 32).unwrap();
    let header = encode_header(&key_values, &tensors, 32);
    Gguf::parse(&header, header.len() as u64 + data).unwrap()
}

#[test]
fn the_text_shows_everything_on_lines_of_its_own() {
    let whole = text(&model(), true);
    assert_eq!(whole, include_str!("tests/model.txt"), "found:\n{whole}");
    let short = text(&model(), false);
    assert_eq!(
        Some(short.as_str()),
        whole.split_once("\ntensors (4)\n").map(|(front, _)| front)
    );
}

#[test]
fn the_text_of_a_file_without_anything() {
    let gguf = Gguf::parse(&encode_header(&vec![], &[], 32), 32).unwrap();
    let expected = "(no name): 32 bytes, 0 parameters\n\ntensors by type (0)\n\nkey-values (0)\n";
    assert_eq!(text(&gguf, false), expected);
}

#[test]
fn the_json_holds_everything_under_stable_keys() {
    let text = json(&model(), Path::new("m.gguf"));
    let mut found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let key_values = found["key_values"].take();
    let tensors = found["tensors"].take();
    let mut types = found["types"].take();
    // Floats by value: serde_json reads them to the last digit but one.
    for (float, expected) in [
        (found["bits_per_weight"].take(), 466_440.0 * 8.0 / 812_800.0),
        (types[0]["share"].take(), 442_368.0 / 466_440.0),
    ] {
        assert!(
            float.as_f64().is_some_and(|f| (f - expected).abs() < 1e-12),
            "{float}"
        );
    }
    assert_eq!(
        found,
        serde_json::json!({
            "file": "m.gguf",
            "file_bytes": 469_216,
            "gguf_version": 3,
            "alignment": 32,
            "data_offset": 2752,
            "name": "東京 MoE \u{1b}[2J",
            "architecture": "llama",
            "size_label": "3x1M",
            "file_type": {"id": 15, "name": "Q4_K_M"},
            "parameters": 812_800,
            "tensor_bytes": 466_440,
            "bits_per_weight": null,
            "experts": {
                "count": 3,
                "used": 2,
                "shared": 0,
                "leading_dense_layers": 0,
                "active_parameters": 550_656,
            },
            "split": {"number": 1, "count": 2},
            "types": null,
            "key_values": null,
            "tensors": null,
        })
    );
    assert_eq!(
        types[0],
        serde_json::json!({
            "type": "Q4_K",
            "tensors": 2,
            "parameters": 786_432,
            "bytes": 442_368,
            "share": null,
        })
    );
    assert_eq!(
        tensors[2],
        serde_json::json!({
            "name": "blk.0.ffn_up_exps.weight",
            "dims": [256, 512, 3],
            "type": "Q4_K",
            "offset": 24_096,
            "bytes": 221_184,
        })
    );
    assert_eq!(
        (
            types.as_array().map(Vec::len),
            tensors.as_array().map(Vec::len)
        ),
        (Some(3), Some(4))
    );
    let expected = [
        (
            "llama.expert_count",
            serde_json::json!({"type": "u32", "value": 3}),
        ),
        (
            "llama.attention.layer_norm_rms_epsilon",
            serde_json::json!({"type": "f32", "value": 1e-5}),
        ),
        ("a.nan", serde_json::json!({"type": "f32", "value": "NaN"})),
        (
            "a.bytes",
            serde_json::json!({"type": "str", "value": "caf\\xe9 \\u{9b}", "escaped": true}),
        ),
        (
            "tokenizer.ggml.tokens",
            serde_json::json!({
                "type": "arr",
                "element_type": "str",
                "len": 100,
                "head": (0..8).map(|i| format!("token{i}")).collect::<Vec<_>>(),
            }),
        ),
        (
            "tokenizer.ggml.eos",
            serde_json::json!({
                "type": "arr",
                "element_type": "str",
                "len": 2,
                "value": ["</s>", "\\xff"],
                "escaped": true,
            }),
        ),
    ];
    for (key, value) in expected {
        assert_eq!(key_values[key], value, "{key}");
    }
}

#[test]
fn no_control_character_reaches_the_terminal() {
    // What a terminal obeys (C0, C1) or hides behind (direction marks), in every kind of place.
    let bad = "\u{1b}\u{9b}\u{7f}\u{202e}\u{2066}";
    let array = Array::String(vec![bad.into()]);
    let key_values: KeyValues = vec![
        ("general.architecture".into(), bad.into()),
        ("general.name".into(), bad.into()),
        (bad.into(), bad.into()),
        ("array".into(), array.into()),
    ];
    let tensors = [TensorInfo::new(bad.to_owned(), vec![1], GgmlType::F32).unwrap()];
    let header = encode_header(&key_values, &tensors, 32);
    let gguf = Gguf::parse(&header, header.len() as u64 + 4).unwrap();
    for shown in [text(&gguf, true), json(&gguf, Path::new("m.gguf"))] {
        let control = shown
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || bad.contains(*c));
        assert_eq!(control, None, "in\n{shown}");
    }
    let round: serde_json::Value = serde_json::from_str(&json(&gguf, Path::new(""))).unwrap();
    assert_eq!(round["name"], bad);
}

#[test]
fn shared_experts_and_dense_layers_are_told_where_keys_tell_them() {
    let experts = |numbers: &[(&str, Value)]| {
        let mut key_values: KeyValues = vec![("general.architecture".into(), "moe".into())];
        key_values.push(("moe.expert_count".into(), Value::U32(8)));
        for (key, value) in numbers {
            key_values.push((format!("moe.{key}"), value.clone()));
        }
        let header = encode_header(&key_values, &[], 32);
        let gguf = Gguf::parse(&header, header.len() as u64).unwrap();
        let text = text(&gguf, false);
        text.lines().nth(1).unwrap().to_owned()
    };
    let used = ("expert_used_count", Value::U32(2));
    for (numbers, expected) in [
        (&[used.clone()][..], "8, 2 used per token"),
        (
            &[
                ("expert_used_count", Array::I32(vec![0, 4, 2]).into()),
                ("leading_dense_block_count", Value::U32(1)),
            ],
            "8, 4 used per token, none in the first layer",
        ),
        (
            &[
                used.clone(),
                ("expert_shared_count", Value::U32(2)),
                ("expert_shared_feed_forward_length", Value::U32(512)),
                ("leading_dense_block_count", Value::U32(3)),
            ],
            "8, 2 used per token, 2 shared, none in the first 3 layers",
        ),
        (
            &[used, ("expert_shared_feed_forward_length", Value::U32(512))],
            "8, 2 used per token, 1 shared",
        ),
    ] {
        let expected = format!("experts: {expected}, 0 active parameters");
        assert_eq!(experts(numbers), expected);
    }
}
