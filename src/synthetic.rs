//! Makes checkpoints: random weights in real shapes, for tests and benchmarks; and importance
//! matrices for their models, in [`imatrix`].
//!
//! The weights are Gaussian, drawn once and repeated from random places on, so that gigabytes are
//! made at the speed of the disk; what a conversion costs does not depend on more.

pub mod imatrix;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use half::{bf16, f16};
use prost::Message;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use serde_json::json;

use crate::{
    model::vocabulary::sentencepiece::{ModelProto, ModelType, Piece, PieceType, TrainerSpec},
    source::Dtype,
};

/// The sizes of a model, by the names of config.json.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are config.json's")]
pub struct Sizes {
    pub num_hidden_layers: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub vocab_size: usize,
    /// 0 for a dense model.
    pub num_local_experts: usize,
}

impl Sizes {
    /// The sizes of Swallow-MoE-2x13B, with `layers` of its 40 layers.
    pub fn target(layers: usize) -> Self {
        Self {
            num_hidden_layers: layers,
            hidden_size: 5120,
            intermediate_size: 13824,
            num_attention_heads: 40,
            num_key_value_heads: 40,
            vocab_size: 43176,
            num_local_experts: 2,
        }
    }
}

/// How a Mixtral's experts are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A tensor for each expert, as mergekit wrote them in 2024.
    Separate,
    /// Gate and up projections of all experts in one tensor, as transformers 5 has them.
    Fused,
}

/// A checkpoint to be made.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The model's sizes.
    pub sizes: Sizes,
    /// How experts are stored.
    pub layout: Layout,
    /// Number format of the weights.
    pub dtype: Dtype,
    /// Number format of norms, router and attention where it is another one.
    pub other_dtype: Option<Dtype>,
    /// Whether there is no output matrix.
    pub tied: bool,
    /// The number of shards.
    pub shards: usize,
    /// Seed of the weights: the same for the same tensor in both layouts.
    pub seed: u64,
    /// Whether to leave the weights out: sparse files of the right length, which read as zeros
    /// and take no room on most file systems.
    pub sparse: bool,
}

/// One tensor to be written: name, shape, and the seeds of its equal pieces.
struct Tensor {
    name: String,
    shape: Vec<usize>,
    pieces: Vec<String>,
}

impl Tensor {
    fn new(name: String, shape: Vec<usize>) -> Self {
        let pieces = vec![name.clone()];
        Self {
            name,
            shape,
            pieces,
        }
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    fn dtype(&self, spec: &Spec) -> Dtype {
        let other = ["norm.weight", "gate.weight", "_proj.weight"];
        let is_other = other.iter().any(|end| self.name.ends_with(end));
        spec.other_dtype.filter(|_| is_other).unwrap_or(spec.dtype)
    }

    fn bytes(&self, spec: &Spec) -> usize {
        self.len() * self.dtype(spec).bytes()
    }
}

/// Writes the checkpoint of `spec` into folder `dir`, which is made where it is missing.
///
/// # Errors
/// What the operating system says.
pub fn write(dir: &Path, spec: &Spec) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("config.json"), format!("{:#}\n", config(spec)))?;
    fs::write(
        dir.join("tokenizer.model"),
        tokenizer_model(spec.sizes.vocab_size, &[]),
    )?;
    let tensors = tensors(spec);

    let pool = Pool::new(spec.seed);
    let per_shard = tensors.len().div_ceil(spec.shards.max(1));
    let n_shards = tensors.len().div_ceil(per_shard);
    let mut weight_map = BTreeMap::new();
    for (i, shard) in tensors.chunks(per_shard).enumerate() {
        let file = match n_shards {
            1 => "model.safetensors".to_owned(),
            n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        write_shard(&dir.join(&file), shard, spec, &pool)?;
        weight_map.extend(shard.iter().map(|t| (t.name.clone(), file.clone())));
    }
    if n_shards > 1 {
        let bytes: usize = tensors.iter().map(|t| t.bytes(spec)).sum();
        let index = json!({"metadata": {"total_size": bytes}, "weight_map": weight_map});
        fs::write(
            dir.join("model.safetensors.index.json"),
            format!("{index:#}\n"),
        )?;
    }
    Ok(())
}

fn config(spec: &Spec) -> serde_json::Value {
    let s = spec.sizes;
    let mut config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": s.hidden_size,
        "intermediate_size": s.intermediate_size,
        "num_hidden_layers": s.num_hidden_layers,
        "num_attention_heads": s.num_attention_heads,
        "num_key_value_heads": s.num_key_value_heads,
        "vocab_size": s.vocab_size,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": spec.tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
    });
    if s.num_local_experts > 0 {
        config["architectures"] = json!(["MixtralForCausalLM"]);
        config["model_type"] = json!("mixtral");
        config["num_local_experts"] = json!(s.num_local_experts);
        config["num_experts_per_tok"] = json!(s.num_local_experts.min(2));
    }
    config
}

/// A SentencePiece model of `vocab_size` pieces: the three special ones, the 256 bytes, `words`, and then
/// numbered words.
pub fn tokenizer_model(vocab_size: usize, words: &[String]) -> Vec<u8> {
    let piece = |text: String, score: f32, kind: PieceType| Piece {
        piece: Some(text.into_bytes()),
        score: Some(score),
        kind: Some(kind as i32),
    };
    let special = [
        piece("<unk>".into(), 0.0, PieceType::Unknown),
        piece("<s>".into(), 0.0, PieceType::Control),
        piece("</s>".into(), 0.0, PieceType::Control),
    ];
    let bytes = (0..256).map(|b| piece(format!("<0x{b:02X}>"), 0.0, PieceType::Byte));
    let numbered = (0..).map(|i| format!("▁w{i}"));
    let words = (0..)
        .zip(words.iter().cloned().chain(numbered))
        .map(|(i, word)| piece(word, -(i as f32), PieceType::Normal));
    let pieces = special
        .into_iter()
        .chain(bytes)
        .chain(words)
        .take(vocab_size)
        .collect();
    let trainer_spec = Some(TrainerSpec {
        model_type: Some(ModelType::Bpe as i32),
        byte_fallback: Some(true),
    });
    ModelProto {
        pieces,
        trainer_spec,
    }
    .encode_to_vec()
}

fn tensors(spec: &Spec) -> Vec<Tensor> {
    let s = spec.sizes;
    let head_dim = s.hidden_size / s.num_attention_heads;
    let kv = s.num_key_value_heads * head_dim;
    let (embd, ff) = (s.hidden_size, s.intermediate_size);
    let mut out = vec![Tensor::new(
        "model.embed_tokens.weight".into(),
        vec![s.vocab_size, embd],
    )];
    for layer in 0..s.num_hidden_layers {
        let mut add = |name: &str, shape: &[usize]| {
            out.push(Tensor::new(
                format!("model.layers.{layer}.{name}"),
                shape.into(),
            ));
        };
        add("input_layernorm.weight", &[embd]);
        add("self_attn.q_proj.weight", &[embd, embd]);
        add("self_attn.k_proj.weight", &[kv, embd]);
        add("self_attn.v_proj.weight", &[kv, embd]);
        add("self_attn.o_proj.weight", &[embd, embd]);
        add("post_attention_layernorm.weight", &[embd]);
        if s.num_local_experts == 0 {
            add("mlp.gate_proj.weight", &[ff, embd]);
            add("mlp.up_proj.weight", &[ff, embd]);
            add("mlp.down_proj.weight", &[embd, ff]);
        } else {
            out.extend(experts(spec, layer));
        }
    }
    out.push(Tensor::new("model.norm.weight".into(), vec![embd]));
    if !spec.tied {
        out.push(Tensor::new(
            "lm_head.weight".into(),
            vec![s.vocab_size, embd],
        ));
    }
    out
}

/// Router and experts. The fused tensors are made of the pieces that the separate ones are.
fn experts(spec: &Spec, layer: usize) -> Vec<Tensor> {
    let s = spec.sizes;
    let (n, embd, ff) = (s.num_local_experts, s.hidden_size, s.intermediate_size);
    let moe = format!("model.layers.{layer}.block_sparse_moe");
    let weight = |expert: usize, w: &str| format!("{moe}.experts.{expert}.{w}.weight");
    let router = format!("{moe}.gate.weight");
    match spec.layout {
        Layout::Separate => {
            let mut out = vec![Tensor::new(router, vec![n, embd])];
            for expert in 0..n {
                out.push(Tensor::new(weight(expert, "w1"), vec![ff, embd]));
                out.push(Tensor::new(weight(expert, "w2"), vec![embd, ff]));
                out.push(Tensor::new(weight(expert, "w3"), vec![ff, embd]));
            }
            out
        }
        Layout::Fused => {
            let mlp = format!("model.layers.{layer}.mlp");
            let gate_up = (0..n).flat_map(|e| [weight(e, "w1"), weight(e, "w3")]);
            let down = (0..n).map(|e| weight(e, "w2"));
            vec![
                Tensor {
                    name: format!("{mlp}.gate.weight"),
                    shape: vec![n, embd],
                    pieces: vec![router],
                },
                Tensor {
                    name: format!("{mlp}.experts.gate_up_proj"),
                    shape: vec![n, 2 * ff, embd],
                    pieces: gate_up.collect(),
                },
                Tensor {
                    name: format!("{mlp}.experts.down_proj"),
                    shape: vec![n, embd, ff],
                    pieces: down.collect(),
                },
            ]
        }
    }
}

fn write_shard(path: &Path, tensors: &[Tensor], spec: &Spec, pool: &Pool) -> io::Result<()> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes(spec);
        let dtype = tensor.dtype(spec).ggml_type().name();
        let entry = json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [at, end]});
        header.insert(tensor.name.clone(), entry);
        at = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    if spec.sparse {
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        return file.set_len((8 + header.len() + at) as u64);
    }
    for tensor in tensors {
        let piece_len = tensor.len() / tensor.pieces.len();
        for piece in &tensor.pieces {
            pool.write(&mut file, piece, piece_len, tensor.dtype(spec))?;
        }
    }
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}

/// Gaussian weights of a usual size, from which every tensor is cut.
struct Pool {
    seed: u64,
    weights: Vec<f32>,
}

impl Pool {
    const LEN: usize = 1 << 20;

    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        match Normal::new(0.0f32, 0.02) {
            Ok(normal) => Self {
                seed,
                weights: normal.sample_iter(&mut rng).take(Self::LEN).collect(),
            },
            Err(error) => unreachable!("constant parameters: {error}"),
        }
    }

    /// Writes `len` weights that depend on `name` and the seed alone.
    fn write(&self, file: &mut impl Write, name: &str, len: usize, dtype: Dtype) -> io::Result<()> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ fnv1a(name));
        let mut bytes = Vec::new();
        let mut left = len;
        while left > 0 {
            let n = left.min(1 << 15);
            let start = rng.random_range(0..=Self::LEN - n);
            // Another scale each time, so that no two runs of blocks are the same.
            let scale = 0.5 + rng.next_u32() as f32 / u32::MAX as f32;
            let weights = self.weights[start..start + n].iter().map(|w| w * scale);
            bytes.clear();
            match dtype {
                Dtype::Bf16 => bytes.extend(weights.flat_map(|w| bf16::from_f32(w).to_le_bytes())),
                Dtype::F16 => bytes.extend(weights.flat_map(|w| f16::from_f32(w).to_le_bytes())),
                Dtype::F32 => bytes.extend(weights.flat_map(f32::to_le_bytes)),
            }
            file.write_all(&bytes)?;
            left -= n;
        }
        Ok(())
    }
}

/// A number for a name (FNV-1a), the same on every machine.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
