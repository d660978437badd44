//! Tensors that no language model of ours has, and that are often beside those of one.

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
