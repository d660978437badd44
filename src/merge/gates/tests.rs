//! Tests of what needs no model: modes, random gates, condition numbers, files of gates.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;

const ALL: [GateMode; 6] = [
    GateMode::Random,
    GateMode::UniformRandom,
    GateMode::CheapEmbed,
    GateMode::Hidden,
    GateMode::HiddenAvg,
    GateMode::HiddenLast,
];

/// The first gates of [`Gates::random`] and [`Gates::uniform_random`] with seed 42. They must never
/// change: files say the seed that they were made of.
const RANDOM_42: [[f32; 6]; 2] = [
    [
        0.47798124,
        1.3340706,
        -0.21086669,
        0.4763469,
        -0.5120906,
        -0.93397844,
    ],
    [
        -1.0023779,
        0.9166636,
        2.1215765,
        -0.71854734,
        0.03137886,
        1.0449802,
    ],
];
const UNIFORM_42: [[f32; 6]; 2] = [
    [
        -0.3186041,
        0.21003556,
        -0.40831804,
        0.5199332,
        0.3144403,
        -0.08369684,
    ],
    [
        -0.18002725,
        0.1470632,
        0.27384418,
        -0.24411082,
        0.16402733,
        -0.4041927,
    ],
];

/// Gates of one layer, a row for each expert.
fn one_layer(rows: &[&[f32]]) -> Gates {
    Gates {
        n_layer: 1,
        n_expert: rows.len(),
        n_embd: rows[0].len(),
        layers: vec![rows.concat()],
        shared: Vec::new(),
    }
}

#[test]
fn modes_have_the_names_of_recipes() {
    for mode in ALL {
        assert_eq!(mode.name().parse(), Ok(mode));
    }
    assert_eq!(
        "Hidden".parse::<GateMode>(),
        Err(
            "one of random, uniform_random, cheap_embed, hidden, hidden_avg, hidden_last"
                .to_owned()
        )
    );
    let of_seeds = ALL.iter().filter(|mode| !mode.looks_at_prompts());
    assert!(of_seeds.eq(&[GateMode::Random, GateMode::UniformRandom]));
}

#[test]
fn random_gates_are_those_of_their_seed() {
    let gates = Gates::random(2, 2, 3, 42);
    let again = Gates::random(2, 2, 3, 42);
    assert_eq!(gates, again);
    assert_eq!(gates.layers, RANDOM_42);
    let uniform = Gates::uniform_random(2, 2, 3, 42);
    assert_eq!(uniform.layers, UNIFORM_42);
    assert_ne!(Gates::random(2, 2, 3, 43), gates);
}

#[test]
fn random_gates_are_distributed_as_mergekits() {
    let (n_layer, n_expert, n_embd) = (4, 8, 4096);
    let moments = |gates: &Gates| {
        let all = || gates.layers.iter().flatten().map(|v| f64::from(*v));
        let n = (n_layer * n_expert * n_embd) as f64;
        (
            all().sum::<f64>() / n,
            (all().map(|v| v * v).sum::<f64>() / n).sqrt(),
        )
    };
    let (mean, deviation) = moments(&Gates::random(n_layer, n_expert, n_embd, 0));
    assert!(
        mean.abs() < 0.01 && (deviation - 1.0).abs() < 0.01,
        "{mean} {deviation}"
    );
    let uniform = Gates::uniform_random(n_layer, n_expert, n_embd, 0);
    let scale = 1.0 / 64.0;
    let (mean, deviation) = moments(&uniform);
    assert!(mean.abs() < 0.01 * scale, "{mean}");
    assert!(
        (deviation * 3f64.sqrt() / scale - 1.0).abs() < 0.01,
        "{deviation}"
    );
    let all = uniform.layers.iter().flatten();
    assert!(all.into_iter().all(|v| f64::from(v.abs()) <= scale));
}

#[test]
fn gates_are_rounded_to_the_nearest_and_ties_to_even() {
    let value = 1.0 + 2f32.powi(-8);
    let cases = [
        (Dtype::Bf16, value, 1.0),
        (Dtype::Bf16, value + 2f32.powi(-20), 1.0 + 2f32.powi(-7)),
        (Dtype::F16, value, value),
        (Dtype::F16, 1.0 + 2f32.powi(-11), 1.0),
        (Dtype::F32, 1.0 + 2f32.powi(-23), 1.0 + 2f32.powi(-23)),
    ];
    for (dtype, value, expected) in cases {
        let rounded = one_layer(&[&[value, -value]]).rounded(dtype);
        assert_eq!(rounded.layers, [[expected, -expected]], "{dtype:?} {value}");
    }
}

#[test]
fn condition_numbers_are_those_of_the_singular_values() {
    let near = 1e-3;
    let cases: [(&str, &[&[f32]], f64); 10] = [
        ("one expert", &[&[3.0, 4.0]], 1.0),
        (
            "at right angles",
            &[&[1.0, 0.0, 0.0], &[0.0, 0.0, -1.0]],
            1.0,
        ),
        ("of other lengths", &[&[6.0, 0.0], &[0.0, 1.0]], 6.0),
        (
            "more experts than columns",
            &[&[7.0, 0.0], &[0.0, 1.0], &[0.0, 0.0]],
            7.0,
        ),
        (
            "the same",
            &[&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]],
            f64::INFINITY,
        ),
        (
            "a sum",
            &[&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0], &[1.0, 1.0, 0.0]],
            f64::INFINITY,
        ),
        ("zeros", &[&[0.0, 0.0], &[0.0, 0.0]], f64::INFINITY),
        (
            "no numbers",
            &[&[f32::NAN, 0.0], &[0.0, 1.0]],
            f64::INFINITY,
        ),
        // Of one length and with cosine 0.96: the square root of 1.96 / 0.04.
        ("large", &[&[1e38, 0.0], &[0.96e38, 0.28e38]], 7.0),
        ("small", &[&[1e-38, 0.0], &[0.96e-38, 0.28e-38]], 7.0),
    ];
    for (name, rows, expected) in cases {
        let found = one_layer(rows).degenerate();
        match found.as_slice() {
            [] => assert!(expected <= 5.0 + near, "{name}: not found"),
            [found] => assert!(
                found.condition == expected || (found.condition - expected).abs() < near,
                "{name}: {}",
                found.condition
            ),
            more => panic!("{name}: {more:?}"),
        }
    }
}

proptest! {
    /// Two unit vectors: the condition number is a function of their cosine.
    #[test]
    fn the_condition_of_two_directions_follows_from_their_angle(angle in 0.02f64..1.5, scale in 1e-30f32..1e30) {
        let rows = [
            [scale, 0.0],
            [scale * angle.cos() as f32, scale * angle.sin() as f32],
        ];
        let expected = ((1.0 + angle.cos()) / (1.0 - angle.cos())).sqrt();
        let found = one_layer(&[&rows[0], &rows[1]]).degenerate();
        match found.as_slice() {
            [] => prop_assert!(expected <= 5.0 * (1.0 + 1e-3)),
            [found] => prop_assert!((found.condition / expected - 1.0).abs() < 1e-3, "{} {expected}", found.condition),
            _ => prop_assert!(false),
        }
    }
}

#[test]
fn degenerate_layers_are_named() {
    let good = vec![1.0, 0.0, 0.0, 1.0];
    let ten = vec![10.0, 0.0, 0.0, 1.0];
    let same = vec![1.0, 2.0, 1.0, 2.0];
    let note = |layers: &[&Vec<f32>]| {
        let gates = Gates {
            n_layer: layers.len(),
            n_expert: 2,
            n_embd: 2,
            layers: layers.iter().map(|layer| (*layer).clone()).collect(),
            shared: Vec::new(),
        };
        gates.degenerate_note()
    };
    assert_eq!(note(&[&good, &good]), None);
    let rest = "expected at most 5): prompts that differ more would use the experts more evenly";
    let cases: [(&[&Vec<f32>], &str); 4] = [
        (
            &[&good, &ten],
            "layer 1 are degenerate (condition number up to 10.0",
        ),
        (
            &[&same, &good, &ten, &ten, &ten, &good],
            "layers 0, 2-4 are degenerate (condition number infinite",
        ),
        (
            &[&ten, &ten],
            "all layers are degenerate (condition number up to 10.0",
        ),
        (
            &[&good, &ten, &good, &ten],
            "layers 1, 3 are degenerate (condition number up to 10.0",
        ),
    ];
    for (layers, expected) in cases {
        assert_eq!(
            note(layers),
            Some(format!("the gates of {expected}, {rest}"))
        );
    }
}

#[test]
fn gates_come_back_from_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let gates = Gates::random(12, 4, 20, 5).with_shared(1);
    assert_eq!(
        (gates.n_expert, gates.layers[0].len(), gates.shared.len()),
        (3, 60, 12)
    );
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        let path = dir.path().join(format!("{dtype:?}.safetensors"));
        gates.save(&path, GateNames::Mixtral, dtype, false).unwrap();
        assert_eq!(Gates::read(&path).unwrap(), gates.clone().rounded(dtype));
        assert_eq!(
            gates
                .save(&path, GateNames::Mixtral, dtype, false)
                .unwrap_err()
                .to_string(),
            format!(
                "`{}` exists: choose another name for the gates, or replace it with `--force`",
                path.display()
            )
        );
        Gates::random(1, 1, 1, 0)
            .save(&path, GateNames::Mlp, dtype, true)
            .unwrap();
        assert_eq!(Gates::read(&path).unwrap().n_layer, 1);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    let nowhere = dir.path().join("missing/gates.safetensors");
    let error = gates
        .save(&nowhere, GateNames::Mlp, Dtype::F32, true)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("cannot write `{}`: ", nowhere.display())),
        "{error}"
    );
}

/// A safetensors file of F32 tensors.
fn write(path: &Path, tensors: &[(&str, &[u64], &[f32])]) {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let begin = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert((*name).into(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let len = (header.len() as u64).to_le_bytes();
    fs::write(path, [&len[..], header.as_bytes(), &data].concat()).unwrap();
}

#[test]
fn gates_of_both_layouts_are_read_from_among_other_tensors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    for module in ["block_sparse_moe", "mlp"] {
        let [first, second] =
            [0, 1].map(|layer| format!("model.layers.{layer}.{module}.gate.weight"));
        write(
            &path,
            &[
                ("model.norm.weight", &[2], &[1.0, 1.0]),
                ("model.layers.0.mlp.gate_proj.weight", &[1, 2], &[9.0, 9.0]),
                (&second, &[2, 2], &[5.0, 6.0, 7.0, 8.0]),
                (&first, &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            ],
        );
        let gates = Gates::read(&path).unwrap();
        assert_eq!((gates.n_layer, gates.n_expert, gates.n_embd), (2, 2, 2));
        assert_eq!(gates.layers, [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]);
        gates.expect_sizes(&path, 2, 2, 2).unwrap();
        assert_eq!(
            gates.expect_sizes(&path, 3, 2, 64).unwrap_err().to_string(),
            format!(
                "`{}` has gates of 2 layers, 2 experts and width 2, expected those of the recipe's models, 3 layers, 2 experts and width 64",
                path.display()
            )
        );
    }
}

#[test]
fn files_that_hold_no_gates_are_told_by_what_is_wrong() {
    type Tensor<'a> = (&'a str, &'a [u64], &'a [f32]);
    const GATE_0: &str = "model.layers.0.block_sparse_moe.gate.weight";
    const GATE_2: &str = "model.layers.2.block_sparse_moe.gate.weight";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gates.safetensors");
    let other: Tensor<'_> = ("model.norm.weight", &[1], &[1.0]);
    let good: Tensor<'_> = (GATE_0, &[1, 2], &[1.0, 2.0]);
    let cases: [(&str, &[Tensor<'_>], String); 6] = [
        ("empty", &[], format!("`PATH` has no tensor `{GATE_0}`, and so no gates")),
        ("others", &[other], format!("`PATH` has no tensor `{GATE_0}`, and so no gates")),
        (
            "a gap",
            &[good, (GATE_2, &[1, 2], &[1.0, 2.0])],
            "`PATH` has no tensor `model.layers.1.block_sparse_moe.gate.weight`, but gates of 2 layers, expected those of layers 0 and on".into(),
        ),
        (
            "one dimension",
            &[(GATE_0, &[2], &[1.0, 2.0])],
            format!("`PATH`: tensor `{GATE_0}` is F32 [2], expected BF16, F16 or F32 with two dimensions"),
        ),
        (
            "another shape",
            &[good, ("model.layers.1.block_sparse_moe.gate.weight", &[2, 1], &[1.0, 2.0])],
            "`PATH`: tensor `model.layers.1.block_sparse_moe.gate.weight` is [2, 1], expected [1, 2]".into(),
        ),
        (
            "not a number",
            &[(GATE_0, &[2, 1], &[1.0, f32::NAN])],
            format!("`PATH`: tensor `{GATE_0}` has NaN in row 1, expected finite numbers: the file is damaged, download it again"),
        ),
    ];
    for (name, tensors, expected) in cases {
        write(&path, tensors);
        let error = Gates::read(&path).unwrap_err().to_string();
        assert_eq!(
            error,
            expected.replace("PATH", &path.display().to_string()),
            "{name}"
        );
    }
    fs::write(&path, "no safetensors").unwrap();
    assert!(Gates::read(&path).is_err());
    assert!(Gates::read(&dir.path().join("missing")).is_err());
}
