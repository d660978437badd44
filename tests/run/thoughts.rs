//! Models that think before they answer.

use std::fs;

use super::{run, succeed};
use crate::support::{smollm2, text};

/// With this even a small model thinks: the prompt opens the thoughts, after two examples.
const TEMPLATE: &str = "\
{%- for m in messages -%}
{%- if m.role == 'user' -%}
Q: What is 2 + 2?
<think>
The sum of 2 and 2 is 4.
</think>
A: It is 4.

Q: What is 3 + 3?
<think>
The sum of 3 and 3 is 6.
</think>
A: It is 6.

Q: {{ m.content }}
{% endif -%}
{%- endfor -%}
<think>
";

#[test]
fn thoughts_are_no_part_of_the_answer() {
    let Some(model) = smollm2("thoughts_are_no_part_of_the_answer") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let template = dir.path().join("template.jinja");
    fs::write(&template, TEMPLATE).unwrap();
    let template = template.to_str().unwrap();
    let args = [
        "--temp",
        "0",
        "-c",
        "512",
        "-p",
        "What is 4 + 4?",
        "--chat-template",
        template,
    ];
    let stop = ["--stop", "\nQ:", "-n", "60"];
    let (answer, stderr) = succeed(&model, &[&args[..], &stop[..]].concat());
    assert!(answer.starts_with("A: It is "), "{answer:?}");
    assert!(!answer.contains("think"), "{answer:?}");
    assert_eq!(stderr, "", "nobody is there to see the thoughts");
    // A stop string in the thoughts ends nothing; `-n` counts all tokens.
    let (stopped, _) = succeed(
        &model,
        &[&args[..], &["--stop", "sum", "-n", "60"]].concat(),
    );
    assert!(stopped.starts_with("A: It is "), "{stopped:?}");
    let (none, why) = succeed(&model, &[&args[..], &["-n", "3"]].concat());
    assert_eq!(
        (none.as_str(), why.as_str()),
        ("", "the model thought, and gave no answer\n")
    );
    // As it is, the text has its marks.
    let prompt =
        "Q: What is 4 + 4?\n<think>\nIt is 8.\n</think>\nA: It is 8.\n\nQ: What is 5 + 5?\n<think>";
    let raw = run(&model)
        .args([
            "--temp", "0", "-c", "512", "--raw", "-n", "12", "-p", prompt,
        ])
        .output()
        .unwrap();
    assert!(text(&raw.stdout).contains("</think>"), "{raw:?}");
}

#[cfg(unix)]
#[test]
fn thoughts_are_seen_on_a_terminal_or_hidden() {
    use super::room::quit;
    use super::terminal::Terminal;

    let Some(model) = smollm2("thoughts_are_seen_on_a_terminal_or_hidden") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let template = dir.path().join("template.jinja");
    fs::write(&template, TEMPLATE).unwrap();
    for (more, dim) in [
        (&[][..], false),
        (&[][..], true),
        (&["--hide-thoughts"][..], true),
    ] {
        let mut command = run(&model);
        command
            .args(["--temp", "0", "-c", "512", "--stop", "\nQ:", "-n", "60"])
            .arg("--chat-template")
            .arg(&template)
            .args(more)
            .env("XDG_STATE_HOME", dir.path())
            .env("HOME", dir.path());
        let terminal = match dim {
            true => Terminal::new().run_in_colour(&mut command),
            false => Terminal::new().run(&mut command),
        };
        let mut chat = terminal;
        chat.terminal.wait_for("/help for help");
        chat.terminal.type_in("What is 4 + 4?\r");
        chat.terminal.wait_for("A: It is ");
        let shown = quit(chat);
        let thoughts = match (more.is_empty(), dim) {
            (true, true) => "\x1b[2mThe\x1b[0m\x1b[2m sum\x1b[0m",
            (true, false) => "thinking…\r\nThe sum of ",
            (false, _) => "",
        };
        assert!(shown.contains(thoughts), "{shown:?}");
        assert_eq!(shown.contains(" sum"), more.is_empty(), "{shown:?}");
        if more.is_empty() {
            let (_, after) = shown.split_once("sum").unwrap();
            let (end, _) = after.split_once("A: It is ").unwrap();
            let expected = if dim {
                "\r\n\r\n"
            } else {
                "\r\n… thought\r\n\r\n"
            };
            assert!(end.ends_with(expected), "{shown:?}");
        }
        assert!(!shown.contains("think>"), "{shown:?}");
    }
}
