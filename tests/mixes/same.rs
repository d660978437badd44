//! Every architecture that llama.cpp has, in every file type.

use swallow_gguf::file_type::FileType;

use super::{TestModel, oracle, tensors, types};

/// Tensors that a rule names, and some that none does. Rows of 256 fit every block, those of 96 only
/// small ones, those of 100 none.
const KINDS: &[(&str, &[u64])] = &[
    ("attn_norm.weight", &[256]),
    ("attn_q.weight", &[256, 4]),
    ("attn_q.bias", &[4]),
    ("attn_k.weight", &[256, 4]),
    ("attn_v.weight", &[256, 4]),
    ("attn_output.weight", &[256, 4]),
    ("attn_q_norm.weight", &[256, 4]),
    ("attn_qkv.weight", &[256, 4]),
    ("attn_kv_b.weight", &[96, 4]),
    ("attn_q_a.weight", &[256, 4]),
    ("attn_q_b.weight", &[96, 4]),
    ("attn_kv_a_mqa.weight", &[256, 4]),
    ("attn_k_b.weight", &[96, 4, 2]),
    ("ffn_gate.weight", &[256, 4]),
    ("ffn_up.weight", &[256, 4]),
    ("ffn_down.weight", &[256, 4]),
    ("ffn_gate_inp.weight", &[256, 4]),
    ("ffn_gate_inp_shexp.weight", &[256, 1]),
    ("ffn_gate_up_exps.weight", &[256, 4, 2]),
    ("ffn_down_exps.weight", &[96, 4, 2]),
    ("ffn_up_shexp.weight", &[256, 4]),
    ("ffn_down_shexp.weight", &[100, 4]),
    ("ssm_in.weight", &[256, 4]),
    ("nextn.eh_proj.weight", &[256, 4]),
    ("hc_attn_fn.weight", &[256, 4]),
];

/// The parts of names that are left as they are, and others that only look so.
const UNTOUCHED: &[(&str, &[u64])] = &[
    ("altup_proj.weight", &[256, 4]),
    ("laurel_l.weight", &[256, 4]),
    ("shortconv.conv.weight", &[256, 4]),
    ("shortconv.in_proj.weight", &[256, 4]),
    ("ssm_conv1d.weight", &[256, 4]),
    ("ssm_f_a.weight", &[256, 4]),
    ("ssm_f_b.weight", &[256, 4]),
    ("ssm_g_a.weight", &[256, 4]),
    ("ssm_g_b.weight", &[256, 4]),
    ("ssm_beta.weight", &[256, 4]),
    ("ssm_alpha.weight", &[256, 4]),
    ("indexer.k_proj.weight", &[256, 4]),
    ("indexer.q_proj.weight", &[256, 4]),
    ("indexer.proj.weight", &[256, 4]),
    ("indexer.attn_k.weight", &[256, 4]),
    ("indexer.attn_q_b.weight", &[256, 4]),
    ("indexer_compressor_gate.weight", &[256, 4]),
    ("indexer_compressor_ape.weight", &[256, 4]),
    ("attn_v_b.weight", &[256, 4]),
    ("attn_rel_b.weight", &[256, 4]),
    ("ffn_gate_tid2eid.weight", &[256, 4]),
    ("time_mix_first.weight", &[256, 4]),
    ("time_mix_w1.weight", &[256, 4]),
    ("time_mix_w2.weight", &[256, 4]),
    ("time_mix_decay_w1.weight", &[256, 4]),
    ("time_mix_lerp_fused.weight", &[256, 4]),
    ("time_mix_key.weight", &[256, 4]),
    ("attn_sinks.weight", &[256]),
    ("ffn_exp_probs_b.bias", &[256, 4]),
    ("cross_attn_k.weight", &[256, 4]),
    ("cross_attn_v.weight", &[256, 4]),
];

const OUTSIDE: &[(&str, &[u64])] = &[
    ("token_embd.weight", &[256, 4]),
    ("output.weight", &[256, 4]),
    ("output_norm.weight", &[256]),
];

/// Without an output, so that the embedding is it; and what only some architectures have.
const TIED: &[(&str, &[u64])] = &[
    ("token_embd.weight", &[96, 4]),
    ("per_layer_token_embd.weight", &[256, 4]),
    ("per_layer_model_proj.weight", &[256, 4]),
    ("position_embd.weight", &[256, 4]),
    ("token_types.weight", &[256, 4]),
    ("output_hc_fn.weight", &[256, 4]),
    ("cls.weight", &[256, 4]),
    ("v.patch_embd.weight", &[256, 4]),
    ("mm.a.code_embd.weight", &[256, 4]),
];

type Kinds = &'static [(&'static str, &'static [u64])];

/// Fails where one tensor has another type than llama.cpp gives it; counts them.
fn assert_same(model: &TestModel<'_>, outside: Kinds, kinds: Kinds) -> usize {
    let file_types: Vec<FileType> = FileType::ALL.to_vec();
    let tensors = tensors(outside, kinds, model.n_layer);
    let theirs = oracle::types(model, &tensors, &file_types);
    for (file_type, theirs) in file_types.iter().zip(&theirs) {
        let ours = types(model, &tensors, *file_type);
        for ((tensor, ours), theirs) in tensors.iter().zip(ours).zip(theirs) {
            assert_eq!(
                ours, *theirs,
                "{} as {file_type} in {model:?} (ours left)",
                tensor.name
            );
        }
    }
    tensors.len() * file_types.len()
}

fn model(architecture: &str, n_layer: u32) -> TestModel<'_> {
    TestModel {
        architecture,
        n_layer,
        n_head: 8,
        n_head_kv: 2,
        n_expert: 0,
    }
}

#[test]
fn every_architecture_has_llama_cpps_types() {
    let architectures = oracle::architectures();
    for known in ["llama", "falcon", "glm5-next", "qwen3moe", "pockettts"] {
        assert!(architectures.iter().any(|name| name == known), "{known}");
    }
    let mut held = 0;
    for architecture in &architectures {
        let mut model = model(architecture, 9);
        match architecture.as_str() {
            // A projector: it has no numbers, and none of a mix's types but by its names.
            "clip" => continue,
            // What is asked here counts the layers of the file, the program one more.
            "graniteswitch" => continue,
            // llama.cpp knows no more of it than the name.
            "gptj" => continue,
            _ => {}
        }
        held += assert_same(&model, OUTSIDE, KINDS);
        model.n_layer = 2;
        held += assert_same(&model, TIED, UNTOUCHED);
    }
    println!("{held} types of {} architectures", architectures.len());
}

#[test]
fn layers_heads_and_experts_decide_alike() {
    for architecture in ["llama", "qwen3moe", "falcon", "glm5-next"] {
        for (n_layer, n_head, n_head_kv, n_expert) in [
            (1, 8, 8, 0),
            (33, 8, 8, 0),
            (17, 9, 2, 2),
            (16, 8, 0, 4),
            (40, 8, 3, 8),
            (25, 0, 0, 128),
        ] {
            let model = TestModel {
                architecture,
                n_layer,
                n_head,
                n_head_kv,
                n_expert,
            };
            for outside in [OUTSIDE, TIED] {
                assert_same(&model, outside, KINDS);
            }
        }
    }
    // The one "70B" that llama.cpp knows without a file.
    assert_same(&model("llama", 80), OUTSIDE, KINDS);
}
