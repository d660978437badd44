//! Chat templates for checkpoints that bring none: some that are built in, or a file of the user's.
//!
//! A template is Jinja as Hugging Face's tokenizers have it: it sees `messages`, a list of maps
//! with `role` and `content`, and `add_generation_prompt`. None of ours writes the token that
//! begins a text, except where it stands between turns (`llama-2`): the tokenizer puts the first
//! one, and two would hurt.

mod mistral;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{
    nearest,
    source::{FileProblem, text_file},
};

/// The names of the built-in templates.
pub const NAMES: [&str; 9] = [
    "swallow",
    "swallow-instruct",
    "llama-2",
    "chatml",
    "mistral-v1",
    "mistral-v3",
    "mistral-v3-tekken",
    "mistral-v7",
    "mistral-v7-tekken",
];

/// The most we read of a template file. The largest in use have some 30 kB.
const MAX_BYTES: u64 = 1 << 20;

/// Why a template cannot be used.
#[derive(Debug, Error)]
pub enum ChatTemplateError {
    /// Neither a built-in name nor a file.
    #[error("no chat template `{found}`: expected {expected} or a Jinja file{hint}")]
    Unknown {
        /// What was asked for.
        found: String,
        /// The built-in names.
        expected: String,
        /// The name that may be meant; empty, or begins with a separator.
        hint: String,
    },

    /// The file cannot be read, or is no text of a template's size.
    #[error("the chat template `{path}`: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
    },

    /// The file is not Jinja.
    #[error("the chat template `{path}` is not valid Jinja")]
    Jinja {
        /// The file.
        path: PathBuf,
        /// The line and the reason.
        source: minijinja::Error,
    },
}

/// The built-in template of this name.
pub fn by_name(name: &str) -> Option<&'static str> {
    match name {
        "swallow" => Some(SWALLOW),
        "swallow-instruct" => Some(SWALLOW_INSTRUCT),
        "llama-2" => Some(LLAMA_2),
        "chatml" => Some(CHATML),
        "mistral-v1" => Some(mistral::V1),
        "mistral-v3" => Some(mistral::V3),
        "mistral-v3-tekken" => Some(mistral::V3_TEKKEN),
        "mistral-v7" => Some(mistral::V7),
        "mistral-v7-tekken" => Some(mistral::V7_TEKKEN),
        _ => None,
    }
}

/// The template that a file's `tokenizer.chat_template` stands for: llama.cpp's converter writes the
/// name of one into some files.
pub fn embedded(text: &str) -> &str {
    by_name(text.trim()).unwrap_or(text)
}

/// Whether a text can be a template: without a tag it says the same to every message.
pub fn has_tags(text: &str) -> bool {
    ["{{", "{%"].iter().any(|tag| text.contains(tag))
}

/// The built-in template of this name, or the template in the file of this path. A file's template
/// is given as it is, and is known to compile.
///
/// # Errors
/// Neither name nor file; a file that is unreadable, too large, not UTF-8 or not Jinja.
pub fn load(name_or_path: &str) -> Result<String, ChatTemplateError> {
    if let Some(template) = by_name(name_or_path) {
        return Ok(template.to_owned());
    }
    let path = Path::new(name_or_path);
    let template = match text_file::read_named_text(path, MAX_BYTES) {
        Ok(Some(template)) => template,
        Ok(None) => return Err(unknown(name_or_path)),
        Err(problem) => {
            return Err(ChatTemplateError::File {
                path: path.to_owned(),
                problem,
            });
        }
    };
    parse(name_or_path, &template).map_err(|source| ChatTemplateError::Jinja {
        path: path.to_owned(),
        source,
    })?;
    Ok(template)
}

/// Whether a text is a template; `name` is for the error.
///
/// # Errors
/// Where it is none: the line and the reason.
pub fn parse(name: &str, template: &str) -> Result<(), minijinja::Error> {
    minijinja::Environment::new().add_template(name, &without_generation_tags(template))
}

/// transformers marks what the assistant says with `{% generation %}`, for training. It prints
/// nothing, and minijinja does not know it: it becomes an `if` that is always true.
pub fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else {
            break;
        };
        let (before, tag) = (&rest[..start], &rest[start + 2..start + length]);
        let sign = |c: char| c == '-' || c == '+';
        let statement = tag.trim_matches(sign);
        let replacement = match statement.trim() {
            "generation" => Some(" if true "),
            "endgeneration" => Some(" endif "),
            _ => None,
        };
        out.push_str(before);
        out.push_str("{%");
        match replacement {
            Some(replacement) => {
                out.extend(tag.chars().next().filter(|&c| sign(c)));
                out.push_str(replacement);
                out.extend(tag.chars().last().filter(|&c| sign(c)));
            }
            None => out.push_str(tag),
        }
        out.push_str("%}");
        rest = &rest[start + length + 2..];
    }
    out + rest
}

/// Whether any of `names` (a folder, a model's name, base models of a card) is that of a Swallow
/// model. Those are trained on one of two prompts, so a checkpoint of theirs that brings no
/// template is better off with one of ours.
pub fn is_swallow(names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| name.to_lowercase().contains("swallow"))
}

fn unknown(found: &str) -> ChatTemplateError {
    let names: Vec<String> = NAMES.iter().map(|name| format!("`{name}`")).collect();
    let nearest = nearest::of(found, NAMES);
    ChatTemplateError::Unknown {
        found: found.to_owned(),
        expected: names.join(", "),
        hint: nearest.map_or(String::new(), |name| format!("; is `{name}` meant?")),
    }
}

// One line each, and line ends only as `\n` in strings: some programs take a line end after a tag
// out of a template and others do not, and these come out the same in both.

/// The prompt of Swallow-MoE-2x13B. A system message goes before the first instruction; turns
/// follow one another as they do within a turn, a line each.
const SWALLOW: &str = concat!(
    "{% for message in messages %}",
    "{% if message['role'] == 'system' %}{{ message['content'] | trim }}{{ '\\n' }}",
    "{% elif message['role'] == 'user' %}{{ '### 指示:\\n' }}{{ message['content'] | trim }}{{ '\\n' }}",
    "{% elif message['role'] == 'assistant' %}{{ '### 応答:\\n' }}{{ message['content'] | trim }}{{ '\\n' }}",
    "{% endif %}{% endfor %}",
    "{% if add_generation_prompt %}{{ '### 応答:\\n' }}{% endif %}",
);

/// The prompt of the dense models that Swallow-MoE-2x13B is made of: the same after a preamble,
/// whose place a system message takes.
const SWALLOW_INSTRUCT: &str = concat!(
    "{% if messages[0]['role'] != 'system' %}",
    "{{ '以下に、あるタスクを説明する指示があり、それに付随する入力が更なる文脈を提供しています。",
    "リクエストを適切に完了するための回答を記述してください。\\n' }}",
    "{% endif %}",
    "{% for message in messages %}",
    "{% if message['role'] == 'system' %}{{ message['content'] | trim }}{{ '\\n' }}",
    "{% elif message['role'] == 'user' %}{{ '### 指示:\\n' }}{{ message['content'] | trim }}{{ '\\n' }}",
    "{% elif message['role'] == 'assistant' %}{{ '### 応答:\\n' }}{{ message['content'] | trim }}{{ '\\n' }}",
    "{% endif %}{% endfor %}",
    "{% if add_generation_prompt %}{{ '### 応答:\\n' }}{% endif %}",
);

/// The prompt of Llama-2-Chat. A system message stands within the first instruction. Each turn is
/// a text of its own, so that all but the first bring the tokens around a text with them.
const LLAMA_2: &str = concat!(
    "{% set turns = namespace(first=true, system='') %}",
    "{% for message in messages %}",
    "{% if message['role'] == 'system' %}{% set turns.system = message['content'] | trim %}",
    "{% elif message['role'] == 'user' %}",
    "{% if not turns.first %}{{ '<s>' }}{% endif %}{% set turns.first = false %}",
    "{{ '[INST] ' }}",
    "{% if turns.system %}{{ '<<SYS>>\\n' }}{{ turns.system }}{{ '\\n<</SYS>>\\n\\n' }}",
    "{% set turns.system = '' %}{% endif %}",
    "{{ message['content'] | trim }}{{ ' [/INST]' }}",
    "{% elif message['role'] == 'assistant' %}{{ ' ' }}{{ message['content'] | trim }}{{ ' </s>' }}",
    "{% endif %}{% endfor %}",
);

/// ChatML. A system message is a turn like the others.
const CHATML: &str = concat!(
    "{% for message in messages %}",
    "{{ '<|im_start|>' }}{{ message['role'] }}{{ '\\n' }}",
    "{{ message['content'] | trim }}{{ '<|im_end|>\\n' }}",
    "{% endfor %}",
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
);

#[cfg(test)]
mod tests;
