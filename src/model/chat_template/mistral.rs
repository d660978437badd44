//! The prompts of Mistral's models, by the names that llama.cpp has for them. Its converter writes
//! such a name where a template should be, into files of checkpoints in Mistral's own format.
//!
//! They differ in where a space stands, and in what becomes of a system message: up to version 3 it
//! begins the first instruction, from version 7 on it has tokens of its own.

/// Up to version 3: what stands before an instruction's first token and its last one, and what
/// stands after the first one and before an answer.
macro_rules! instructions {
    ($before:literal, $after:literal, $trim:literal) => {
        concat!(
            "{% set turn = namespace(open=false) %}",
            "{% for message in messages %}",
            "{% if not turn.open %}{% set turn.open = true %}{{ '",
            $before,
            "[INST]",
            $after,
            "' }}{% endif %}",
            "{% if message['role'] == 'system' %}{{ message['content'] }}{{ '\\n\\n' }}",
            "{% elif message['role'] == 'user' %}{{ message['content'] }}{{ '",
            $before,
            "[/INST]' }}",
            "{% elif message['role'] == 'assistant' %}{% set turn.open = false %}{{ '",
            $after,
            "' }}{{ message['content']",
            $trim,
            " }}{{ '</s>' }}",
            "{% endif %}{% endfor %}",
        )
    };
}

/// Version 7: what stands after the first token of a message, and before an answer.
macro_rules! messages {
    ($after:literal) => {
        concat!(
            "{% for message in messages %}",
            "{% if message['role'] == 'system' %}{{ '[SYSTEM_PROMPT]",
            $after,
            "' }}{{ message['content'] }}{{ '[/SYSTEM_PROMPT]' }}",
            "{% elif message['role'] == 'user' %}{{ '[INST]",
            $after,
            "' }}{{ message['content'] }}{{ '[/INST]' }}",
            "{% elif message['role'] == 'assistant' %}{{ '",
            $after,
            "' }}{{ message['content'] }}{{ '</s>' }}",
            "{% endif %}{% endfor %}",
        )
    };
}

pub(super) const V1: &str = instructions!(" ", " ", "");
pub(super) const V3: &str = instructions!("", " ", " | trim");
pub(super) const V3_TEKKEN: &str = instructions!("", "", "");
pub(super) const V7: &str = messages!(" ");
pub(super) const V7_TEKKEN: &str = messages!("");
