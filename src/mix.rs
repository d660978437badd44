//! Which type each tensor gets: the file type's mix, and the fallback for odd row lengths.
//!
//! These are llama-quantize's rules for the `llama` architecture (`llama_tensor_get_type` in
//! llama-quant.cpp), restated; the order of the tensors matters where a rule counts them.

use std::fmt;

use swallow_quant::GgmlType;

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
}

/// Why a tensor has its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Vectors are never quantized.
    Vector,
    /// Norms are never quantized.
    Norm,
    /// The router is never quantized: it decides which expert speaks.
    Router,
    /// The file type's own type.
    FileType(FileType),
    /// The mix gives the output matrix more bits.
    Output,
    /// The mix gives the token embedding more bits: it is the output matrix too.
    TiedOutput,
    /// The mix gives this tensor more bits in this layer.
    MoreBits(FileType),
    /// Few key and value heads make the tensor small and its errors large.
    FewKvHeads,
    /// With eight experts, attention is a small share of the file.
    EightExperts,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vector => f.write_str("vectors stay F32"),
            Self::Norm => f.write_str("norms stay F32"),
            Self::Router => f.write_str("the router stays F32"),
            Self::FileType(t) => write!(f, "{t}"),
            Self::Output => f.write_str("more bits for the output"),
            Self::TiedOutput => f.write_str("more bits: embedding and output in one"),
            Self::MoreBits(t) => write!(f, "{t}: more bits in this layer"),
            Self::FewKvHeads => f.write_str("more bits: few heads share it"),
            Self::EightExperts => f.write_str("more bits: eight experts"),
        }
    }
}

/// The type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The type to write.
    pub ty: GgmlType,
    /// Which rule chose it.
    pub reason: Reason,
    /// The type that rule wanted, where the row length does not allow it.
    pub fell_back_from: Option<GgmlType>,
}

/// The rules for one file; the tensors must be asked for in the order of the file.
#[derive(Debug)]
pub struct Mix {
    file_type: FileType,
    model: MixModel,
    i_attn_v: u32,
    i_ffn_down: u32,
}

impl Mix {
    /// The rules for a model and a file type.
    pub fn new(file_type: FileType, model: MixModel) -> Self {
        Self {
            file_type,
            model,
            i_attn_v: 0,
            i_ffn_down: 0,
        }
    }

    /// The type of the tensor `name` with dimensions `dims` (row length first).
    pub fn choose(&mut self, name: &str, dims: &[u64]) -> Choice {
        let stays_f32 = |reason| Choice {
            ty: GgmlType::F32,
            reason,
            fell_back_from: None,
        };
        if dims.len() < 2 {
            return stays_f32(Reason::Vector);
        }
        if name.ends_with("_norm.weight") {
            return stays_f32(Reason::Norm);
        }
        if name.ends_with("ffn_gate_inp.weight") {
            return stays_f32(Reason::Router);
        }
        let default = self.file_type.default_type();
        if !default.is_quantized() {
            let reason = Reason::FileType(self.file_type);
            return Choice {
                ty: default,
                reason,
                fell_back_from: None,
            };
        }
        let (wanted, reason) = self.quantized(name, dims[0], default);
        let ty = fit_row(wanted, dims[0]);
        Choice {
            ty,
            reason,
            fell_back_from: (ty != wanted).then_some(wanted),
        }
    }

    fn quantized(&mut self, name: &str, row: u64, default: GgmlType) -> (GgmlType, Reason) {
        use FileType::{Q4_K_M, Q4_K_S, Q5_K_M};
        use GgmlType::{Q5_K, Q6_K, Q8_0};

        let m = self.model;
        let plain = (default, Reason::FileType(self.file_type));
        let more_bits = Reason::MoreBits(self.file_type);
        let tied_output = m.tied && name == "token_embd.weight";
        if name == "output.weight" || tied_output {
            let reason = if tied_output {
                Reason::TiedOutput
            } else {
                Reason::Output
            };
            return if !row.is_multiple_of(default.block_len() as u64) {
                (Q8_0, reason)
            } else if default == Q8_0 {
                plain
            } else {
                (Q6_K, reason)
            };
        }
        let category = name
            .strip_suffix(".weight")
            .and_then(|n| n.rsplit('.').next());
        match category {
            Some("attn_v") => {
                let i = self.i_attn_v;
                self.i_attn_v += 1;
                let mut choice = match self.file_type {
                    Q4_K_M | Q5_K_M if use_more_bits(i, m.n_attn_v) => (Q6_K, more_bits),
                    Q4_K_S if i < 4 => (Q5_K, more_bits),
                    _ => plain,
                };
                // llama.cpp calls 80 layers with grouped queries "70B".
                let is_70b = m.n_layer == 80 && m.n_head != m.n_head_kv && m.n_expert != 8;
                if is_70b && choice.0 == GgmlType::Q4_K {
                    choice = (Q5_K, Reason::FewKvHeads);
                }
                if m.n_expert == 8 {
                    (Q8_0, Reason::EightExperts)
                } else {
                    choice
                }
            }
            Some("attn_k") if m.n_expert == 8 => (Q8_0, Reason::EightExperts),
            Some("attn_output") if m.n_expert == 8 => match self.file_type {
                Q4_K_S | Q4_K_M => (Q5_K, Reason::EightExperts),
                _ => plain,
            },
            Some("ffn_down" | "ffn_down_exps") => {
                // There is one such tensor for each layer, in the order of the layers.
                let i = self.i_ffn_down;
                self.i_ffn_down += 1;
                match self.file_type {
                    Q4_K_M | Q5_K_M if use_more_bits(i, m.n_layer) => (Q6_K, more_bits),
                    Q4_K_S if i < m.n_layer / 8 => (Q5_K, more_bits),
                    _ => plain,
                }
            }
            _ => plain,
        }
    }
}

/// The first and the last eighth of the layers, and every third between.
fn use_more_bits(i: u32, n: u32) -> bool {
    // Integer division throughout, as in the original; the subtraction cannot be negative there.
    i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2
}

/// The type that takes the place of `ty` where a row of `len` weights is no multiple of its block.
fn fit_row(ty: GgmlType, len: u64) -> GgmlType {
    let fits = |t: GgmlType| len.is_multiple_of(t.block_len() as u64);
    if fits(ty) {
        return ty;
    }
    let smaller = match ty {
        GgmlType::Q4_K => GgmlType::Q5_0,
        GgmlType::Q5_K => GgmlType::Q5_1,
        GgmlType::Q6_K => GgmlType::Q8_0,
        other => other,
    };
    if fits(smaller) {
        smaller
    } else {
        GgmlType::F16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(n_layer: u32, n_expert: u32) -> MixModel {
        MixModel {
            n_layer,
            n_head: 32,
            n_head_kv: 32,
            n_expert,
            tied: false,
            n_attn_v: n_layer,
        }
    }

    #[test]
    fn the_targets_q4_k_m() {
        let mut mix = Mix::new(FileType::Q4_K_M, model(40, 2));
        let output = mix.choose("output.weight", &[5120, 43176]);
        assert_eq!((output.ty, output.reason), (GgmlType::Q6_K, Reason::Output));
        let more: Vec<u32> = (0..40)
            .filter(|i| {
                let v = mix.choose(&format!("blk.{i}.attn_v.weight"), &[5120, 5120]);
                let d = mix.choose(&format!("blk.{i}.ffn_down_exps.weight"), &[13824, 5120, 2]);
                assert_eq!(v.ty, d.ty);
                v.ty == GgmlType::Q6_K
            })
            .collect();
        assert_eq!(
            more,
            [
                0, 1, 2, 3, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 35, 36, 37, 38, 39
            ]
        );
        let router = mix.choose("blk.0.ffn_gate_inp.weight", &[5120, 2]);
        assert_eq!((router.ty, router.reason), (GgmlType::F32, Reason::Router));
        assert_eq!(
            mix.choose("blk.0.attn_k.weight", &[5120, 5120]).ty,
            GgmlType::Q4_K
        );
    }

    #[test]
    fn eight_experts_get_more_bits_for_attention() {
        let mut mix = Mix::new(FileType::Q4_K_M, model(32, 8));
        let types = ["attn_k", "attn_v", "attn_output", "attn_q"]
            .map(|t| mix.choose(&format!("blk.0.{t}.weight"), &[4096, 4096]).ty);
        use GgmlType::{Q4_K, Q5_K, Q8_0};
        assert_eq!(types, [Q8_0, Q8_0, Q5_K, Q4_K]);
    }

    #[test]
    fn rows_that_do_not_divide_fall_back() {
        use GgmlType::{F16, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};
        for (ty, len, expected) in [
            (Q4_K, 512, Q4_K),
            (Q4_K, 160, Q5_0),
            (Q5_K, 160, Q5_1),
            (Q6_K, 160, Q8_0),
            (Q4_K, 172, F16),
            (Q8_0, 172, F16),
        ] {
            assert_eq!(fit_row(ty, len), expected, "{ty} {len}");
        }
        let mut mix = Mix::new(FileType::Q4_K_M, model(2, 0));
        let choice = mix.choose("output.weight", &[64, 512]);
        assert_eq!((choice.ty, choice.fell_back_from), (Q8_0, None));
        let choice = mix.choose("blk.0.attn_q.weight", &[64, 64]);
        assert_eq!((choice.ty, choice.fell_back_from), (Q5_0, Some(Q4_K)));
    }
}
