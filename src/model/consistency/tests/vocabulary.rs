//! The vocabulary, held against its tokens.

use super::*;

#[test]
fn the_vocabulary_is_held_against_its_tokens() {
    let with = |key: &str, value: Value| Model::llama().with(key, value);
    let twice = ["<unk>", "a", "</s>", "a", "b"].map(Into::into).to_vec();
    for (model, expected) in [
        (
            Model::llama().without("tokenizer.ggml.model"),
            "`tokenizer.ggml.model` is missing, expected the kind of the tokenizer",
        ),
        (
            with("tokenizer.ggml.model", "bpe\n".into()),
            "`tokenizer.ggml.model` is `bpe\\n`, expected a kind of tokenizer that llama.cpp knows",
        ),
        (
            with("tokenizer.ggml.tokens", Array::U32(vec![1; 5]).into()),
            "`tokenizer.ggml.tokens` is an array of u32, expected an array of strings",
        ),
        (
            with("tokenizer.ggml.scores", Array::F32(vec![0.0; 4]).into()),
            "`tokenizer.ggml.scores` is an array of 4, expected 5 (`tokenizer.ggml.tokens`)",
        ),
        (
            with("tokenizer.ggml.token_type", Array::I32(vec![1; 6]).into()),
            "`tokenizer.ggml.token_type` is an array of 6, expected 5 (`tokenizer.ggml.tokens`)",
        ),
        (
            with("tokenizer.ggml.token_type", Array::U8(vec![1; 5]).into()),
            "`tokenizer.ggml.token_type` is an array of u8, expected an array of i32",
        ),
        (
            with("tokenizer.ggml.model", "gpt2".into()),
            "`tokenizer.ggml.merges` is missing, expected an array of strings with `gpt2`",
        ),
        (
            with("tokenizer.ggml.eos_token_id", 5u32.into()),
            "`tokenizer.ggml.eos_token_id` is 5, expected below 5, the number of \
             `tokenizer.ggml.tokens`",
        ),
        (
            with("tokenizer.ggml.eot_token_id", Value::I32(1)),
            "`tokenizer.ggml.eot_token_id` is of type i32, expected u32",
        ),
        (
            with("tokenizer.ggml.add_bos_token", 1u32.into()),
            "`tokenizer.ggml.add_bos_token` is of type u32, expected bool",
        ),
        (
            with("tokenizer.ggml.tokens", Array::String(twice).into()),
            "`tokenizer.ggml.tokens[3]` is `a`, expected another text than token 1, which is the \
             same",
        ),
        (
            with("tokenizer.chat_template", "a\n{% if %}".into()),
            "`tokenizer.chat_template` is no Jinja template, expected one (line 2: unexpected end \
             of block)",
        ),
        (
            with("tokenizer.chat_template.tool_use", "{{".into()),
            "`tokenizer.chat_template.tool_use` is no Jinja template, expected one (line 1: \
             unexpected end of input, expected expression)",
        ),
        (
            with("tokenizer.chat_template", 1u32.into()),
            "`tokenizer.chat_template` is of type u32, expected str",
        ),
    ] {
        let found = model.found();
        assert_eq!(
            found.first().map(String::as_str),
            Some(expected),
            "{found:#?}"
        );
    }
}
