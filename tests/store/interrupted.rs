//! Conversions into the store that end early, and are gone on with.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use swallow_gguf::synthetic::Sizes;

use super::{Home, NOWHERE, Said};
use crate::support::{checkpoint, converted, small_moe};

/// A home with a checkpoint whose GGUF is written in several spans.
pub(crate) fn home() -> Home {
    let home = Home::new(NOWHERE);
    let mut spec = small_moe();
    spec.sizes = Sizes {
        num_hidden_layers: 2,
        hidden_size: 1024,
        intermediate_size: 2816,
        num_attention_heads: 8,
        num_key_value_heads: 8,
        vocab_size: 300,
        num_local_experts: 4,
    };
    checkpoint(home.dir.path(), "Large", &spec);
    home
}

/// Waits until something of the file of the only model is noted in its journal.
pub(crate) fn wait_for_a_span(home: &Home) {
    let began = Instant::now();
    loop {
        let folders = fs::read_dir(home.path("models")).into_iter().flatten();
        let files =
            folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).into_iter().flatten());
        let noted = files.map(|file| file.unwrap().path()).any(|path| {
            path.extension().is_some_and(|e| e == "journal")
                && fs::read_to_string(path).is_ok_and(|text| text.lines().count() > 1)
        });
        if noted {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "nothing is written"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn stopped_by(home: &Home, signal: Signal) -> Said {
    let mut command = home.run_command("Large", &["--type", "q8_0"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_a_span(home);
    kill_process(Pid::from_child(&child), signal).unwrap();
    Said::of(&child.wait_with_output().unwrap())
}

#[test]
fn what_is_there_is_gone_on_with() {
    let home = home();
    let expected = converted(&home.path("Large"), &home.path("x.gguf"), &["-t", "q8_0"]);
    for signal in [Signal::INT, Signal::KILL] {
        let said = stopped_by(&home, signal);
        let name = home.names().remove(0);
        if signal == Signal::INT {
            assert_eq!(said.code, Some(130), "{said:?}");
            let last = said.stderr.lines().last().unwrap();
            assert!(last.starts_with("error: interrupted: ") && last.ends_with(&format!(
                "of `{name}` are kept, and the same command goes on from there (`swallow-gguf models rm {name}` removes them)"
            )), "{last}");
        }
        assert_eq!(home.listed()[0]["finished"], false, "{said:?}");
        // Unasked, it is the type that was begun, though a larger one fits.
        let said = home.runs("Large", &[]);
        assert!(
            said.contains("going on where an earlier conversion was ended"),
            "{said}"
        );
        assert!(fs::read(home.file()).unwrap() == expected);
        assert_eq!(home.models(&["rm", &name]).code, Some(0));
    }
}

#[test]
fn a_full_disk_keeps_what_is_there() {
    let home = home();
    let expected = converted(&home.path("Large"), &home.path("x.gguf"), &["-t", "q8_0"]);
    let inner = home.run_command("Large", &["--type", "q8_0"]);
    // Files of at most 50 MiB, in the place of a disk of that size.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 102400; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(home.dir.path())
        .stdin(Stdio::null());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let said = Said::of(&limited.output().unwrap());
    assert!(said.error().starts_with("cannot write `"), "{said:?}");
    assert_eq!(home.listed()[0]["finished"], false);
    let said = home.runs("Large", &[]);
    assert!(
        said.contains("going on where an earlier conversion was ended"),
        "{said}"
    );
    assert!(fs::read(home.file()).unwrap() == expected);
}
