//! What is said of a folder that holds no checkpoint, and of what is given in place of one.

use std::fs;

use crate::edited::{Edited, refused};

#[test]
fn an_adapter_is_called_that_with_its_base() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = dir.path().join("adapter");
    fs::create_dir(&adapter).unwrap();
    fs::write(adapter.join("adapter_model.safetensors"), "").unwrap();
    let config =
        "{\"peft_type\": \"LORA\", \"base_model_name_or_path\": \"meta-llama/Llama-2-7b-hf\"}";
    fs::write(adapter.join("adapter_config.json"), config).unwrap();
    let what = "it is an adapter (LORA) of `meta-llama/Llama-2-7b-hf`, not a model: merge it into that \
                first, for example with peft's `merge_and_unload`, and convert the result";
    for given in [adapter.clone(), adapter.join("adapter_model.safetensors")] {
        let expected = format!("`{}` is not a checkpoint folder: {what}", given.display());
        assert_eq!(refused(&given, &[]), expected);
    }
    // What describes it may be broken.
    fs::write(adapter.join("adapter_config.json"), "{").unwrap();
    let said = refused(&adapter, &[]);
    assert!(
        said.contains("it is an adapter (LORA) of another model"),
        "{said}"
    );

    // And a config.json may be beside it.
    let model = Edited::new();
    fs::rename(
        model.file("model.safetensors"),
        model.file("adapter_model.safetensors"),
    )
    .unwrap();
    let said = model.refused(&[]);
    assert!(
        said.contains("`adapter_model.safetensors` holds an adapter (LoRA), not a model"),
        "{said}"
    );
}

#[test]
fn the_folder_that_is_meant_is_named() {
    let model = Edited::new();
    let above = model.dir.path();
    let said = refused(above, &[]);
    assert!(
        said.ends_with("it has no `config.json`, but `Moe` in it has: give that"),
        "{said}"
    );

    fs::create_dir(model.file("original")).unwrap();
    let said = refused(&model.file("original"), &[]);
    let folder = fs::canonicalize(&model.source).unwrap();
    let expected = format!("but the folder above has: give `{}`", folder.display());
    assert!(said.ends_with(&expected), "{said}");

    for file in ["config.json", "model.safetensors", "tokenizer.model"] {
        let said = refused(&model.file(file), &[]);
        let expected = format!(
            "it is a file of one: give the folder, `{}`",
            model.source.display()
        );
        assert!(said.ends_with(&expected), "{said}");
    }

    let snapshots = above.join("models--org--m/snapshots");
    fs::create_dir_all(&snapshots).unwrap();
    fs::rename(&model.source, snapshots.join("0123")).unwrap();
    let said = refused(&above.join("models--org--m"), &[]);
    assert!(
        said.ends_with("but `snapshots/0123` in it has: give that"),
        "{said}"
    );
    let said = refused(above, &[]);
    assert!(
        said.contains("it is the cache of the Hugging Face hub"),
        "{said}"
    );
}

#[test]
fn what_is_in_a_folder_is_named() {
    for (file, what) in [
        (None, "it is empty"),
        (
            Some("m.Q8_0.gguf"),
            "it holds a GGUF, `m.Q8_0.gguf`: give that file to `swallow-gguf run`",
        ),
        (Some("params.json"), "Meta's and Mistral's own format"),
        (Some("model_index.json"), "a pipeline of diffusers"),
        (
            Some("config (1).json"),
            "but `config (1).json`: is that it?",
        ),
        (
            Some("config.json.txt"),
            "but `config.json.txt`: is that it?",
        ),
        (Some("notes.txt"), "it has no `config.json`"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a");
        fs::create_dir(&folder).unwrap();
        if let Some(file) = file {
            fs::write(folder.join(file), "x").unwrap();
        }
        let said = refused(&folder, &[]);
        assert!(said.contains(what), "{file:?}: {said}");
    }
    let dir = tempfile::tempdir().unwrap();
    for (file, what) in [
        ("m.gguf", "it is a GGUF file: `swallow-gguf quantize`"),
        ("recipe.yml", "`swallow-gguf merge` takes recipes"),
        (
            "weights.bin",
            "expected the folder that holds `config.json`",
        ),
    ] {
        fs::write(dir.path().join(file), "x").unwrap();
        let said = refused(&dir.path().join(file), &[]);
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn weights_of_another_kind_are_named() {
    for (file, what) in [
        (
            "pytorch_model.bin",
            "the weights are PyTorch pickles (`pytorch_model.bin`)",
        ),
        ("pytorch_model-00001-of-00002.bin", "`save_pretrained`"),
        ("consolidated.safetensors", "take the `-hf` repository"),
        ("consolidated.00.pth", "Meta's and Mistral's own programs"),
        ("m.gguf", "`m.gguf` is a GGUF already"),
    ] {
        let model = Edited::new();
        fs::rename(model.file("model.safetensors"), model.file(file)).unwrap();
        let said = model.refused(&[]);
        assert!(said.contains(what), "{said}");
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_that_points_nowhere_is_told() {
        for file in [
            "config.json",
            "model.safetensors",
            "README.md",
            "generation_config.json",
        ] {
            let model = Edited::new();
            let _ = fs::remove_file(model.file(file));
            symlink("../../blobs/4d", model.file(file)).unwrap();
            let what = "it is a link to `../../blobs/4d`, which is not there";
            if ["config.json", "model.safetensors"].contains(&file) {
                let said = model.refused(&[]);
                assert_eq!(said, format!("`{}`: {what}", model.file(file).display()));
            } else {
                let (_, said) = model.converted(&[]);
                assert!(
                    said.contains(&format!("note: {file} is ignored: {what}\n")),
                    "{said}"
                );
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("gone", &link).unwrap();
        let said = refused(&link, &[]);
        assert_eq!(
            said,
            format!(
                "`{}`: it is a link to `gone`, which is not there",
                link.display()
            )
        );
    }

    #[test]
    fn a_folder_that_may_not_be_read_is_told() {
        let model = Edited::new();
        let mode =
            |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&model.source, 0o000);
        if fs::read_dir(&model.source).is_ok() {
            crate::support::skip(
                "a_folder_that_may_not_be_read_is_told",
                "this user may read all",
            );
            mode(&model.source, 0o755);
            return;
        }
        let said = model.refused(&[]);
        mode(&model.source, 0o755);
        assert!(said.contains("Permission denied"), "{said}");
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let model = Edited::new();
        for file in ["config.json", "model.safetensors"] {
            let before = fs::read(model.file(file)).unwrap();
            fs::remove_file(model.file(file)).unwrap();
            symlink("/dev/null", model.file(file)).unwrap();
            let said = model.refused(&[]);
            assert!(
                said.ends_with("it is a pipe or a device, expected a file"),
                "{said}"
            );
            fs::remove_file(model.file(file)).unwrap();
            fs::write(model.file(file), before).unwrap();
        }
    }
}
