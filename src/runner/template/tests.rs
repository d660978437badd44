use std::ffi::CString;

use super::*;
use crate::model::chat_template;

fn special() -> SpecialTokens {
    SpecialTokens {
        bos: "<s>".to_owned(),
        eos: "</s>".to_owned(),
    }
}

fn render(source: &str, messages: &[Message]) -> Result<String, TemplateError> {
    Template::new("test", source, special())?.render(messages)
}

fn messages(said: &[(Role, &str)]) -> Vec<Message> {
    let message = |&(role, content): &(Role, &str)| Message::new(role, content);
    said.iter().map(message).collect()
}

fn one(content: &str) -> Vec<Message> {
    messages(&[(Role::User, content)])
}

use Role::{Assistant, System, User};

/// As SmolLM2 and many others carry it: a default system message, ChatML around each message.
const CHATML_WITH_DEFAULT: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are kind<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

#[test]
fn chatml_with_a_default_system_message() {
    assert_eq!(
        render(CHATML_WITH_DEFAULT, &one("Hi")).unwrap(),
        "<|im_start|>system\nYou are kind<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
    let talk = messages(&[
        (System, "Be brief"),
        (User, "a"),
        (Assistant, "b"),
        (User, "c"),
    ]);
    assert_eq!(
        render(CHATML_WITH_DEFAULT, &talk).unwrap(),
        "<|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n"
    );
}

/// The shape of Llama-2's: slices, `raise_exception`, methods of Python's strings, BOS per turn.
const LLAMA_2: &str = "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if loop.index0 == 0 and system_message != false %}
        {%- set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
    {%- else %}
        {%- set content = message['content'] %}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' ' + content.strip() + ' ' + eos_token }}
    {%- endif %}
{%- endfor %}";

#[test]
fn llama_2() {
    let talk = messages(&[(System, "S"), (User, " a "), (Assistant, "b"), (User, "c")]);
    assert_eq!(
        render(LLAMA_2, &talk).unwrap(),
        "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\n a [/INST] b </s><s>[INST] c [/INST]"
    );
}

#[test]
fn the_built_in_prompts() {
    let by_name = |name: &str, said: &[(Role, &str)]| {
        let source = chat_template::by_name(name).unwrap();
        render(source, &messages(said)).unwrap()
    };
    let one: &[_] = &[(User, "首都は?")];
    let talk: &[_] = &[(User, "a"), (Assistant, "b"), (User, "c")];
    assert_eq!(by_name("swallow", one), "### 指示:\n首都は?\n### 応答:\n");
    assert_eq!(
        by_name("swallow", talk),
        "### 指示:\na\n### 応答:\nb\n### 指示:\nc\n### 応答:\n"
    );
    let instruct = by_name("swallow-instruct", one);
    assert!(instruct.starts_with("以下に、あるタスクを説明する指示があり"));
    assert!(instruct.ends_with("記述してください。\n### 指示:\n首都は?\n### 応答:\n"));
    assert_eq!(
        by_name("llama-2", talk),
        "[INST] a [/INST] b </s><s>[INST] c [/INST]"
    );
    assert_eq!(
        by_name("chatml", one),
        "<|im_start|>user\n首都は?<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn what_a_template_refuses_is_said_with_name_and_line() {
    let twice = messages(&[(User, "a"), (User, "b")]);
    let error = render(LLAMA_2, &twice).unwrap_err();
    assert_eq!(
        error.to_string(),
        "chat template `test`, line 4: Conversation roles must alternate user/assistant/user/assistant/..."
    );
}

#[test]
fn a_broken_template_is_said_with_name_and_line() {
    let error = Template::new("x.jinja", "a\n{% if %}", special()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("chat template `x.jinja`, line 2: "),
        "{text}"
    );
}

#[test]
fn blocks_are_trimmed_as_transformers_does() {
    let source = "  {% for m in messages %}\n[{{ m.content }}]\n  {% endfor %}\nend\n";
    assert_eq!(render(source, &one("x")).unwrap(), "[x]\nend");
}

#[test]
fn values_print_as_python_prints_them() {
    let source = "{{ none }} {{ true }} {{ 1 == 2 }} {{ 1.0 }} {{ 'a' }}";
    assert_eq!(render(source, &[]).unwrap(), "None True False 1.0 a");
}

#[test]
fn tojson_is_pythons() {
    let source = "{{ {'b': [1, 2.5, none], 'a': '<\"燕\">'} | tojson }}";
    assert_eq!(
        render(source, &[]).unwrap(),
        "{\"b\": [1, 2.5, null], \"a\": \"<\\\"燕\\\">\"}"
    );
    let source = "{{ {'a': [1]} | tojson(indent=4) }}";
    assert_eq!(
        render(source, &[]).unwrap(),
        "{\n    \"a\": [\n        1\n    ]\n}"
    );
    assert_eq!(
        render("{{ messages | tojson }}", &one("a")).unwrap(),
        "[{\"role\": \"user\", \"content\": \"a\"}]"
    );
}

#[test]
fn the_date_of_today() {
    let today = jiff::ZonedDateTime::now().strftime("%d %b %Y").to_string();
    assert_eq!(
        render("{{ strftime_now('%d %b %Y') }}", &[]).unwrap(),
        today
    );
    assert!(render("{{ strftime_now('%') }}", &[]).is_err());
}

#[test]
fn tags_for_training_print_nothing() {
    let source = "{% for m in messages %}a{%- generation -%} {{ m.content }} {%- endgeneration %}b{% endfor %}";
    assert_eq!(render(source, &one("x")).unwrap(), "axb");
    assert_eq!(
        render("{{ '{% generation' }}", &[]).unwrap(),
        "{% generation"
    );
}

#[test]
fn a_template_without_end_is_stopped() {
    let source = "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}{% endfor %}{% endfor %}{% endfor %}";
    let error = render(source, &[]).unwrap_err();
    assert!(error.reason.contains("fuel"), "{error}");
}

#[test]
fn whether_a_system_message_has_a_place() {
    let takes = |source: &str| {
        Template::new("t", source, special())
            .unwrap()
            .takes_system()
    };
    assert!(takes(CHATML_WITH_DEFAULT));
    assert!(takes(LLAMA_2));
    assert!(!takes("{{ messages[-1].content }}"));
    assert!(!takes(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    ));
}

#[test]
fn a_swallow_prompt_stops_where_the_model_asks_itself() {
    let swallow = Template::new(
        "t",
        "### 指示:\n{{ messages[-1].content }}\n### 応答:\n",
        special(),
    );
    assert_eq!(swallow.unwrap().stop_strings(), ["### 指示:"]);
    let chatml = Template::new("t", CHATML_WITH_DEFAULT, special()).unwrap();
    assert!(chatml.stop_strings().is_empty());
}

/// What llama.cpp makes of messages with a template that it knows by name.
fn llama_cpp(name: &str, said: &[Message]) -> String {
    let c = |text: &str| CString::new(text).unwrap();
    let role = |role| match role {
        System => "system",
        User => "user",
        Assistant => "assistant",
    };
    let texts: Vec<_> = said
        .iter()
        .map(|message| (c(role(message.role)), c(&message.content)))
        .collect();
    let chat: Vec<_> = texts
        .iter()
        .map(|(role, content)| llama_cpp_sys_2::llama_chat_message {
            role: role.as_ptr(),
            content: content.as_ptr(),
        })
        .collect();
    let name = c(name);
    let mut buffer = vec![0u8; 4096];
    // SAFETY: the name and the messages are C strings that live on, the buffer is as long as we say.
    let length = unsafe {
        llama_cpp_sys_2::llama_chat_apply_template(
            name.as_ptr(),
            chat.as_ptr(),
            chat.len(),
            true,
            buffer.as_mut_ptr().cast(),
            buffer.len() as i32,
        )
    };
    buffer.truncate(usize::try_from(length).unwrap());
    String::from_utf8(buffer).unwrap()
}

#[test]
fn names_of_llama_cpp_are_its_prompts() {
    let talks = [
        one("Hi"),
        messages(&[(System, "S"), (User, "a"), (Assistant, "b"), (User, "c\n")]),
        messages(&[
            (User, "a"),
            (Assistant, " b"),
            (User, "c"),
            (Assistant, "d"),
            (User, " e"),
        ]),
    ];
    let names = chat_template::NAMES.iter();
    let names: Vec<_> = names.filter(|name| name.starts_with("mistral-")).collect();
    assert_eq!(names.len(), 5);
    for name in names {
        for talk in &talks {
            let ours = render(chat_template::embedded(name), talk).unwrap();
            assert_eq!(ours, llama_cpp(name, talk), "{name}");
        }
    }
    assert_eq!(chat_template::embedded("{{ x }}"), "{{ x }}");
    assert_eq!(chat_template::embedded("mistral-v9"), "mistral-v9");
}
