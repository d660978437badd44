//! The mixes: which tensors a file type gives other types than its own.

use swallow_quant::GgmlType;

use super::{Knobs, Mix, MixModel, OUTPUT, Reason, Rules, is_token_embd, layer_of};
use crate::file_type::FileType::{self, *};

impl Mix<'_> {
    /// What the file type's mix wants for a tensor with rows of `row` weights.
    pub(super) fn mixture(
        &mut self,
        name: &str,
        row: u64,
        default: GgmlType,
    ) -> (GgmlType, Reason) {
        let m = self.model;
        let tied_output = m.tied && is_token_embd(name);
        if name == OUTPUT || tied_output {
            return self.output(tied_output, row, default);
        }
        let has = |part: &str| name.contains(part);
        let changed = if is_token_embd(name) {
            None
        } else if m.rules == Rules::Glm5Next && SPARED_IN_GLM5_NEXT.into_iter().any(has) {
            Some((GgmlType::Q8_0, Reason::Sensitive(self.file_type)))
        } else if is_attn_v(name) {
            let i = self.i_attn_v;
            self.i_attn_v += 1;
            attn_v(self.file_type, m, i, default)
        } else if has("attn_k.weight") && m.n_expert == 8 {
            Some((GgmlType::Q8_0, Reason::EightExperts))
        } else if has("attn_output.weight") {
            attn_output(self.file_type, m)
        } else if has("ffn_down") && !has("ffn_up") && !has("ffn_gate") {
            let counted = self.i_ffn_down;
            self.i_ffn_down += 1;
            // A mixture's layer is read from the name, a dense model's is counted. They
            // differ where the user has chosen the type of an earlier one.
            let i = match layer_of(name) {
                Some(layer) if m.n_expert > 1 => layer,
                _ => counted,
            };
            ffn_down(self.file_type, i, m)
        } else {
            None
        };
        changed.unwrap_or((default, Reason::FileType(self.file_type)))
    }

    fn output(&self, tied: bool, row: u64, default: GgmlType) -> (GgmlType, Reason) {
        let reason = match tied {
            true => Reason::TiedOutput,
            false => Reason::Output,
        };
        if let Some(ty) = self.knobs.output_type {
            (ty, Knobs::output_reason(ty))
        } else if default == GgmlType::Q8_0 {
            (default, Reason::FileType(self.file_type))
        } else if self.model.rules == Rules::Falcon
            || !row.is_multiple_of(default.block_len() as u64)
        {
            (GgmlType::Q8_0, reason)
        } else {
            (GgmlType::Q6_K, reason)
        }
    }
}

/// Parts of the names of matrices that GLM 5 Next has in no less than Q8_0.
const SPARED_IN_GLM5_NEXT: [&str; 3] = ["attn_q_a", "attn_q_b", "nextn.eh_proj"];

/// Whether a tensor holds the values' projection, which the mixes take special care of, by itself
/// or with others.
pub(super) fn is_attn_v(name: &str) -> bool {
    ["attn_v.weight", "attn_qkv.weight", "attn_kv_b.weight"]
        .iter()
        .any(|part| name.contains(part))
}

/// The type of the `i`-th `attn_v`, where it is not the file type's own.
fn attn_v(
    file_type: FileType,
    m: MixModel,
    i: u32,
    default: GgmlType,
) -> Option<(GgmlType, Reason)> {
    use GgmlType::{Q3_K, Q4_K, Q5_K, Q6_K, Q8_0};
    if m.n_expert == 8 {
        return Some((Q8_0, Reason::EightExperts));
    }
    let few_kv_heads = m.n_head.checked_div(m.n_head_kv).unwrap_or(0) >= 4;
    let more_bits = Reason::MoreBits(file_type);
    let sensitive = Reason::Sensitive(file_type);
    let changed = match file_type {
        Q2_K | Q2_K_S if few_kv_heads => Some((Q4_K, Reason::FewKvHeads)),
        Q2_K => Some((Q3_K, sensitive)),
        Q3_K_M if i < 2 => Some((Q5_K, more_bits)),
        Q3_K_M => Some((Q4_K, sensitive)),
        Q3_K_L => Some((Q5_K, sensitive)),
        IQ4_NL | IQ4_XS if few_kv_heads => Some((Q5_K, Reason::FewKvHeads)),
        Q4_K_M | Q5_K_M if use_more_bits(i, m.n_attn_v) => Some((Q6_K, more_bits)),
        Q4_K_S if i < 4 => Some((Q5_K, more_bits)),
        _ => None,
    };
    match changed.as_ref().map_or(default, |(ty, _)| *ty) {
        Q3_K | Q4_K if m.is_70b => Some((Q5_K, Reason::FewKvHeads)),
        _ => changed,
    }
}

/// The type of `attn_output`, where it is not the file type's own.
fn attn_output(file_type: FileType, m: MixModel) -> Option<(GgmlType, Reason)> {
    use GgmlType::{Q3_K, Q4_K, Q5_K};
    let sensitive = Reason::Sensitive(file_type);
    if m.rules == Rules::Falcon {
        return (file_type == Q3_K_L).then_some((Q4_K, sensitive));
    }
    if m.n_expert == 8 {
        return match file_type {
            Q2_K | Q3_K_S | Q3_K_M | Q4_K_S | Q4_K_M | IQ4_NL | IQ4_XS => {
                Some((Q5_K, Reason::EightExperts))
            }
            _ => None,
        };
    }
    match file_type {
        Q2_K => Some((Q3_K, sensitive)),
        Q3_K_M => Some((Q4_K, sensitive)),
        Q3_K_L => Some((Q5_K, sensitive)),
        _ => None,
    }
}

/// The type of `ffn_down` in layer `i`, where it is not the file type's own.
fn ffn_down(file_type: FileType, i: u32, m: MixModel) -> Option<(GgmlType, Reason)> {
    use GgmlType::{Q3_K, Q4_1, Q4_K, Q5_1, Q5_K, Q6_K};
    let n = m.n_layer;
    let more_bits = Reason::MoreBits(file_type);
    let sensitive = Reason::Sensitive(file_type);
    let is_falcon = m.rules == Rules::Falcon;
    match file_type {
        Q3_K_M if is_falcon && i >= n / 16 => use_more_bits(i, n).then_some((Q4_K, more_bits)),
        Q3_K_L if is_falcon => Some((Q4_K, sensitive)),
        Q4_K_M if is_falcon && i < n / 16 => Some((Q6_K, more_bits)),
        Q4_K_M if is_falcon => use_more_bits(i, n).then_some((Q5_K, more_bits)),
        Q4_K_S if is_falcon => None,
        Q2_K => Some((Q3_K, sensitive)),
        Q2_K_S if i < n / 8 => Some((Q4_K, more_bits)),
        Q3_K_M if i < n / 16 => Some((Q5_K, more_bits)),
        Q3_K_M => Some((Q4_K, sensitive)),
        Q3_K_L => Some((Q5_K, sensitive)),
        Q4_K_M | Q5_K_M if use_more_bits(i, n) => Some((Q6_K, more_bits)),
        Q4_K_S if i < n / 8 => Some((Q5_K, more_bits)),
        IQ4_NL | IQ4_XS if !m.has_imatrix && i < n / 8 => Some((Q5_K, more_bits)),
        // A scale alone goes astray in the first layers when columns are weighted. Without a
        // matrix these stay as they were before there were any.
        Q4_0 if m.has_imatrix && i < n / 8 => Some((Q4_1, more_bits)),
        Q5_0 if m.has_imatrix && i < n / 8 => Some((Q5_1, more_bits)),
        _ => None,
    }
}

/// The first and the last eighth of the layers, and every third between.
fn use_more_bits(i: u32, n: u32) -> bool {
    // Integer division throughout, as in the original; the subtraction cannot be negative there.
    let last_eighth = 7 * u64::from(n) / 8;
    i < n / 8 || u64::from(i) >= last_eighth || (i - n / 8) % 3 == 2
}
