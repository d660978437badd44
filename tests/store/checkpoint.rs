//! A checkpoint in a folder.

use std::{fs, process::Stdio, time::Duration};

use swallow_gguf::{
    convert::{CheckpointOptions, CheckpointSource, Conversion, OUTPUT_VERSION},
    file_type::FileType,
    plan::{ConversionPlan, Fitting},
    store::{choice, fingerprint},
    synthetic,
};

use super::{Home, NOWHERE, Said, stamp};
use crate::support::{checkpoint, converted, small_moe, text};

#[test]
fn a_folder_that_is_none_is_told_as_convert_tells_it() {
    let home = Home::new(NOWHERE);
    fs::create_dir(home.path("empty")).unwrap();
    let error = home.fails("empty", &[]);
    assert!(
        error.ends_with("empty` is not a checkpoint folder: it is empty"),
        "{error}"
    );
    fs::create_dir(home.path("ggufs")).unwrap();
    fs::write(home.path("ggufs/a.gguf"), "").unwrap();
    let error = home.fails("ggufs", &[]);
    assert!(error.contains("such as `ggufs/a.gguf`"), "{error}");
}

#[test]
fn it_is_converted_once() {
    let home = Home::new(NOWHERE);
    let folder = home.checkpoint("Moe");
    let first = home.run("Moe", &[]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first
            .stderr
            .contains("Q8_0 is the largest type that fits: "),
        "{first:?}"
    );
    assert!(first.stderr.contains("converting Moe ("), "{first:?}");
    let file = home.file();
    let expected = converted(&folder, &home.path("x.gguf"), &["-t", "q8_0"]);
    assert!(fs::read(&file).unwrap() == expected);

    let before = stamp(&file);
    for model in [folder.to_str().unwrap(), "./Moe", "Moe/"] {
        let again = home.run(model, &[]);
        assert_eq!((again.code, &again.stdout), (Some(0), &first.stdout));
        let name = &home.names()[0];
        assert_eq!(
            again.stderr,
            format!("`{name}` is in the store, and fits\n")
        );
        assert_eq!(stamp(&file), before);
    }
    // The type that is there, asked for.
    assert_eq!(home.runs("Moe", &["--type", "q8_0"]), "");
    // Another one is another model; the larger is taken unasked.
    assert!(
        home.runs("Moe", &["--type", "Q4_K_M"])
            .contains("(Q4_K_M, ")
    );
    assert_eq!(home.names().len(), 2);
    assert!(home.runs("Moe", &[]).contains("-Q8_0` is in the store"));
    // And so is one with other knobs, which is named apart.
    home.runs("Moe", &["--type", "q4_k_m", "--experts-type", "q8_0"]);
    let names = home.names();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[1], format!("{}-2", names[0]));
    let mut option = home.command(&["run", "-m", "Moe", "--raw", "-p", "a", "-n", "1"]);
    let option = Said::of(
        &option
            .args(["-t", "1", "--type", "q4_k_m"])
            .output()
            .unwrap(),
    );
    assert_eq!((option.code, option.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_first_type_that_fits_is_planned() {
    let home = Home::new(NOWHERE);
    let options = CheckpointOptions {
        source: CheckpointSource::Folder(home.checkpoint("Moe")),
        wishes: FileType::F32.into(),
        chat_template: None,
        pre: None,
    };
    let planned = |bytes: u64, types: &[FileType]| {
        let fits = |plan: &ConversionPlan| plan.file_bytes() <= bytes;
        let fitting = Fitting { types, fits: &fits };
        let plan = Conversion::of_checkpoint_fitting(&options, &fitting)
            .unwrap()
            .plan;
        (plan.file_type, plan.file_bytes())
    };
    let mut most = u64::MAX;
    for ty in choice::TYPES {
        let (found, bytes) = planned(most, &choice::TYPES);
        assert_eq!(found, ty);
        // What is planned is what is written.
        assert_eq!(planned(u64::MAX, &[ty]), (ty, bytes));
        most = bytes - 1;
    }
    // Nothing fits: the smallest. One that was there before comes first.
    assert_eq!(planned(most, &choice::TYPES).0, choice::SMALLEST);
    assert_eq!(
        planned(u64::MAX, &choice::order(&[FileType::Q4_K_S])).0,
        FileType::Q4_K_S
    );
}

#[test]
fn one_that_changed_is_converted_anew() {
    let home = Home::new(NOWHERE);
    let folder = home.checkpoint("Moe");
    home.runs("Moe", &["--type", "q4_k_m"]);
    let file = home.file();
    let old = fs::read(&file).unwrap();
    // Files that are none of its own.
    fs::write(folder.join("Moe-Q4_K_M.gguf"), "x").unwrap();
    fs::write(folder.join(".gitattributes"), "x").unwrap();
    assert_eq!(home.runs("Moe", &["--type", "q4_k_m"]), "");

    fs::remove_dir_all(&folder).unwrap();
    let mut spec = small_moe();
    spec.seed = 2;
    synthetic::write(&folder, &spec).unwrap();
    let said = home.runs("Moe", &[]);
    assert!(
        said.contains("Moe` has changed: converting it anew, `"),
        "{said}"
    );
    // To the type that it had, not to the largest.
    assert!(said.contains("Q4_K_M"), "{said}");
    let new = fs::read(home.file()).unwrap();
    assert!(new != old);
    assert!(new == converted(&folder, &home.path("x.gguf"), &["-t", "q4_k_m"]));
    assert!(!home.runs("Moe", &[]).contains("anew"));
}

#[test]
fn a_model_of_another_version_is_converted_anew() {
    let home = Home::new(NOWHERE);
    home.checkpoint("Moe");
    home.runs("Moe", &[]);
    let record = home.file().with_file_name("entry.json");
    let text = fs::read_to_string(&record).unwrap();
    let other = text.replace(&format!("\"version\": {OUTPUT_VERSION}"), "\"version\": 0");
    assert_ne!(text, other);
    fs::write(&record, other).unwrap();
    let said = home.runs("Moe", &[]);
    assert!(said.contains("another version of this program"), "{said}");
    // A record that is damaged is none.
    fs::write(&record, &text[..text.len() / 2]).unwrap();
    assert!(home.runs("Moe", &[]).contains("converting Moe"));
}

#[test]
fn a_file_that_is_gone_or_cut_is_made_again() {
    let home = Home::new(NOWHERE);
    home.checkpoint("Moe");
    home.runs("Moe", &[]);
    let file = home.file();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    home.runs("Moe", &[]);
    assert!(fs::read(home.file()).unwrap() == whole);
    fs::remove_file(home.file()).unwrap();
    home.runs("Moe", &[]);
    assert!(fs::read(home.file()).unwrap() == whole);
}

#[test]
fn two_runs_at_once_convert_once() {
    let home = Home::new(NOWHERE);
    home.checkpoint("Moe");
    let start = || {
        home.run_command("Moe", &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let both = [start().unwrap(), start().unwrap(), start().unwrap()];
    let said = both.map(|child| Said::of(&child.wait_with_output().unwrap()));
    let made = said.iter().filter(|said| said.stderr.contains("made `"));
    assert_eq!(made.count(), 1, "{said:?}");
    for one in &said {
        assert_eq!(
            (one.code, &one.stdout),
            (Some(0), &said[0].stdout),
            "{said:?}"
        );
    }
}

#[test]
fn one_that_another_converts_is_waited_for() {
    let home = Home::new(NOWHERE);
    let folder = fs::canonicalize(home.checkpoint("Moe")).unwrap();
    let locks = home.path("models/.locks");
    fs::create_dir_all(&locks).unwrap();
    let lock = locks.join(fingerprint::of_text(folder.to_str().unwrap()));
    let lock = fs::File::create(lock).unwrap();
    lock.lock().unwrap();
    let errors = home.path("errors");
    let mut waiting = home.run_command("Moe", &[]);
    let mut waiting = waiting
        .stderr(fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&errors).unwrap();
    let began = std::time::Instant::now();
    while !said().contains("is being converted by another process, waiting for it") {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", said());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(waiting.try_wait().unwrap().is_none());
    lock.unlock().unwrap();
    assert!(waiting.wait().unwrap().success(), "{}", said());
    assert!(said().contains("made `"));
}

#[test]
fn what_has_no_prompt_for_a_chat_is_not_converted_first() {
    let home = Home::new(NOWHERE);
    home.checkpoint("Moe");
    let chat = |args: &[&str]| {
        let mut command = home.command(&["run", "Moe", "-p", "a", "-n", "1", "-t", "1"]);
        Said::of(&command.args(args).output().unwrap())
    };
    let error = chat(&[]).error();
    assert!(
        error.contains("Moe` has no chat template: choose"),
        "{error}"
    );
    let error = chat(&["--chat-template", "chatm"]).error();
    assert!(error.contains("is `chatml` meant?"), "{error}");
    assert!(home.names().is_empty());
    let said = chat(&["--chat-template", "chatml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn what_cannot_be_converted() {
    let home = Home::new(NOWHERE);
    let folder = checkpoint(home.dir.path(), "Moe", &small_moe());
    let gguf = converted(&folder, &home.path("x.gguf"), &["-t", "q4_k_m"]);
    fs::write(folder.join("config.json"), "{").unwrap();
    let error = home.fails("Moe", &[]);
    assert!(error.contains("config.json`: broken JSON"), "{error}");
    assert!(home.names().is_empty());
    for (model, args, expected) in [
        (
            "x.gguf",
            &["--type", "q8_0"][..],
            "`--type` is for what is converted or chosen first, and `x.gguf` is a GGUF file: `quantize` makes another of it",
        ),
        (
            "x.gguf",
            &["-m", "y.gguf"],
            "two models are given, `x.gguf` and `-m y.gguf`: expected one",
        ),
        ("y.yml", &[], "there is no recipe `y.yml`"),
    ] {
        assert_eq!(home.fails(model, args), expected);
    }
    let mut none = home.command(&["run", "-p", "x"]);
    let none = Said::of(&none.output().unwrap());
    assert!(
        none.error()
            .starts_with("no model is given, expected a GGUF file, "),
        "{none:?}"
    );
    assert!(!gguf.is_empty());
    let mut wrong = home.run_command("x.gguf", &["--type", "q9"]);
    let wrong = wrong.output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        text(&wrong.stderr).contains("`q9` is not a file type"),
        "{}",
        text(&wrong.stderr)
    );
}
