//! A checkpoint whose writing is killed, and goes on.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use swallow_gguf::synthetic::{Sizes, Spec};

use super::{RANDOM, dense, recipe, write_checkpoint};
use crate::support::{checkpoint, skip, swallow_gguf, text};

#[test]
fn a_checkpoint_that_was_killed_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    for (seed, name) in [(1, "one"), (2, "two")] {
        let sizes = Sizes {
            hidden_size: 2048,
            intermediate_size: 5632,
            num_attention_heads: 16,
            num_key_value_heads: 16,
            ..dense(seed).sizes
        };
        checkpoint(
            dir.path(),
            name,
            &Spec {
                sizes,
                ..dense(seed)
            },
        );
    }
    let path = recipe(dir.path(), RANDOM);
    let expected = dir.path().join("expected");
    write_checkpoint(&path, &expected, &["--shard-size", "150M"]);

    let folder = dir.path().join("merged");
    let start = || -> Child {
        swallow_gguf()
            .arg("merge")
            .arg(&path)
            .args([
                "--shard-size",
                "150M",
                "--threads",
                "1",
                "--write-safetensors",
            ])
            .arg(&folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    // Within the second shard.
    let partial = dir.path().join(".merged.partial");
    let second = partial.join(".model-00002-of-00003.safetensors.partial");
    let mut child = start();
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::metadata(&second).map_or(0, |m| m.len()) < 50 << 20 {
        assert!(Instant::now() < deadline, "nothing is written");
        if child.try_wait().unwrap().is_some() {
            return skip(
                "a_checkpoint_that_was_killed_goes_on_where_it_stopped",
                "this machine is too fast to kill it on the way",
            );
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.exists());

    let run = start().wait_with_output().unwrap();
    let said = text(&run.stderr);
    assert!(run.status.success() && said.contains("going on"), "{said}");
    assert!(!partial.exists());
    let names = |dir: &Path| {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&expected), names(&folder));
    for name in names(&expected) {
        let [a, b] = [&expected, &folder].map(|dir| fs::read(dir.join(&name)).unwrap());
        assert!(a == b, "{name:?}");
    }
}
