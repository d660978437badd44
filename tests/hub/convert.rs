//! Whole conversions from the hub, with the program itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use swallow_gguf::{
    gguf::{Array, Gguf, Value},
    synthetic::{Sizes, Spec},
};
use tempfile::TempDir;

use super::{
    REPO,
    server::{COMMIT, Fault, File, Hub, On},
};
use crate::support::{checkpoint, converted, small_moe, swallow_gguf, text};

/// A hub with a checkpoint, the same in a folder, and what its conversion must be.
struct Fixture {
    dir: TempDir,
    hub: Hub,
    folder: PathBuf,
    expected: Vec<u8>,
}

/// Gigabytes would take long; this is 350 MB, and its Q8_0 is written in a handful of spans.
fn large() -> Spec {
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
    spec
}

impl Fixture {
    fn new(spec: &Spec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = checkpoint(dir.path(), "model", spec);
        let hub = Hub::start();
        hub.put_folder(REPO, &folder);
        let expected = converted(&folder, &dir.path().join("expected.gguf"), &["-t", "q8_0"]);
        Self {
            dir,
            hub,
            folder,
            expected,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = swallow_gguf();
        command
            .current_dir(self.dir.path())
            .env("HF_ENDPOINT", self.hub.endpoint())
            .env("HF_HOME", self.path("home"))
            .env_remove("HF_TOKEN")
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_HUB_OFFLINE")
            .args(args);
        command
    }

    fn start(&self) -> Child {
        self.command(&["convert", "hf:org/model", "-t", "q8_0", "-o", "out.gguf"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Converts to `out.gguf` with further arguments: the exit code, and what is said.
    fn convert(&self, args: &[&str]) -> (Option<i32>, String) {
        let first = ["convert", "hf:org/model", "-t", "q8_0", "-o", "out.gguf"];
        let run = self.command(&first).args(args).output().unwrap();
        (run.status.code(), text(&run.stderr))
    }

    /// Waits until so many bytes of the output are written; false when the process ends before.
    fn wait_for(&self, child: &mut Child, bytes: u64) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        let partial = self.path(".out.gguf.partial");
        while fs::metadata(&partial).map_or(0, |m| m.len()) < bytes {
            assert!(Instant::now() < deadline, "nothing is written");
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// The output is what the folder becomes, but for where it comes from; it is removed.
    fn assert_whole(&self, case: &str) {
        let output = self.path("out.gguf");
        assert_same_weights(case, &fs::read(&output).unwrap(), &self.expected);
        fs::remove_file(output).unwrap();
        for ending in ["partial", "journal"] {
            assert!(
                !self.path(&format!(".out.gguf.{ending}")).exists(),
                "{case}"
            );
        }
    }
}

/// Tensors, their bytes and all metadata but `general.source.*` and what the repository is called.
fn assert_same_weights(case: &str, ours: &[u8], expected: &[u8]) {
    let [a, b] = [ours, expected].map(|bytes| Gguf::parse(bytes, bytes.len() as u64).unwrap());
    assert_eq!(a.tensors, b.tensors, "{case}");
    let data = |gguf: &Gguf, bytes: &[u8]| bytes[gguf.data_offset as usize..].to_vec();
    assert!(data(&a, ours) == data(&b, expected), "{case}");
    let others = |gguf: &Gguf| {
        let key_values = gguf.key_values.iter();
        let of_source =
            |key: &str| key.starts_with("general.source.") || key == "general.organization";
        let kept = key_values.filter(|(key, _)| !of_source(key));
        kept.cloned().collect::<Vec<_>>()
    };
    assert_eq!(others(&a), others(&b), "{case}");
}

#[test]
fn from_the_hub_as_from_a_folder_and_no_byte_twice() {
    let fixture = Fixture::new(&large());
    let (code, said) = fixture.convert(&[]);
    assert_eq!(code, Some(0), "{said}");

    let gguf = Gguf::open(&fixture.path("out.gguf")).unwrap();
    assert_eq!(gguf.get_str("general.source.revision"), Some(COMMIT));
    assert_eq!(
        gguf.get_str("general.source.repo_url"),
        Some("https://huggingface.co/org/model")
    );
    let Some(Value::Array(Array::String(etags))) = gguf.get("general.source.etags") else {
        panic!("no etags");
    };
    assert_eq!(etags.len(), 2);
    assert!(etags.iter().all(|etag| etag.len() == 64));
    fixture.assert_whole("whole");

    let weights: u64 = fs::read_dir(&fixture.folder)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    let sent = fixture.hub.sent();
    assert!(sent < weights + weights / 100, "{sent} of {weights}");
    // Nothing of the weights is on this disk.
    let home: u64 = walk(&fixture.path("home"))
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(home < 1 << 20, "{home}");
}

/// All files below a folder.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path),
        }
    }
    files
}

#[test]
fn a_dry_run_reads_headers_only() {
    let fixture = Fixture::new(&small_moe());
    let run = fixture
        .command(&["convert", "https://huggingface.co/org/model", "--dry-run"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("blk.1.ffn_down_exps.weight"));
    assert!(fixture.hub.sent() < 200_000, "{}", fixture.hub.sent());
}

#[test]
fn the_whole_target_is_planned_from_its_headers() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let spec = Spec {
        sizes: Sizes::target(40),
        shards: 5,
        ..small_moe()
    };
    hub.put_checkpoint(REPO, &spec);
    let run = swallow_gguf()
        .current_dir(dir.path())
        .env("HF_ENDPOINT", hub.endpoint())
        .env("HF_HOME", dir.path().join("home"))
        .args(["convert", "hf:org/model", "--dry-run"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("size    13.09 GB"));
    assert!(hub.sent() < 8_000_000, "{}", hub.sent());
}

#[test]
fn faults_on_the_way_leave_no_trace_in_the_result() {
    let fixture = Fixture::new(&large());
    let hub = &fixture.hub;
    hub.fail(On::Info, 1, Fault::Status(503, vec![]));
    hub.fail(On::Head, 1, Fault::Reset(None));
    hub.fail(On::Cdn, 1, Fault::Reset(Some(100_000)));
    hub.fail(On::Cdn, 1, Fault::Short(1_000_000));
    hub.fail(
        On::Cdn,
        1,
        Fault::Status(429, vec![("Retry-After", "1".into())]),
    );
    hub.fail(On::Cdn, 1, Fault::Shifted(64));
    hub.fail(On::Cdn, 1, Fault::Status(403, vec![]));
    let (code, said) = fixture.convert(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(hub.is_done_failing());
    fixture.assert_whole("faults");
}

#[test]
fn a_shard_that_changes_under_way_is_an_error_and_no_mixture() {
    let fixture = Fixture::new(&large());
    let mut child = fixture.start();
    assert!(fixture.wait_for(&mut child, 1 << 20));
    fixture.hub.fail(On::Cdn, 100, Fault::Etag("\"other\""));
    let run = child.wait_with_output().unwrap();
    let said = text(&run.stderr);
    if run.status.success() {
        // All had been fetched by then.
        fixture.assert_whole("fetched before");
        return;
    }
    assert!(said.contains("changed while it was read"), "{said}");
    assert!(!fixture.path("out.gguf").exists());
}

#[test]
fn ctrl_c_keeps_what_is_there_and_the_same_command_goes_on() {
    let fixture = Fixture::new(&large());
    fixture.hub.set_bandwidth(30 << 20);
    let mut child = fixture.start();
    assert!(fixture.wait_for(&mut child, 80 << 20));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let run = child.wait_with_output().unwrap();
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(130), "{said}");
    assert!(
        said.contains(
            "are kept, and the same command goes on from there (`--restart` begins anew)"
        ),
        "{said}"
    );
    assert!(fixture.path(".out.gguf.partial").exists());

    let (code, said) = fixture.convert(&["-t", "q4_0"]);
    assert_eq!(code, Some(2), "{said}");
    fixture.hub.set_bandwidth(0);
    let before = fixture.hub.sent();
    let (code, said) = fixture.convert(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("going on where an earlier conversion was ended"),
        "{said}"
    );
    // Less than two thirds of the weights were fetched the second time.
    assert!(fixture.hub.sent() - before < 250 << 20);
    fixture.assert_whole("interrupted");
}

#[test]
fn killed_at_ten_places_the_result_is_the_same() {
    let fixture = Fixture::new(&large());
    let total = fixture.expected.len() as u64;
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut killed = 0;
    while killed < 10 {
        let mut child = fixture.start();
        if fixture.wait_for(&mut child, random.random_range(0..total)) {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
        if fixture.path("out.gguf").exists() {
            fixture.assert_whole("not killed");
        }
    }
    let (code, said) = fixture.convert(&[]);
    assert_eq!(code, Some(0), "{said}");
    fixture.assert_whole("killed");
}

#[test]
fn download_fills_the_cache_which_serves_from_then_on() {
    let fixture = Fixture::new(&small_moe());
    let (code, said) = fixture.convert(&["--download"]);
    assert_eq!(code, Some(0), "{said}");
    let gguf = Gguf::open(&fixture.path("out.gguf")).unwrap();
    assert_eq!(gguf.get_str("general.source.revision"), Some(COMMIT));
    fixture.assert_whole("downloaded");
    let snapshot = fixture
        .path("home/hub/models--org--model/snapshots")
        .join(COMMIT);
    assert!(snapshot.join("model-00002-of-00002.safetensors").is_file());

    // Read in place, without `--download` too; and offline.
    let before = fixture.hub.sent();
    let (code, said) = fixture.convert(&[]);
    assert_eq!(code, Some(0), "{said}");
    fixture.assert_whole("from the cache");
    assert!(fixture.hub.sent() - before < 20_000);
    let run = fixture
        .command(&[
            "convert",
            "hf:org/model",
            "--download",
            "-t",
            "q8_0",
            "-o",
            "out.gguf",
        ])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    fixture.assert_whole("offline");
}

#[test]
fn what_the_hub_refuses_is_told_with_the_page_to_visit() {
    let fixture = Fixture::new(&small_moe());
    fixture.hub.guard(REPO, "hf_secret", true);
    let (code, said) = fixture.convert(&[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the hub refuses hf:org/model"), "{said}");
    assert!(said.contains("/org/model"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let run = fixture
        .command(&["convert", "hf:org/model", "-t", "q8_0", "-o", "out.gguf"])
        .env("HF_TOKEN", "hf_secret")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(!text(&run.stderr).contains("hf_secret"));
    fixture.assert_whole("with a token");

    for (source, expected) in [
        ("hf:org/nothing", "the hub refuses hf:org/nothing"),
        ("hf:org", "the hub refuses hf:org"),
        ("hf:org/model@other", "the hub refuses"),
        (
            "hf:org/model:file",
            "did you mean the checkpoint `hf:org/model`?",
        ),
        (
            "https://example.com/x/y",
            "expected `hf:ORG/NAME[@REVISION]`",
        ),
    ] {
        let run = fixture.command(&["convert", source]).output().unwrap();
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{source}: {said}");
        assert!(said.contains(expected), "{source}: {said}");
    }
}

#[test]
fn a_repository_without_a_checkpoint_is_told() {
    let fixture = Fixture::new(&small_moe());
    fixture
        .hub
        .put("org/gguf", "model-q4.gguf", File::small("GGUF"));
    fixture
        .hub
        .put("org/config", "config.json", File::small("{}"));
    for (source, expected) in [
        (
            "hf:org/gguf",
            "hf:org/gguf is not a checkpoint: it holds GGUF files, `model-q4.gguf`: `quantize` and `run` take one as `hf:org/gguf:model-q4.gguf`",
        ),
        (
            "hf:org/config",
            "hf:org/config is not a checkpoint: there are no weights",
        ),
    ] {
        let run = fixture.command(&["convert", source]).output().unwrap();
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_file_is_held_against_the_hub_by_a_sample_or_in_full() {
    let fixture = Fixture::new(&large());
    fs::write(fixture.path("x.gguf"), &fixture.expected).unwrap();
    let verify = |args: &[&str]| {
        let first = ["verify", "x.gguf", "--against", "hf:org/model", "--json"];
        let before = fixture.hub.sent();
        let run = fixture.command(&first).args(args).output().unwrap();
        let found: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        (found, run.status.code(), fixture.hub.sent() - before)
    };
    let (sample, code, fetched) = verify(&[]);
    assert_eq!(code, Some(0), "{sample:#}");
    let (full, code, all) = verify(&["--full"]);
    assert_eq!(code, Some(0), "{full:#}");
    assert_eq!(full["against"]["compared"], full["against"]["weights"]);
    let compared = sample["against"]["compared"].as_u64().unwrap();
    let weights = full["against"]["weights"].as_u64().unwrap();
    assert!(compared < weights && fetched < all);
    assert!(
        fetched < 2 * compared + 4_000_000,
        "{fetched} for {compared} weights"
    );
    // Every kind of tensor is in the sample.
    for kind in [
        "token_embd",
        "output.",
        "attn_q",
        "ffn_down_exps",
        "ffn_gate_inp",
        "attn_norm",
    ] {
        let tensors = sample["against"]["tensors"].as_array().unwrap();
        let has = |t: &serde_json::Value| t["name"].as_str().unwrap().contains(kind);
        assert!(tensors.iter().any(has), "{kind}");
    }

    // Other weights in the file's place.
    let mut bytes = fixture.expected.clone();
    let gguf = Gguf::parse(&bytes, bytes.len() as u64).unwrap();
    let info = gguf.tensor("blk.0.attn_v.weight").unwrap();
    let at = (gguf.data_offset + info.offset) as usize;
    bytes[at..at + info.size() as usize]
        .chunks_mut(34)
        .for_each(|block| block[1] ^= 0xbc);
    fs::write(fixture.path("x.gguf"), bytes).unwrap();
    let (found, code, _) = verify(&[]);
    assert_eq!(
        (code, &found["well"]),
        (Some(1), &false.into()),
        "{found:#}"
    );
}

/// What a conversion of a repository in the target's shapes costs: network, disk and memory. (How
/// long it takes is for `examples/hub_server` to show.)
#[cfg(target_os = "linux")]
#[test]
fn the_costs_of_a_repository_in_the_targets_shapes() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let spec = Spec {
        sizes: Sizes::target(2),
        ..small_moe()
    };
    hub.put_checkpoint(REPO, &spec);
    for file_type in ["q4_k_m", "q8_0"] {
        let before = hub.sent();
        let mut child = swallow_gguf()
            .current_dir(dir.path())
            .env("HF_ENDPOINT", hub.endpoint())
            .env("HF_HOME", dir.path().join("home"))
            .args([
                "convert",
                "hf:org/model",
                "--json",
                "-q",
                "-o",
                "out.gguf",
                "-t",
                file_type,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        let (mut memory, mut disk) = (0, 0);
        while child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
            memory = memory.max(kib.unwrap_or(0u64) << 10);
            let files = walk(dir.path());
            let there = files
                .iter()
                .filter_map(|path| path.metadata().ok())
                .map(|m| m.len());
            disk = disk.max(there.sum::<u64>());
            std::thread::sleep(Duration::from_millis(20));
        }
        let run = child.wait_with_output().unwrap();
        assert!(run.status.success());
        let summary: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        let bytes = |key: &str| summary[key].as_u64().unwrap();
        let sent = hub.sent() - before;
        let weights = bytes("source_bytes");
        assert!(
            sent >= weights && sent < weights + weights / 100,
            "{sent} of {weights}"
        );
        assert!(memory < 512 << 20, "{memory} bytes of memory");
        assert!(
            disk < bytes("file_bytes") + (64 << 20),
            "{disk} bytes of disk"
        );
        fs::remove_file(dir.path().join("out.gguf")).unwrap();
    }
}
