//! Conversions that are killed, and go on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use swallow_gguf::synthetic::Sizes;
use tempfile::TempDir;

use crate::support::{checkpoint, converted, skip, small_moe, swallow_gguf, text};

/// A checkpoint of 350 MB, whose Q8_0 is written in a handful of spans.
struct Large {
    dir: TempDir,
    source: PathBuf,
    expected: Vec<u8>,
}

impl Large {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = small_moe();
        spec.sizes = Sizes {
            num_hidden_layers: 2,
            hidden_size: 2048,
            intermediate_size: 5632,
            num_attention_heads: 16,
            num_key_value_heads: 16,
            vocab_size: 1000,
            num_local_experts: 2,
        };
        let source = checkpoint(dir.path(), "Large", &spec);
        let path = dir.path().join("expected.gguf");
        let expected = converted(&source, &path, &["-t", "q8_0"]);
        fs::remove_file(path).unwrap();
        Self {
            dir,
            source,
            expected,
        }
    }

    fn output(&self) -> PathBuf {
        self.dir.path().join("out.gguf")
    }

    fn hidden(&self, ending: &str) -> PathBuf {
        self.dir.path().join(format!(".out.gguf.{ending}"))
    }

    fn start(&self, args: &[&str]) -> Child {
        swallow_gguf()
            .arg("convert")
            .arg(&self.source)
            .args(["--threads", "1", "-o"])
            .arg(self.output())
            .args(if args.contains(&"-t") {
                &[]
            } else {
                &["-t", "q8_0"][..]
            })
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Starts a conversion and kills it when it has written so many bytes; whether it got that far.
    fn killed_at(&self, bytes: u64) -> bool {
        let mut child = self.start(&[]);
        let deadline = Instant::now() + Duration::from_secs(60);
        let len = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
        while len(&self.hidden("partial")) < bytes {
            assert!(Instant::now() < deadline, "nothing is written");
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        !self.output().exists()
    }

    /// Runs a conversion to its end, and what it says.
    fn finish(&self, args: &[&str]) -> (Option<i32>, String) {
        let run = self.start(args).wait_with_output().unwrap();
        (run.status.code(), text(&run.stderr))
    }

    fn assert_whole(&self, case: &str) {
        assert!(fs::read(self.output()).unwrap() == self.expected, "{case}");
        for ending in ["partial", "journal"] {
            assert!(!self.hidden(ending).exists(), "{case}: {ending}");
        }
        fs::remove_file(self.output()).unwrap();
    }
}

#[test]
fn killed_ten_times_the_result_is_the_same() {
    let large = Large::new();
    let total = large.expected.len() as u64;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut resumed = 0;
    for round in 0..10 {
        // Killed twice before it may finish, so that what is gone on with was gone on with before.
        for _ in 0..2 {
            large.killed_at(random.random_range(0..total));
        }
        if large.output().exists() {
            large.assert_whole(&format!("round {round}, not killed"));
            continue;
        }
        let (code, said) = large.finish(&[]);
        assert_eq!(code, Some(0), "{said}");
        resumed += usize::from(said.contains("going on where an earlier conversion was ended"));
        large.assert_whole(&format!("round {round}: {said}"));
    }
    assert!(resumed >= 3, "only {resumed} of 10 went on");
}

#[test]
fn what_is_not_as_the_journal_has_it_is_written_again() {
    let large = Large::new();
    let total = large.expected.len() as u64;
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path, &Path));
    let damages: [Damage<'_>; 5] = [
        ("zeros in the first span", &|partial, _| {
            let mut bytes = fs::read(partial).unwrap();
            bytes[1 << 20..2 << 20].fill(0);
            fs::write(partial, bytes).unwrap();
        }),
        ("a partial file that is cut", &|partial, _| {
            let file = fs::File::options().write(true).open(partial).unwrap();
            file.set_len(40 << 20).unwrap();
        }),
        ("no partial file", &|partial, _| {
            fs::remove_file(partial).unwrap()
        }),
        ("a journal that is cut", &|_, journal| {
            let text = fs::read(journal).unwrap();
            fs::write(journal, &text[..text.len() - 9]).unwrap();
        }),
        ("a journal of noise", &|_, journal| {
            fs::write(journal, [7; 5000]).unwrap();
        }),
    ];
    for (case, damage) in damages {
        assert!(large.killed_at(total * 2 / 3), "{case}");
        damage(&large.hidden("partial"), &large.hidden("journal"));
        let (code, said) = large.finish(&[]);
        assert_eq!(code, Some(0), "{case}: {said}");
        large.assert_whole(case);
    }
}

#[test]
fn another_conversion_is_not_gone_on_with() {
    let large = Large::new();
    let total = large.expected.len() as u64;
    assert!(large.killed_at(total * 2 / 3));
    let (code, said) = large.finish(&["-t", "q4_0"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("was begun and not finished with Q8_0, now Q4_0")
            && said.contains("`--restart`"),
        "{said}"
    );
    let (code, said) = large.finish(&["--override-kv", "general.name=str:Other"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("with other weights or options"), "{said}");

    // A weight that changed since.
    let shard = large.source.join("model-00001-of-00002.safetensors");
    let bytes = fs::read(&shard).unwrap();
    fs::write(&shard, bytes).unwrap();
    let (code, said) = large.finish(&[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("with other weights or options"), "{said}");
    assert!(large.hidden("partial").exists());

    let (code, said) = large.finish(&["--restart"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("going on"), "{said}");
    large.assert_whole("restarted");
}

#[test]
fn the_checksum_of_a_resumed_conversion_is_that_of_the_file() {
    let large = Large::new();
    let total = large.expected.len() as u64;
    assert!(large.killed_at(total * 2 / 3));
    let (code, said) = large.finish(&["--checksum"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("going on"), "{said}");
    let check = std::process::Command::new("sha256sum")
        .current_dir(large.dir.path())
        .args(["--check", "out.gguf.sha256"])
        .output();
    match check {
        Ok(run) => assert_eq!(text(&run.stdout), "out.gguf: OK\n"),
        Err(error) => skip("the_checksum_of_a_resumed_conversion", &error.to_string()),
    }
    let before = fs::read(large.output()).unwrap();
    let (code, said) = large.finish(&["--checksum"]);
    assert_eq!(code, Some(1), "{said}");
    fs::remove_file(large.output()).unwrap();
    let (code, said) = large.finish(&["--checksum"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("out.gguf.sha256` exists"), "{said}");
    let (code, said) = large.finish(&["--checksum", "--force"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(fs::read(large.output()).unwrap() == before);
}

#[test]
fn two_processes_do_not_write_one_output() {
    let large = Large::new();
    let mut first = large.start(&[]);
    while !large.hidden("partial").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (code, said) = large.finish(&[]);
    // The first may be done by then; the second must not have disturbed it either way.
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("is being written by another process") || said.contains("exists"),
        "{said}"
    );
    assert!(first.wait().unwrap().success());
    large.assert_whole("first");
}

#[test]
fn a_model_in_parts_goes_on_in_the_right_part() {
    let large = Large::new();
    let args = ["--split-max-size", "50M"];
    let parts = |dir: &Path| -> Vec<(String, Vec<u8>)> {
        let mut parts: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("out-"))
            .map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        parts.sort();
        parts
    };
    let (code, said) = large.finish(&args);
    assert_eq!(code, Some(0), "{said}");
    let expected = parts(large.dir.path());
    assert!(expected.len() > 2);
    for (name, _) in &expected {
        fs::remove_file(large.dir.path().join(name)).unwrap();
    }

    let mut child = large.start(&args);
    let second = large.dir.path().join(format!(".{}.partial", expected[1].0));
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::metadata(&second).map_or(0, |m| m.len()) < 40 << 20 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, said) = large.finish(&args);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("going on"), "{said}");
    assert!(parts(large.dir.path()) == expected);
}
