//! llama.cpp's state: what is held is not read again, and what is damaged or of something else is not used.

use std::fs;

use swallow_gguf::runner::{
    ContextOptions, Conversation, LoadOptions, Model, ModelFile, Sampling, Session, SessionOptions,
    StateError, StateIdentity, Template,
};

use super::{Home, figures};
use crate::support::{checkpoint, converted, small_moe, smollm2};

const QUESTION: &str = "one two three four five six seven eight nine ten";

#[test]
fn a_chat_that_is_taken_up_reads_only_what_is_new() {
    let home = Home::new();
    let (_, first) = home.answer(&["--session", "c", "--stats", "-p", QUESTION]);
    let (read, held) = figures(&first);
    assert!(read > 20 && held == 0, "{first}");
    assert!(
        first.contains("state: ") && first.contains(" kept in "),
        "{first}"
    );

    let (answer, second) = home.answer(&["--session", "c", "--stats", "-p", "and?"]);
    let (new, held) = figures(&second);
    assert!(second.contains(" loaded in "), "{second}");
    // The whole prompt, and as much of the answer as the template repeats as it was said.
    assert!(held >= read && held < read + 6, "{second}");
    assert!(new < read, "{second}");

    // The same chat without a state says the same.
    let (again, _) = home.answer(&["--session", "d", "-p", QUESTION]);
    fs::remove_file(home.file("d.state")).unwrap();
    let (other, without) = home.answer(&["--session", "d", "--stats", "-p", "and?"]);
    assert_eq!(figures(&without), (new + held, 0), "{without}");
    assert_eq!(other, answer, "{again}");
    assert!(!without.contains(" loaded in "), "{without}");
}

/// A real vocabulary, in which a model writes a text in other tokens than the text is read in.
#[test]
fn a_real_answer_is_not_read_again() {
    let Some(model) = smollm2("a_real_answer_is_not_read_again") else {
        return;
    };
    let home = Home::new();
    let run = |prompt: &str, more: &[&str]| {
        let mut command = home.command(&["run", "-t", "1", "--temp", "0", "--stats", "-m"]);
        command
            .arg(&model)
            .args(["-p", prompt, "--session", "日本"])
            .args(more);
        super::succeeded(&command.output().unwrap())
    };
    let (_, first) = run("日本の首都はどこですか。", &["-n", "24"]);
    let (read, _) = figures(&first);
    let (_, second) = run("もう一度。", &["-n", "1"]);
    let (new, held) = figures(&second);
    assert!(held + 2 >= read + 23, "{first}{second}");
    assert!(new < 20, "{second}");
}

#[test]
fn a_state_of_something_else_is_thrown_away_and_the_text_is_kept() {
    let home = Home::new();
    let other = home.dir.path().join("other.jinja");
    fs::write(&other, format!("{}{}", super::TALKS, " ")).unwrap();
    let source = checkpoint(home.dir.path(), "other", &small_moe());
    let model = home.dir.path().join("other.gguf");
    converted(&source, &model, &["-t", "q8_0"]);
    let (other, model) = (other.to_str().unwrap(), model.to_str().unwrap());
    let cases: [(&[&str], &str); 4] = [
        (&["-c", "512"], "context size"),
        (&["--rope-freq-base", "20000"], "setting"),
        (&["--chat-template", other], "chat template"),
        (&["-m", model], "model"),
    ];
    for (args, what) in cases {
        home.answer(&["--session", what, "-p", QUESTION]);
        let asked = [&["--session", what, "--stats", "-p", "and?"], args].concat();
        let mut command = home.run(&asked);
        if ["model", "chat template"].contains(&what) {
            // Options that are given once.
            command = home.command(&["run", "-t", "1", "--temp", "0", "-n", "6", "--no-loop-stop"]);
            command.args(&asked);
            match what {
                "model" => command.arg("--chat-template").arg(&home.template),
                _ => command.arg("-m").arg(&home.model),
            };
        }
        let (_, stderr) = super::succeeded(&command.output().unwrap());
        assert!(
            stderr.contains(&format!("is of another {what}")),
            "{stderr}"
        );
        assert_eq!(figures(&stderr).1, 0, "{stderr}");
        let said = super::said(&home.file(&format!("{what}.jsonl")));
        assert_eq!(said.len(), 4);
        assert_eq!((said[0].1.as_str(), said[2].1.as_str()), (QUESTION, "and?"));
        assert_eq!(
            stderr.contains("was a chat with"),
            what == "model",
            "{stderr}"
        );
    }
}

#[test]
fn a_file_that_was_replaced_is_another_model() {
    let home = Home::new();
    home.answer(&["--session", "c", "-p", QUESTION]);
    // The same size and header, other weights.
    let mut bytes = fs::read(&home.model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].iter_mut().for_each(|byte| *byte ^= 1);
    fs::write(&home.model, bytes).unwrap();
    let (_, stderr) = home.answer(&["--session", "c", "--stats", "-p", "and?"]);
    assert!(stderr.contains("is of another model"), "{stderr}");
    assert_eq!(figures(&stderr).1, 0, "{stderr}");
}

#[test]
fn a_damaged_state_changes_nothing_but_time() {
    let home = Home::new();
    home.answer(&["--session", "c", "-p", QUESTION]);
    let files = ["c.jsonl", "c.state"].map(|name| fs::read(home.file(name)).unwrap());
    let (expected, _) = home.answer(&["--session", "c", "-p", "and?"]);
    let state = &files[1];
    let flipped = |at: usize| {
        let mut bytes = state.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let damaged = [
        Vec::new(),
        b"ggsq".to_vec(),
        state[..state.len() / 2].to_vec(),
        state[..state.len() - 1].to_vec(),
        vec![0; state.len()],
        vec![0xff; state.len()],
        [&state[..], b"\0"].concat(),
        [&state[..100], &state[101..]].concat(),
        flipped(8),
        flipped(state.len() / 2),
        flipped(state.len() - 30),
        flipped(state.len() - 20),
    ];
    for (nth, bytes) in damaged.iter().enumerate() {
        fs::write(home.file("c.jsonl"), &files[0]).unwrap();
        fs::write(home.file("c.state"), bytes).unwrap();
        let (answer, stderr) = home.answer(&["--session", "c", "--stats", "-p", "and?"]);
        assert_eq!(answer, expected, "{nth}");
        assert!(stderr.contains("is damaged: "), "{nth}: {stderr}");
        assert_eq!(figures(&stderr).1, 0, "{nth}");
    }
}

/// Through the library, because there are thousands of them.
#[test]
fn no_cut_or_changed_state_reaches_llama_cpp() {
    let home = Home::new();
    let file = ModelFile::open(&home.model).unwrap();
    // Kept for ever: freeing llama.cpp would pull the floor from under tests beside this one.
    let model: &'static Model = Box::leak(Box::new(
        Model::load(&file, &LoadOptions::default(), |_| {}).unwrap(),
    ));
    let options = SessionOptions {
        context: ContextOptions {
            size: Some(256),
            ..ContextOptions::default()
        },
        sampling: Sampling {
            temperature: 0.0,
            ..Sampling::default()
        },
        limit: Some(3),
        loop_stop: false,
        ..SessionOptions::default()
    };
    let mut session = Session::new(model, options).unwrap();
    let template = Template::new("test", super::TALKS, file.special.clone()).unwrap();
    let mut conversation = Conversation::new(template, None);
    conversation.ask("a b");
    session
        .answer(&mut conversation, |_| std::ops::ControlFlow::Continue(()))
        .unwrap();
    let identity = StateIdentity::new("model", "template", 256, "");
    let path = home.dir.path().join("whole.state");
    let saved = session.save_state(&path, &identity, 0).unwrap();
    assert_eq!(saved.tokens, session.held());
    let whole = fs::read(&path).unwrap();
    assert_eq!(saved.bytes, whole.len() as u64);
    let broken = home.dir.path().join("broken.state");
    let mut refuse = |bytes: &[u8], what: &str| {
        fs::write(&broken, bytes).unwrap();
        let error = session.load_state(&broken, &identity).unwrap_err();
        assert!(
            matches!(error, StateError::Damaged { .. }),
            "{what}: {error}"
        );
    };
    let tail = whole.len() - 600;
    let step = tail / 500;
    for end in (0..tail).step_by(step).chain(tail..whole.len()) {
        refuse(&whole[..end], &format!("cut at {end}"));
    }
    for at in (0..tail).step_by(step).chain(tail..whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        refuse(&bytes, &format!("byte {at} changed"));
    }
    let found = session.load_state(&path, &identity).unwrap();
    assert_eq!(found, saved);
    assert_eq!(session.held(), saved.tokens);
}

#[test]
fn what_the_context_has_no_room_for_is_kept() {
    let home = Home::new();
    let question = |nth: usize| format!("{nth} {}", "word ".repeat(20));
    let mut forgot = false;
    for nth in 0..5 {
        let asked = question(nth);
        let args = ["--session", "long", "-c", "256", "-p", &asked, "--stats"];
        let (_, stderr) = home.answer(&args);
        forgot |= stderr.contains("the context is full");
        // Also where turns were left out, the state begins as the next prompt does.
        if nth > 0 && !stderr.contains("the context is full") {
            assert!(figures(&stderr).1 > 50, "{stderr}");
        }
    }
    assert!(forgot);
    let said = super::said(&home.file("long.jsonl"));
    let asked: Vec<&String> = said
        .iter()
        .filter(|(role, _)| role == "user")
        .map(|(_, content)| content)
        .collect();
    assert_eq!(asked.len(), 5);
    assert!((0..5).all(|nth| *asked[nth] == question(nth)));
}
