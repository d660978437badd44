use minijinja::{Environment, Value, context, syntax::SyntaxConfig};

use super::*;

/// Renders as Hugging Face's tokenizers do (`trimmed`), and without their settings.
fn render(template: &str, messages: &[(&str, &str)], add_generation_prompt: bool) -> String {
    let messages: Vec<Value> = messages
        .iter()
        .map(|&(role, content)| context! { role, content })
        .collect();
    let [trimmed, plain] = [true, false].map(|trim| {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(trim)
            .lstrip_blocks(trim)
            .build();
        environment.set_syntax(syntax.expect("a syntax"));
        environment
            .add_template("chat", template)
            .expect("a template");
        let chat = environment.get_template("chat").expect("the template");
        let messages = messages.clone();
        chat.render(context! { messages, add_generation_prompt })
            .expect("a prompt")
    });
    assert_eq!(
        trimmed, plain,
        "the settings of the environment must not matter"
    );
    plain
}

const ONE: [(&str, &str); 1] = [("user", "日本の首都は?")];
const MANY: [(&str, &str); 4] = [
    ("system", "短く。"),
    ("user", "一つ目"),
    ("assistant", "答え"),
    ("user", "二つ目\n"),
];

#[test]
fn swallow_is_the_prompt_of_the_model_card() {
    let swallow = by_name("swallow").unwrap();
    assert_eq!(
        render(swallow, &ONE, true),
        "### 指示:\n日本の首都は?\n### 応答:\n"
    );
    assert_eq!(
        render(swallow, &MANY, true),
        "短く。\n### 指示:\n一つ目\n### 応答:\n答え\n### 指示:\n二つ目\n### 応答:\n"
    );
    assert_eq!(render(swallow, &ONE, false), "### 指示:\n日本の首都は?\n");
}

#[test]
fn swallow_instruct_begins_with_a_preamble_or_the_system_message() {
    let instruct = by_name("swallow-instruct").unwrap();
    assert_eq!(
        render(instruct, &ONE, true),
        "以下に、あるタスクを説明する指示があり、それに付随する入力が更なる文脈を提供しています。リクエストを適切に完了するための回答を記述してください。\n### 指示:\n日本の首都は?\n### 応答:\n"
    );
    assert_eq!(
        render(instruct, &MANY, true),
        "短く。\n### 指示:\n一つ目\n### 応答:\n答え\n### 指示:\n二つ目\n### 応答:\n"
    );
}

#[test]
fn llama_2_has_the_system_message_within_the_first_instruction() {
    let llama = by_name("llama-2").unwrap();
    assert_eq!(render(llama, &ONE, true), "[INST] 日本の首都は? [/INST]");
    assert_eq!(
        render(llama, &MANY, true),
        "[INST] <<SYS>>\n短く。\n<</SYS>>\n\n一つ目 [/INST] 答え </s><s>[INST] 二つ目 [/INST]"
    );
}

#[test]
fn chatml_opens_the_turn_of_the_assistant() {
    let chatml = by_name("chatml").unwrap();
    assert_eq!(
        render(chatml, &MANY[..2], true),
        "<|im_start|>system\n短く。<|im_end|>\n<|im_start|>user\n一つ目<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(
        render(chatml, &ONE, false),
        "<|im_start|>user\n日本の首都は?<|im_end|>\n"
    );
}

#[test]
fn a_template_is_one_of_the_names_or_a_file() {
    for name in NAMES {
        assert_eq!(load(name).unwrap(), by_name(name).unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.jinja");
    let load_bytes = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        load(path.to_str().unwrap())
    };
    assert_eq!(
        load_bytes(b"{{ messages }}\r\n").unwrap(),
        "{{ messages }}\r\n"
    );
    assert!(matches!(
        load_bytes(b"{% if"),
        Err(ChatTemplateError::Jinja { .. })
    ));
    assert!(matches!(
        load_bytes(b"ab\xFF"),
        Err(ChatTemplateError::File {
            problem: FileProblem::Utf8 { offset: 2 },
            ..
        })
    ));
    let large = vec![b' '; (1 << 20) + 1];
    assert!(load_bytes(&large[1..]).is_ok());
    assert!(matches!(
        load_bytes(&large),
        Err(ChatTemplateError::File {
            problem: FileProblem::TooLarge { .. },
            ..
        })
    ));
    assert_eq!(
        load("alpaca").unwrap_err().to_string(),
        "no chat template `alpaca`: expected `swallow`, `swallow-instruct`, `llama-2`, `chatml`, `mistral-v1`, `mistral-v3`, `mistral-v3-tekken`, `mistral-v7`, `mistral-v7-tekken` or a Jinja file"
    );
    assert!(matches!(
        load(dir.path().to_str().unwrap()),
        Err(ChatTemplateError::File {
            problem: FileProblem::NotAFile("a folder"),
            ..
        })
    ));
}

#[test]
fn swallow_is_known_by_its_name() {
    assert!(is_swallow(&[
        "model",
        "tokyotech-llm/Swallow-13b-instruct-hf"
    ]));
    assert!(is_swallow(&["./Superswallow-13b-v0.2"]));
    assert!(!is_swallow(&["Llama-2-13b", ""]));
    assert!(!is_swallow(&[]));
}
