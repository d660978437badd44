//! What may be meant where a checkpoint's names are not those of its model.

use std::collections::BTreeSet;

use super::{
    mapper::Mapper,
    table::{ATTENTION, DENSE_FFN, EXPERTS, FUSED_ROUTER, GLOBAL, OUTPUT, ROUTER, Rule},
};
use crate::gguf::shown;

/// Bytes of the longest name that is compared with one of ours.
const MAX_NAME: usize = 256;

/// How many names are compared.
const MAX_NAMES: usize = 10_000;

/// A well-known stranger.
struct Stranger {
    /// What is in its name.
    pieces: &'static [&'static str],
    /// What it is.
    what: &'static str,
    /// What to do, where that is not to leave it out.
    advice: Option<&'static str>,
}

const STRANGERS: &[Stranger] = &[
    Stranger {
        pieces: &[
            "lora_A",
            "lora_B",
            "lora_embedding_",
            "lora_magnitude_vector",
            ".lora_",
            ".base_layer.",
            "modules_to_save",
        ],
        what: "it is of an adapter (LoRA) that was not merged into the model",
        advice: Some(
            "merge it, for example with peft's `merge_and_unload`, and convert the result (`--skip-tensor` leaves leftovers out by name)",
        ),
    },
    Stranger {
        pieces: &[
            ".qweight",
            ".qzeros",
            ".g_idx",
            ".weight_scale",
            ".weight_packed",
            ".weight_zero_point",
            ".weight_shape",
            ".input_scale",
            ".SCB",
            ".weight_format",
            ".absmax",
            ".quant_map",
            ".quant_state",
            ".nested_",
        ],
        what: "it is of weights that are quantized already",
        advice: Some("take the model in BF16, F16 or F32"),
    },
    Stranger {
        pieces: &[
            "vision_tower",
            "vision_model",
            "visual.",
            "multi_modal_projector",
            "mm_projector",
            "image_newline",
            "audio_tower",
        ],
        what: "it is of the part of a model that sees or hears",
        advice: None,
    },
    Stranger {
        pieces: &["optimizer", "exp_avg", "master_weight", "grad_norm"],
        what: "it is a state of training",
        advice: None,
    },
    Stranger {
        pieces: &[
            "score.",
            "classifier.",
            "v_head.",
            "value_head",
            "reward_head",
        ],
        what: "it is the head of a model that gives scores, not text",
        advice: None,
    },
    Stranger {
        pieces: &["medusa_head", "eagle", "mtp."],
        what: "it helps to guess several tokens at once",
        advice: None,
    },
];

/// What a tensor is that is none of the model's, and what to do.
pub(super) fn stranger(name: &str) -> Option<String> {
    STRANGERS.iter().find_map(|stranger| {
        let mut pieces = stranger.pieces.iter();
        let piece = pieces.find(|piece| name.contains(**piece))?;
        let what = stranger.what;
        Some(match stranger.advice {
            Some(advice) => format!("{what}; {advice}"),
            None => format!("{what}; `--skip-tensor {piece}` leaves it out"),
        })
    })
}

impl Mapper<'_> {
    /// What else may be meant by a tensor that is not there: empty, or begins with a separator.
    pub(super) fn missing_hint(&self, name: &str) -> String {
        if let Some(pattern) = self.checkpoint.skipped.get(name) {
            return format!(": `--skip-tensor {pattern}` leaves it out, and the model needs it");
        }
        let names = || self.checkpoint.tensors.keys();
        if names().any(|n| n == "tok_embeddings.weight" || n.ends_with(".attention.wq.weight")) {
            return ": its names are those of Meta's and Mistral's own format; take the `-hf` \
                    repository of the model, or convert it with transformers"
                .into();
        }
        let output = OUTPUT.source;
        if name.strip_prefix(self.names.output) == Some(output) {
            return format!(
                ", and config.json does not set `tie_word_embeddings`; a model that was saved as its \
                 base class (`LlamaModel`) has no output matrix{}",
                self.nearest(name)
            );
        }
        if let Some(hint) = self.count_hint(name) {
            return hint;
        }
        let instead = [
            (
                ROUTER.source,
                "mlp.gate_proj.weight",
                "LlamaForCausalLM` or `MistralForCausalLM",
            ),
            ("mlp.gate_proj.weight", ROUTER.source, "MixtralForCausalLM"),
            (
                "mlp.gate_proj.weight",
                FUSED_ROUTER.source,
                "MixtralForCausalLM",
            ),
        ];
        for (missing, there, class) in instead {
            if let Some(layer) = name.strip_suffix(missing)
                && let there = format!("{layer}{there}")
                && self.has(&there)
            {
                return format!(
                    ", but `{there}` is there: is `architectures` of config.json `{class}`?"
                );
            }
        }
        if let Some(layer) = name.strip_suffix(ROUTER.source) {
            return format!(
                ", and so is `{layer}{}` of the newer layout{}",
                FUSED_ROUTER.source,
                self.nearest(name)
            );
        }
        self.nearest(name)
    }

    /// The count in config.json that is too large, where all of a layer or an expert is missing.
    fn count_hint(&self, name: &str) -> Option<String> {
        let has = |beginning: &str| {
            let mut from = self.checkpoint.tensors.range(beginning.to_owned()..);
            from.next().is_some_and(|(n, _)| n.starts_with(beginning))
        };
        let (_, n_expert) = ((), self.config.experts.map_or(0, |(n, _)| n));
        for (part, what, key, count) in [
            ("layers.", "layer", "num_hidden_layers", self.config.n_layer),
            (".experts.", "expert", "num_local_experts", n_expert),
        ] {
            let Some((before, rest)) = name.split_once(part) else {
                continue;
            };
            let number = rest.split('.').next().unwrap_or_default();
            // Where even the first is not there, the count is not to blame.
            let is_number = number.parse::<u32>().is_ok_and(|n| n > 0);
            if is_number
                && has(&format!("{before}{part}0."))
                && !has(&format!("{before}{part}{number}."))
            {
                return Some(format!(
                    ", and so is all of {what} {number}: `{key}` of config.json is {count}"
                ));
            }
        }
        None
    }

    /// The names nearest to one that is missing, among those that mean nothing to us.
    fn nearest(&self, missing: &str) -> String {
        // What is compared grows with the product of both lengths, and the names are a stranger's.
        let strange = self.checkpoint.tensors.keys();
        let strange = strange.filter(|n| n.len() <= MAX_NAME && !self.is_ours(n));
        let mut near: Vec<(f64, &String)> = strange
            .take(MAX_NAMES)
            .map(|name| (likeness(missing, name), name))
            .collect();
        near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        // As near as the nearest, or almost; of many layers one is enough.
        let best = near.first().map_or(0.0, |(likeness, _)| *likeness);
        near.retain(|(likeness, _)| *likeness > best - 0.05);
        let mut kinds = BTreeSet::new();
        let near: Vec<&String> = near
            .into_iter()
            .map(|(_, name)| name)
            .filter(|name| kinds.insert(name.replace(|c: char| c.is_ascii_digit(), "")))
            .collect();
        match near[..] {
            [] => String::new(),
            [one] => format!(
                "; nearest is `{}`{}",
                shown(one),
                stranger(one).map_or(String::new(), |what| format!(": {what}"))
            ),
            [one, other, ..] => format!(
                "; nearest are `{}` and `{}`{}",
                shown(one),
                shown(other),
                stranger(one).map_or(String::new(), |what| format!(": {what}"))
            ),
        }
    }

    /// Whether a model of ours may have a tensor of this name.
    fn is_ours(&self, name: &str) -> bool {
        let is = |rules: &[Rule], name: &str| rules.iter().any(|rule| rule.source == name);
        if name.strip_prefix(self.names.output) == Some(OUTPUT.source) {
            return true;
        }
        let Some(name) = name.strip_prefix(self.names.model) else {
            return false;
        };
        let in_layer = name.strip_prefix("layers.").and_then(|n| n.split_once('.'));
        let Some((_, name)) = in_layer else {
            return is(GLOBAL, name);
        };
        let of_expert = || {
            let rest = name.strip_prefix("block_sparse_moe.experts.")?;
            let weight = rest.split_once('.')?.1.strip_suffix(".weight")?;
            Some(is(EXPERTS, weight))
        };
        is(ATTENTION, name)
            || is(DENSE_FFN, name)
            || is(&[ROUTER, FUSED_ROUTER], name)
            || name.starts_with("mlp.experts.")
            || of_expert().unwrap_or(false)
    }
}

/// From 0 to 1. An ending in common counts most: what differs is often what a program put before it.
fn likeness(a: &str, b: &str) -> f64 {
    match a.ends_with(b) || b.ends_with(a) {
        true => 1.0,
        false => strsim::normalized_damerau_levenshtein(a, b),
    }
}
