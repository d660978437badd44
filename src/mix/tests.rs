//! The rules, without a checkpoint.

use FileType::*;
use GgmlType::{BF16, F16, Q2_K, Q3_K, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};

use super::{reason::fit_row, *};

mod knobs;

fn model(n_layer: u32, n_expert: u32) -> MixModel {
    MixModel {
        rules: Rules::Common,
        n_layer,
        n_head: 32,
        n_head_kv: 32,
        n_expert,
        tied: false,
        n_attn_v: n_layer,
        is_70b: false,
        has_imatrix: false,
    }
}

/// The choice for a square matrix, or a stack of them, of a BF16 checkpoint.
fn choose(mix: &mut Mix<'_>, name: &str) -> Choice {
    mix.choose(name, &[512, 512], BF16).unwrap()
}

/// The types of one kind of tensor in each layer.
fn layers(file_type: FileType, model: MixModel, kind: &str) -> Vec<GgmlType> {
    let knobs = Knobs::default();
    let mut mix = Mix::new(file_type, &knobs, model);
    (0..model.n_layer)
        .map(|i| choose(&mut mix, &format!("blk.{i}.{kind}.weight")).ty)
        .collect()
}

#[test]
fn the_targets_q4_k_m() {
    let knobs = Knobs::default();
    let mut mix = Mix::new(Q4_K_M, &knobs, model(40, 2));
    let output = choose(&mut mix, "output.weight");
    assert_eq!((output.ty, output.reason), (Q6_K, Reason::Output));
    let more: Vec<u32> = (0..40)
        .filter(|i| {
            let v = choose(&mut mix, &format!("blk.{i}.attn_v.weight"));
            let d = choose(&mut mix, &format!("blk.{i}.ffn_down_exps.weight"));
            assert_eq!(v.ty, d.ty);
            v.ty == Q6_K
        })
        .collect();
    assert_eq!(
        more,
        [
            0, 1, 2, 3, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 35, 36, 37, 38, 39
        ]
    );
    let router = choose(&mut mix, "blk.0.ffn_gate_inp.weight");
    assert_eq!((router.ty, router.reason), (BF16, Reason::Router));
    assert_eq!(choose(&mut mix, "blk.0.attn_k.weight").ty, Q4_K);
}

#[test]
fn eight_experts_get_more_bits_for_attention() {
    for (file_type, expected) in [
        (Q4_K_M, [Q8_0, Q8_0, Q5_K, Q4_K]),
        (Q3_K_S, [Q8_0, Q8_0, Q5_K, Q3_K]),
        (Q3_K_L, [Q8_0, Q8_0, Q3_K, Q3_K]),
        (FileType::Q2_K, [Q8_0, Q8_0, Q5_K, Q2_K]),
        (Q2_K_S, [Q8_0, Q8_0, Q2_K, Q2_K]),
        (IQ4_XS, [Q8_0, Q8_0, Q5_K, GgmlType::IQ4_XS]),
        (FileType::Q4_0, [Q8_0, Q8_0, GgmlType::Q4_0, GgmlType::Q4_0]),
    ] {
        let types = ["attn_k", "attn_v", "attn_output", "attn_q"]
            .map(|kind| layers(file_type, model(32, 8), kind)[0]);
        assert_eq!(types, expected, "{file_type}");
    }
}

#[test]
fn the_small_mixes() {
    let counted = |file_type, kind| {
        let types = layers(file_type, model(32, 2), kind);
        let mut runs: Vec<(GgmlType, usize)> = Vec::new();
        for ty in types {
            match runs.last_mut() {
                Some((last, n)) if *last == ty => *n += 1,
                _ => runs.push((ty, 1)),
            }
        }
        runs
    };
    assert_eq!(counted(FileType::Q2_K, "attn_v"), [(Q3_K, 32)]);
    assert_eq!(counted(FileType::Q2_K, "attn_output"), [(Q3_K, 32)]);
    assert_eq!(counted(FileType::Q2_K, "ffn_down_exps"), [(Q3_K, 32)]);
    assert_eq!(counted(FileType::Q2_K, "ffn_up_exps"), [(Q2_K, 32)]);
    assert_eq!(counted(Q2_K_S, "attn_v"), [(Q2_K, 32)]);
    assert_eq!(counted(Q2_K_S, "ffn_down_exps"), [(Q4_K, 4), (Q2_K, 28)]);
    assert_eq!(counted(Q3_K_S, "attn_v"), [(Q3_K, 32)]);
    assert_eq!(counted(Q3_K_S, "ffn_down_exps"), [(Q3_K, 32)]);
    assert_eq!(counted(Q3_K_M, "attn_v"), [(Q5_K, 2), (Q4_K, 30)]);
    assert_eq!(counted(Q3_K_M, "attn_output"), [(Q4_K, 32)]);
    assert_eq!(counted(Q3_K_M, "ffn_down_exps"), [(Q5_K, 2), (Q4_K, 30)]);
    assert_eq!(counted(Q3_K_L, "attn_v"), [(Q5_K, 32)]);
    assert_eq!(counted(Q3_K_L, "attn_output"), [(Q5_K, 32)]);
    assert_eq!(counted(Q3_K_L, "ffn_down_exps"), [(Q5_K, 32)]);
    for (file_type, ty) in [(IQ4_XS, GgmlType::IQ4_XS), (IQ4_NL, GgmlType::IQ4_NL)] {
        assert_eq!(counted(file_type, "attn_v"), [(ty, 32)]);
        assert_eq!(counted(file_type, "ffn_down_exps"), [(Q5_K, 4), (ty, 28)]);
    }
    for file_type in [
        FileType::Q4_0,
        FileType::Q4_1,
        FileType::Q5_0,
        FileType::Q5_1,
    ] {
        for kind in ["attn_v", "attn_k", "attn_output", "ffn_down_exps"] {
            assert_eq!(counted(file_type, kind), [(file_type.default_type(), 32)]);
        }
    }
}

/// The only tensors whose type depends on it: `ffn_down` in the first eighth of the layers.
#[test]
fn what_an_importance_matrix_changes() {
    let kinds = ["attn_q", "attn_k", "attn_v", "attn_output"]
        .into_iter()
        .chain(["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"]);
    for file_type in FileType::ALL {
        let changed = match file_type {
            IQ4_NL | IQ4_XS => Some((Q5_K, file_type.default_type())),
            FileType::Q4_0 => Some((GgmlType::Q4_0, GgmlType::Q4_1)),
            FileType::Q5_0 => Some((Q5_0, Q5_1)),
            _ => None,
        };
        for n_expert in [0, 2, 8] {
            let without = model(33, n_expert);
            let with = MixModel {
                has_imatrix: true,
                ..without
            };
            for kind in kinds.clone() {
                let mut expected = layers(file_type, without, kind);
                if let ("ffn_down_exps", Some((before, after))) = (kind, changed) {
                    assert_eq!(
                        expected[..5],
                        [before, before, before, before, file_type.default_type()]
                    );
                    expected[..4].fill(after);
                }
                assert_eq!(
                    layers(file_type, with, kind),
                    expected,
                    "{file_type} {kind}"
                );
            }
        }
    }
}

#[test]
fn grouped_queries_and_the_70b() {
    let grouped = MixModel {
        n_head_kv: 8,
        ..model(2, 0)
    };
    for (file_type, expected) in [
        (FileType::Q2_K, Q4_K),
        (Q2_K_S, Q4_K),
        (Q3_K_S, Q3_K),
        (IQ4_NL, Q5_K),
        (IQ4_XS, Q5_K),
    ] {
        assert_eq!(layers(file_type, grouped, "attn_v")[0], expected);
    }
    let large = MixModel {
        n_layer: 80,
        n_attn_v: 80,
        is_70b: true,
        ..grouped
    };
    for file_type in [Q2_K_S, FileType::Q2_K, Q3_K_S, Q3_K_M, Q4_K_S, Q4_K_M] {
        let v = layers(file_type, large, "attn_v");
        assert_eq!(v[11], Q5_K, "{file_type}");
    }
}

#[test]
fn rows_that_do_not_divide_fall_back() {
    use GgmlType::{IQ4_NL, IQ4_XS, Q4_0};
    for (ty, len, expected) in [
        (Q4_K, 512, Q4_K),
        (Q2_K, 160, Q4_0),
        (Q3_K, 160, Q4_0),
        (IQ4_XS, 160, IQ4_NL),
        (Q4_K, 160, Q5_0),
        (Q5_K, 160, Q5_1),
        (Q6_K, 160, Q8_0),
        (Q4_K, 172, F16),
        (Q8_0, 172, F16),
    ] {
        assert_eq!(fit_row(ty, len), expected, "{ty} {len}");
    }
    let knobs = Knobs::default();
    let mut mix = Mix::new(Q4_K_M, &knobs, model(2, 0));
    let choice = mix.choose("output.weight", &[64, 512], BF16).unwrap();
    assert_eq!((choice.ty, choice.fell_back_from), (Q8_0, None));
    let choice = mix.choose("blk.0.attn_q.weight", &[64, 64], BF16).unwrap();
    assert_eq!((choice.ty, choice.fell_back_from), (Q5_0, Some(Q4_K)));
}

/// What decides whether `-t` offers a file type.
#[test]
fn no_mix_leaves_its_file_types_tensor_types() {
    let knobs = Knobs::default();
    let kinds = ["attn_q", "attn_k", "attn_v", "attn_output"]
        .into_iter()
        .chain(["ffn_gate_exps", "ffn_down_exps", "ffn_up_exps"]);
    for file_type in FileType::ALL {
        let mut seen = Vec::new();
        for (n_expert, rules) in [0, 2, 8]
            .map(|n_expert| (n_expert, Rules::Common))
            .into_iter()
            .chain([(0, Rules::Falcon), (2, Rules::Glm5Next)])
        {
            for (n_layer, n_head_kv) in [(1, 32), (40, 32), (40, 8), (80, 8)] {
                let shapes = [(true, 256), (false, 256), (true, 32), (false, 32)];
                for ((tied, row), has_imatrix) in shapes
                    .into_iter()
                    .flat_map(|shape| [(shape, false), (shape, true)])
                {
                    let model = MixModel {
                        rules,
                        tied,
                        n_head_kv,
                        is_70b: n_layer == 80,
                        has_imatrix,
                        ..model(n_layer, n_expert)
                    };
                    let mut mix = Mix::new(file_type, &knobs, model);
                    let blocks = (0..n_layer)
                        .flat_map(|i| kinds.clone().map(move |k| format!("blk.{i}.{k}.weight")));
                    let outer = ["output.weight", "token_embd.weight"].map(str::to_owned);
                    for name in outer.into_iter().chain(blocks) {
                        seen.push(mix.choose(&name, &[row, 8], BF16).unwrap().ty);
                    }
                }
            }
        }
        seen.sort();
        seen.dedup();
        seen.retain(|ty| !matches!(ty, GgmlType::F32 | F16));
        let mut listed = file_type.tensor_types().to_vec();
        listed.sort();
        assert_eq!(seen, listed, "{file_type}");
    }
}

#[test]
fn other_architectures_are_read_by_parts_of_names() {
    let knobs = Knobs::default();
    let model = MixModel {
        tied: true,
        ..model(32, 0)
    };
    let mut mix = Mix::new(Q4_K_M, &knobs, model);
    for (name, ty, reason) in [
        ("blk.0.attn_qkv.weight", Q6_K, Reason::MoreBits(Q4_K_M)),
        (
            "blk.0.ffn_down_shexp.weight",
            Q6_K,
            Reason::MoreBits(Q4_K_M),
        ),
        ("per_layer_token_embd.weight", Q6_K, Reason::TiedOutput),
        ("blk.0.ssm_conv1d.weight", BF16, Reason::Untouched),
        ("blk.0.altup_proj.weight", BF16, Reason::Untouched),
        ("position_embd.weight", BF16, Reason::Untouched),
        ("blk.0.attn_q.scale", BF16, Reason::Untouched),
        ("blk.0.attn_q_norm.weight", BF16, Reason::Norm),
        ("blk.0.ssm_in.weight", Q4_K, Reason::FileType(Q4_K_M)),
    ] {
        let choice = choose(&mut mix, name);
        assert_eq!((choice.ty, choice.reason), (ty, reason), "{name}");
    }
    let column = mix.choose("blk.0.attn_q.weight", &[512, 1], BF16).unwrap();
    assert_eq!((column.ty, column.reason), (BF16, Reason::Vector));
}

#[test]
fn who_needs_an_importance_matrix() {
    use GgmlType::{IQ1_M, IQ1_S, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_XXS};
    let layer = "blk.3.ffn_up_exps.weight";
    for ty in GgmlType::ALL.iter().copied() {
        let small = matches!(ty, IQ1_S | IQ1_M | IQ2_XXS | IQ2_XS | IQ2_S | IQ3_XXS);
        for file_type in FileType::ALL {
            let needed = small || file_type == FileType::Q2_K_S && ty == Q2_K;
            assert_eq!(needs_importance_matrix(file_type, layer, ty), needed);
            for spared in ["token_embd.weight", "output.weight"] {
                assert!(!needs_importance_matrix(file_type, spared, ty));
            }
        }
    }
}
