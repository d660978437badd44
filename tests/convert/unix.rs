//! Interruption, full disks and permissions.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use swallow_gguf::synthetic::{Sizes, Spec};

use super::listing;
use crate::support::{checkpoint, convert, converted, skip, small_moe, swallow_gguf, text};

#[test]
fn ctrl_c_removes_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec {
        sizes: Sizes::target(2),
        shards: 1,
        sparse: true,
        ..small_moe()
    };
    let source = checkpoint(dir.path(), "Moe", &spec);
    let out_dir = dir.path().join("out");
    fs::create_dir(&out_dir).unwrap();
    let mut child = swallow_gguf()
        .arg("convert")
        .arg(&source)
        .args(["-t", "f32", "--threads", "1", "-o"])
        .arg(&out_dir)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    // Wait until it is in the middle of writing.
    let deadline = Instant::now() + Duration::from_secs(60);
    let written = || {
        let files = fs::read_dir(&out_dir).unwrap();
        files
            .map(|f| f.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    while written() < 1 << 20 {
        assert!(Instant::now() < deadline, "nothing was written");
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let run = child.wait_with_output().unwrap();
    let stderr = text(&run.stderr);
    assert_eq!(run.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("error: interrupted: nothing was written"),
        "{stderr}"
    );
    assert_eq!(listing(&out_dir), [""; 0]);
}

#[test]
fn a_write_that_fails_midway_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let out_dir = dir.path().join("out");
    fs::create_dir(&out_dir).unwrap();
    // A limit on the size of files fails a write as a full disk does. 512 bytes each.
    let run = Command::new("sh")
        .args([
            "-c",
            r#"trap "" XFSZ; ulimit -f 200; exec "$0" convert "$1" -o "$2""#,
        ])
        .arg(env!("CARGO_BIN_EXE_swallow-gguf"))
        .arg(&source)
        .arg(out_dir.join("out.gguf"))
        .output()
        .unwrap();
    let stderr = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: cannot write `"), "{stderr}");
    assert_eq!(listing(&out_dir), [""; 0]);
}

#[test]
fn a_full_disk_is_noticed_before_the_first_byte() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&disk)
        .output();
    if !mount.is_ok_and(|m| m.status.success()) {
        skip(
            "a_full_disk_is_noticed_before_the_first_byte",
            "cannot mount a tmpfs",
        );
        return;
    }
    let run = convert(&source, &disk.join("out.gguf"), &[]);
    let left = listing(&disk);
    assert!(
        Command::new("umount")
            .arg(&disk)
            .status()
            .unwrap()
            .success()
    );
    let stderr = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("not enough room in"), "{stderr}");
    assert_eq!(left, [""; 0]);
}

#[test]
fn the_result_has_the_permissions_of_an_ordinary_file() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkpoint(dir.path(), "Moe", &small_moe());
    let output = dir.path().join("out.gguf");
    converted(&source, &output, &[]);
    let ordinary = dir.path().join("ordinary");
    fs::write(&ordinary, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&output), mode(&ordinary));
}
