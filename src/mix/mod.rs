//! Which type each tensor gets: what the user asks for by name, the file type's mix, and the
//! fallback for odd row lengths.
//!
//! These are llama-quantize's rules (`llama_tensor_get_type` in llama-quant.cpp), restated, for every
//! architecture; the order of the tensors matters where a rule counts them.

mod knobs;
mod mixture;
mod model;
mod reason;
#[cfg(test)]
mod tests;

use swallow_quant::GgmlType;

pub use knobs::{
    BrokenRule, Knobs, RulesFileError, TensorRule, UnknownTensorType, read_rules, tensor_type,
};
pub(crate) use knobs::{MAX_BACKTRACKS, what_is_broken};
pub use model::{MixModel, Rules};
pub use reason::{Choice, Reason};

use crate::file_type::FileType;

/// A `--tensor-type` pattern that takes too long on a tensor's name.
#[derive(Debug, thiserror::Error)]
#[error("`{rule}` takes too many steps on `{tensor}`, expected a simpler pattern")]
pub struct SlowPattern {
    /// The option.
    pub rule: String,
    /// The tensor's name.
    pub tensor: String,
}

/// The rules for one file; the tensors must be asked for in the order of the file.
#[derive(Debug)]
pub struct Mix<'a> {
    file_type: FileType,
    knobs: &'a Knobs,
    model: MixModel,
    // How many of these the mix, and not the user, has decided so far.
    i_attn_v: u32,
    i_ffn_down: u32,
}

impl<'a> Mix<'a> {
    /// The rules for a model, a file type and what else the user asks for.
    pub fn new(file_type: FileType, knobs: &'a Knobs, model: MixModel) -> Self {
        Self {
            file_type,
            knobs,
            model,
            i_attn_v: 0,
            i_ffn_down: 0,
        }
    }

    /// The type of the tensor `name` with dimensions `dims` (row length first), which is of type
    /// `stored` where it is not quantized. The first rule that applies decides:
    ///
    /// 1. vectors, norms, routers and what else llama.cpp never quantizes stay as they are stored;
    /// 2. `--leave-output-tensor`;
    /// 3. `--token-embedding-type` and `--output-tensor-type`, whatever the row length;
    /// 4. `--tensor-type`, the first pattern that is found, where the file type is quantized;
    /// 5. `--experts-type` and `--attn-type`;
    /// 6. the file type's own type for floats and with `--pure`, else its mix.
    ///
    /// # Errors
    /// Where a pattern takes too long.
    pub fn choose(
        &mut self,
        name: &str,
        dims: &[u64],
        stored: GgmlType,
    ) -> Result<Choice, SlowPattern> {
        let knobs = self.knobs;
        let default = self.file_type.default_type();
        if let Some(reason) = never_quantized(name, dims, self.model.rules) {
            return Ok(Choice::exactly(stored, reason));
        }
        if knobs.leave_output && name == OUTPUT {
            return Ok(Choice::exactly(stored, Knobs::leave_output_reason()));
        }
        if let Some(ty) = knobs.token_embedding_type
            && is_token_embd(name)
            && (name == TOKEN_EMBD || knobs.first_rule(name)?.is_none())
        {
            return Ok(Choice::exactly(ty, Knobs::token_embedding_reason(ty)));
        }
        if let (Some(ty), OUTPUT) = (knobs.output_type, name) {
            return Ok(Choice::exactly(ty, Knobs::output_reason(ty)));
        }
        if default.is_quantized()
            && let Some(rule) = knobs.first_rule(name)?
        {
            return Ok(Choice::fitted(rule.ty(), rule.reason(), dims[0]));
        }
        if let Some((ty, reason)) = knobs.plain_words(name) {
            return Ok(Choice::fitted(ty, reason, dims[0]));
        }
        if !default.is_quantized() {
            return Ok(Choice::exactly(default, Reason::FileType(self.file_type)));
        }
        let (wanted, reason) = if knobs.pure {
            (default, Reason::Pure(self.file_type))
        } else {
            self.mixture(name, dims[0], default)
        };
        Ok(Choice::fitted(wanted, reason, dims[0]))
    }
}

const OUTPUT: &str = "output.weight";
const TOKEN_EMBD: &str = "token_embd.weight";

/// Whether a tensor is the token embedding, or Gemma's further one for each layer.
pub(crate) fn is_token_embd(name: &str) -> bool {
    matches!(name, TOKEN_EMBD | "per_layer_token_embd.weight")
}

/// Parts of the names of matrices that llama.cpp leaves as they are besides norms and routers:
/// small ones, and those of other kinds of models.
const NEVER_QUANTIZED: [&str; 33] = [
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
];

/// Such parts of GLM 5 Next's names besides.
const NEVER_QUANTIZED_IN_GLM5_NEXT: [&str; 14] = [
    "hc_",
    "indexer.attn_q_b",
    "indexer.attn_k",
    "indexer.proj",
    "indexer_compressor_gate",
    "indexer_compressor_ape",
    "ssm_f_a.weight",
    "ssm_f_b.weight",
    "ssm_g_a.weight",
    "ssm_g_b.weight",
    "ssm_beta.weight",
    "attn_kv_a_mqa.weight",
    "attn_k_b.weight",
    "attn_v_b.weight",
];

fn never_quantized(name: &str, dims: &[u64], rules: Rules) -> Option<Reason> {
    let has_one_of = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    // Dimensions of 1 at the end count for nothing in ggml.
    if dims.iter().skip(1).all(|dim| *dim == 1) {
        Some(Reason::Vector)
    } else if name.contains("_norm.weight") {
        Some(Reason::Norm)
    } else if name.contains("ffn_gate_inp.weight") {
        Some(Reason::Router)
    } else if !name.ends_with("weight")
        || matches!(name, "position_embd.weight" | "token_types.weight")
        || has_one_of(&NEVER_QUANTIZED)
        || rules == Rules::Glm5Next && has_one_of(&NEVER_QUANTIZED_IN_GLM5_NEXT)
    {
        Some(Reason::Untouched)
    } else {
        None
    }
}

/// Whether tensors of this type need an importance matrix in a file of this file type, as
/// llama-quantize has it: the IQ types below IQ3_S, and Q2_K in a Q2_K_S file. The embedding and
/// the output do without.
pub fn needs_importance_matrix(file_type: FileType, tensor: &str, ty: GgmlType) -> bool {
    use GgmlType::*;
    if is_token_embd(tensor) || tensor == OUTPUT {
        return false;
    }
    match ty {
        IQ1_S | IQ1_M | IQ2_XXS | IQ2_XS | IQ2_S | IQ3_XXS => true,
        Q2_K => file_type == FileType::Q2_K_S,
        _ => false,
    }
}

/// The layer that a tensor belongs to: 7 for `blk.7.attn_v.weight`.
pub fn layer_of(tensor: &str) -> Option<u32> {
    tensor.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}
