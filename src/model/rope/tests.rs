use serde_json::json;

use super::*;
use crate::model::families;

#[test]
fn llama3_keeps_short_waves_and_divides_long_ones() {
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192,
    };
    let factors = scaling.frequency_factors(128, 5e5).unwrap();
    assert_eq!(factors.len(), 64);
    assert_eq!((factors[0], factors[63]), (1.0, 8.0));
    assert!(factors.windows(2).all(|w| w[0] <= w[1]));
    assert!(factors.iter().any(|&f| f > 1.0 && f < 8.0));
    assert_eq!(RopeScaling::None.frequency_factors(128, 1e4), None);
}

fn read(config: Value) -> Result<RopeScaling, String> {
    let llama = families::named("Llama").unwrap();
    RopeScaling::from_json(&config, 4096, llama).map_err(|error| error.to_string())
}

fn keys(config: Value) -> Vec<String> {
    let kv = read(config).unwrap().key_values();
    let shown = kv.iter().map(|(key, value)| format!("{key}={value:?}"));
    shown
        .map(|line| line.replace("rope.scaling.", ""))
        .collect()
}

#[test]
fn yarn_is_written_in_both_spellings_and_with_all_it_may_have() {
    let expected = [
        "type=String(\"yarn\")",
        "factor=F32(16.0)",
        "original_context_length=U32(2048)",
    ];
    for config in [
        json!({"rope_scaling": {"type": "yarn", "factor": 16, "original_max_position_embeddings": 2048}}),
        json!({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 16.0, "original_max_position_embeddings": 2048}}),
        json!({"rope_scaling": {"rope_type": "YARN", "factor": 16.0}, "original_max_position_embeddings": 2048}),
    ] {
        assert_eq!(keys(config), expected);
    }
    let config = json!({"rope_scaling": {
        "beta_slow": 1, "beta_fast": 32, "attn_factor": 1.25, "extrapolation_factor": 0,
        "rope_type": "yarn", "factor": 2.0,
    }});
    assert_eq!(
        keys(config),
        [
            "type=String(\"yarn\")",
            "factor=F32(2.0)",
            // That of the model, where nothing else is said.
            "original_context_length=U32(4096)",
            "yarn_ext_factor=F32(0.0)",
            "yarn_attn_factor=F32(1.25)",
            "yarn_beta_fast=F32(32.0)",
            "yarn_beta_slow=F32(1.0)",
        ]
    );
}

#[test]
fn dynamic_is_left_out_with_a_note() {
    let config = json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}});
    assert_eq!(keys(config.clone()), [""; 0]);
    let note = read(config).unwrap().note().unwrap();
    assert!(note.contains("`dynamic` is left out"), "{note}");
    assert_eq!(RopeScaling::None.note(), None);
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for (config, expected) in [
        (
            json!({"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}),
            "`rope_scaling.type` is `longrope`, expected `default`, `linear`, `llama3`, `yarn` or `dynamic`",
        ),
        (
            json!({"rope_parameters": {"rope_type": 7}}),
            "`rope_parameters.rope_type` is 7, expected `default`",
        ),
        (
            json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
            "`rope_parameters` is a set for each kind of layer, `full_attention` among them, expected one set",
        ),
        (
            json!({"rope_scaling": {"type": "yarn"}}),
            "`rope_scaling.factor` is missing, expected a positive number",
        ),
        (
            json!({"rope_scaling": {"type": "yarn", "factor": "NaN"}}),
            "`rope_scaling.factor` is \"NaN\", expected a positive number",
        ),
        (
            json!({"rope_scaling": 4.0}),
            "`rope_scaling` is 4.0, expected an object",
        ),
    ] {
        let error = read(config).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    for nothing in [
        json!({}),
        json!({"rope_scaling": null}),
        json!({"rope_scaling": {"type": "default"}}),
        json!({"rope_parameters": {"rope_theta": 1e4}}),
    ] {
        assert_eq!(read(nothing), Ok(RopeScaling::None));
    }
}

#[test]
fn a_scaling_that_would_be_lost_is_refused() {
    let read = |family: &str, kind: &str| {
        let config = json!({"rope_scaling": {
            "type": kind, "factor": 2.0, "long_factor": [1.0], "short_factor": [1.0],
        }});
        let family = families::named(family).unwrap();
        let read = RopeScaling::from_json(&config, 4096, family);
        read.map_err(|error| error.to_string())
    };
    for (family, kind, expected) in [
        (
            "StableLM",
            "linear",
            "`rope_scaling.type` is `linear`, expected `default`: llama.cpp has no scaling for a StableLM",
        ),
        (
            "Qwen2",
            "llama3",
            "`rope_scaling.type` is `llama3`, expected `default`, `linear`, `yarn` or `dynamic`",
        ),
        (
            "Phi3",
            "yarn",
            "`rope_scaling.type` is `yarn`, expected `default` or `longrope`",
        ),
    ] {
        assert!(
            read(family, kind).unwrap_err().contains(expected),
            "{family}"
        );
    }
    for (family, kind) in [
        ("StableLM", "default"),
        ("Qwen2", "yarn"),
        ("Exaone4", "llama3"),
        ("Phi3", "su"),
        ("MiniCPM", "longrope"),
    ] {
        assert!(read(family, kind).is_ok(), "{family} {kind}");
    }
}
