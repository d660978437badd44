//! Which type each tensor gets: what the user asks for by name, the file type's mix, and the
//! fallback for odd row lengths.
//!
//! These are llama-quantize's rules for the `llama` architecture (`llama_tensor_get_type` in
//! llama-quant.cpp), restated; the order of the tensors matters where a rule counts them.

mod knobs;
mod mixture;
mod reason;
#[cfg(test)]
mod tests;

use swallow_quant::GgmlType;

pub use knobs::{
    BrokenRule, Knobs, RulesFileError, TensorRule, UnknownTensorType, read_rules, tensor_type,
};
pub use reason::{Choice, Reason};

use crate::file_type::FileType;

/// What the rules ask about a model.
#[derive(Clone, Copy, Debug)]
pub struct MixModel {
    /// Number of transformer blocks.
    pub n_layer: u32,
    /// Attention heads.
    pub n_head: u32,
    /// Key and value heads.
    pub n_head_kv: u32,
    /// Experts, 0 for a dense model.
    pub n_expert: u32,
    /// Whether there is no `output.weight`.
    pub tied: bool,
    /// Number of `attn_v` tensors.
    pub n_attn_v: u32,
    /// Whether there is an importance matrix, which some mixes spare bits for and some add bits to.
    pub has_imatrix: bool,
}

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

    /// The type of the tensor `name` with dimensions `dims` (row length first), whose weights are
    /// of `source` in the checkpoint. The first rule that applies decides:
    ///
    /// 1. vectors, norms and routers stay F32;
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
        source: GgmlType,
    ) -> Result<Choice, SlowPattern> {
        let knobs = self.knobs;
        let default = self.file_type.default_type();
        if let Some(reason) = never_quantized(name, dims) {
            return Ok(Choice::exactly(GgmlType::F32, reason));
        }
        if knobs.leave_output && name == OUTPUT {
            return Ok(Choice::exactly(source, Knobs::leave_output_reason()));
        }
        if let (Some(ty), TOKEN_EMBD) = (knobs.token_embedding_type, name) {
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
pub(crate) const TOKEN_EMBD: &str = "token_embd.weight";

fn never_quantized(name: &str, dims: &[u64]) -> Option<Reason> {
    if dims.len() < 2 {
        Some(Reason::Vector)
    } else if name.ends_with("_norm.weight") {
        Some(Reason::Norm)
    } else if name.ends_with("ffn_gate_inp.weight") {
        Some(Reason::Router)
    } else {
        None
    }
}

/// The layer that a tensor belongs to: 7 for `blk.7.attn_v.weight`.
pub fn layer_of(tensor: &str) -> Option<u32> {
    tensor.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}
