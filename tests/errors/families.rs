//! What is said of checkpoints of one family or another that are not what they must be.

use serde_json::{Value as Json, json};
use swallow_gguf::{
    model::{ModelConfig, TensorError, metadata, tensors},
    source::Checkpoint,
};

use super::Section;
use crate::families;

/// A change to a recipe.
type Edit = fn(&mut Json);

const Q_BIAS: &str = "model.layers.{l}.self_attn.q_proj.bias";

pub(super) fn errors(list: &mut Section) {
    let dir = list.dir().join("families");
    let cases: &[(&str, &str, Edit)] = &[
        ("cohere", "an output matrix where there is none", |recipe| {
            add(recipe, "lm_head.weight", &[384, 256]);
        }),
        ("cohere_qk_norm", "half of the norms", |recipe| {
            remove(recipe, "k_norm");
        }),
        ("cohere2", "biases that are not zero", |recipe| {
            add(recipe, Q_BIAS, &[256]);
        }),
        ("cohere2", "a list of layers that is too short", |recipe| {
            recipe["config"]["layer_types"] = json!(["sliding_attention", "full_attention"]);
        }),
        ("cohere2", "an unknown kind of layer", |recipe| {
            let kind = |layer: usize| ["full_attention", "linear_attention"][layer / 4];
            recipe["config"]["layer_types"] = (0..5).map(kind).collect();
        }),
        ("falcon", "one of two norms without its bias", |recipe| {
            remove(recipe, "ln_attn.bias");
        }),
        ("falcon", "other groups of heads", |recipe| {
            recipe["config"]["num_kv_heads"] = json!(4);
        }),
        (
            "falcon_rw",
            "biases that llama.cpp does not have",
            |recipe| {
                add(
                    recipe,
                    "transformer.h.{l}.self_attention.dense.bias",
                    &[320],
                );
            },
        ),
        ("glm4", "a norm of another width", |recipe| {
            remove(recipe, "post_mlp_layernorm");
            add(recipe, "model.layers.{l}.post_mlp_layernorm.weight", &[255]);
        }),
        ("granite_hybrid", "a layer without attention", |recipe| {
            recipe["config"]["layer_types"][1] = json!("mamba");
        }),
        ("granitemoe", "no experts", |recipe| {
            recipe["config"]["num_local_experts"] = json!(0);
        }),
        ("granitemoe_shared", "a shared expert missing", |recipe| {
            remove(recipe, "shared_mlp.output");
        }),
        (
            "granitemoe_shared",
            "a shared expert without a width",
            |recipe| {
                recipe["config"]["shared_intermediate_size"] = json!(0);
            },
        ),
        ("hunyuan_moe", "no width of an expert", |recipe| {
            let config = recipe["config"].as_object_mut().unwrap();
            assert!(config.remove("moe_intermediate_size").is_some());
        }),
        ("internlm2", "the biases of one tensor for all", |recipe| {
            add(recipe, "model.layers.{l}.attention.wqkv.bias", &[384]);
        }),
        ("minicpm", "no scale", |recipe| {
            forget(recipe, "scale_emb");
        }),
        ("minicpm_longrope", "a factor too few", |recipe| {
            let factors = recipe["config"]["rope_scaling"]["long_factor"].as_array_mut();
            factors.unwrap().pop();
        }),
        ("minicpm_longrope", "one list of factors of two", |recipe| {
            recipe["config"]["rope_scaling"]["short_factor"] = json!(null);
        }),
        ("phi3", "another rope scaling", |recipe| {
            recipe["config"]["rope_scaling"] = json!({"type": "linear", "factor": 2.0});
        }),
        ("phi3", "a projection too narrow", |recipe| {
            remove(recipe, "qkv_proj");
            add(
                recipe,
                "model.layers.{l}.self_attn.qkv_proj.weight",
                &[512, 256],
            );
        }),
        ("phimoe", "an expert missing", |recipe| {
            remove(recipe, ".w2.");
            add_in(
                recipe,
                "model.layers.{l}.block_sparse_moe.experts.{e}.w2.weight",
                &[256, 512],
                json!({"e": [0, 3]}),
            );
        }),
        ("phimoe", "no context before scaling", |recipe| {
            forget(recipe, "original_max_position_embeddings");
            let rope = recipe["config"]["rope_scaling"].as_object_mut().unwrap();
            rope.remove("original_max_position_embeddings").unwrap();
        }),
        ("ernie4_5_moe", "half of the shared experts", |recipe| {
            remove(recipe, "shared_experts.up_proj");
        }),
        ("ernie4_5_moe", "half of what is left out", |recipe| {
            remove(recipe, "mtp_linear_proj");
        }),
        (
            "ernie4_5_moe",
            "shared experts that config.json denies",
            |recipe| {
                recipe["config"]["moe_num_shared_experts"] = json!(0);
            },
        ),
        ("dots1", "no number of shared experts", |recipe| {
            forget(recipe, "n_shared_experts");
        }),
        ("dots1", "another way to weigh experts", |recipe| {
            recipe["config"]["scoring_func"] = json!("noaux_tc");
        }),
        ("hunyuan_dense", "a base for another context", |recipe| {
            recipe["config"]["max_position_embeddings"] = json!(8192);
        }),
        ("hunyuan_dense", "no factor of the base", |recipe| {
            recipe["config"]["rope_scaling"]["alpha"] = json!(0);
        }),
        ("hunyuan_moe", "layers that use other experts", |recipe| {
            recipe["config"]["moe_topk"] = json!([2, 1, 2]);
        }),
        ("exaone4", "a norm of another width", |recipe| {
            remove(recipe, "q_norm");
            add(recipe, "model.layers.{l}.self_attn.q_norm.weight", &[32]);
        }),
        ("olmo2", "norms of each head", |recipe| {
            remove(recipe, "k_norm");
            add(recipe, "model.layers.{l}.self_attn.k_norm.weight", &[64]);
        }),
        ("olmoe", "an expert missing", |recipe| {
            recipe["ranges"]["e"] = json!([0, 5]);
        }),
        ("qwen3", "the class of another family", |recipe| {
            recipe["config"]["architectures"] = json!(["LlamaForCausalLM"]);
        }),
        ("qwen3", "a layer more than it says", |recipe| {
            let layers = recipe["ranges"]["l"][1].as_u64().unwrap();
            recipe["config"]["num_hidden_layers"] = json!(layers - 1);
        }),
        ("qwen3moe", "experts where it says none", |recipe| {
            recipe["config"]["mlp_only_layers"] = json!([0]);
        }),
        ("stablelm", "a norm missing", |recipe| {
            remove(recipe, "post_attention_layernorm.bias");
        }),
        (
            "stablelm_parallel",
            "the norm of a head missing",
            |recipe| {
                remove(recipe, "q_layernorm");
            },
        ),
        ("starcoder2", "a bias missing", |recipe| {
            remove(recipe, "c_fc.bias");
        }),
    ];
    for (name, case, edit) in cases {
        let source = dir.join(format!("{name}-{case}"));
        families::write_edited(&source, name, edit);
        let checkpoint = Checkpoint::open(&source).unwrap();
        let case = format!("{name}: {case}");
        match ModelConfig::from_json(&checkpoint.config) {
            Ok(config) => list.add(&case, told(&config, &checkpoint)),
            Err(error) => list.add(&case, error),
        }
    }
    // The zeros are read, and so may be gone.
    let source = dir.join("cut");
    families::write_edited(&source, "cohere2", |recipe| add(recipe, Q_BIAS, &[256]));
    let checkpoint = Checkpoint::open(&source).unwrap();
    let config = ModelConfig::from_json(&checkpoint.config).unwrap();
    let shard = std::fs::File::options()
        .write(true)
        .open(source.join("model.safetensors"))
        .unwrap();
    shard.set_len(4096).unwrap();
    list.add("cohere2: biases that are gone", told(&config, &checkpoint));
}

/// What is said of the tensors, or of keys that the tensors do not need.
fn told(config: &ModelConfig, checkpoint: &Checkpoint) -> TensorError {
    match tensors::map(config, checkpoint) {
        Err(error) => error,
        Ok(_) => {
            let mut key_values = Vec::new();
            metadata::add_hyper_parameters(&mut key_values, config)
                .unwrap_err()
                .into()
        }
    }
}

/// Tensors in whose names `piece` is are not there.
fn remove(recipe: &mut Json, piece: &str) {
    let tensors = recipe["tensors"].as_array_mut().unwrap();
    let n = tensors.len();
    tensors.retain(|tensor| !tensor[0].as_str().unwrap().contains(piece));
    assert!(tensors.len() < n, "no {piece}");
}

fn add(recipe: &mut Json, name: &str, shape: &[usize]) {
    let tensors = recipe["tensors"].as_array_mut().unwrap();
    tensors.push(json!([name, shape]));
}

/// The same in some layers, or of some experts.
fn add_in(recipe: &mut Json, name: &str, shape: &[usize], ranges: Json) {
    let tensors = recipe["tensors"].as_array_mut().unwrap();
    tensors.push(json!([name, shape, {"ranges": ranges}]));
}

/// A key of config.json is not there.
fn forget(recipe: &mut Json, key: &str) {
    let config = recipe["config"].as_object_mut().unwrap();
    config.remove(key).unwrap();
}
