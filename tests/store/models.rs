//! `swallow-gguf models`.

use std::fs;

use super::{Home, NOWHERE};

#[test]
fn they_are_listed_found_and_removed() {
    let home = Home::new(NOWHERE);
    let none = home.models(&[]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""));
    assert!(
        none.stderr.starts_with("there are no models in `"),
        "{none:?}"
    );
    assert_eq!(home.models(&["--json"]).stdout, "[]\n");

    let folder = home.checkpoint("Moe");
    home.runs("Moe", &["--type", "q4_k_m"]);
    home.runs("Moe", &["--type", "q8_0"]);
    let names = home.names();
    let [small, large] = &names[..] else {
        panic!("{names:?}");
    };
    let listed = home.models(&[]).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["NAME", "TYPE", "SIZE", "SOURCE", "LAST", "USED"]
    );
    assert!(
        lines[1].contains(small.as_str()) && lines[1].contains(" Q4_K_M "),
        "{listed}"
    );
    assert!(lines[2].contains(folder.to_str().unwrap()), "{listed}");

    let path = home.models(&["path", &large.to_lowercase()]).stdout;
    let path = path.trim_end();
    assert!(fs::metadata(path).unwrap().is_file());
    assert!(home.listed()[1]["path"] == path);
    // By its name it is run as a file is.
    assert_eq!(home.runs(large, &[]), "");
    assert_eq!(
        home.fails(large, &["--type", "q4_k_m"]),
        format!(
            "`--type` is for what is converted or chosen first, and `{path}` is a GGUF file: `quantize` makes another of it"
        )
    );

    let slip = format!("{}O", &large[..large.len() - 1]);
    let meant = format!("there is no model `{slip}` in the store, did you mean `{large}`?");
    assert_eq!(home.models(&["path", &slip]).error(), meant);
    assert_eq!(home.fails(&slip, &[]), meant);
    // One that is wrong, and none is removed.
    assert_eq!(home.models(&["rm", small, &slip]).error(), meant);
    assert_eq!(home.names().len(), 2);
    assert_eq!(
        home.models(&["path", folder.to_str().unwrap()]).error(),
        format!(
            "`{}` may be any of `{small}`, `{large}`: give one of these names",
            folder.display()
        )
    );

    // What else is in its folder stays.
    let own = fs::canonicalize(path).unwrap().with_file_name("notes.txt");
    fs::write(&own, "mine").unwrap();
    let gone = home.models(&["rm", large]);
    assert_eq!(gone.code, Some(0), "{gone:?}");
    assert!(
        gone.stderr.starts_with(&format!("removed `{large}`, ")),
        "{gone:?}"
    );
    assert!(own.is_file() && !fs::exists(path).unwrap());
    assert_eq!(home.names(), [small.as_str()]);
    assert_eq!(
        home.models(&["path", folder.to_str().unwrap()]).code,
        Some(0)
    );
    let begins = small.rsplit_once('-').unwrap().0;
    assert_eq!(
        home.models(&["rm", begins]).error(),
        format!("there is no model `{begins}` in the store, did you mean `{small}`?")
    );
    assert_eq!(home.models(&["rm", folder.to_str().unwrap()]).code, Some(0));
    assert!(home.names().is_empty());
    assert!(!home.path("models").join(small).exists());
}

#[test]
fn the_folder_is_the_one_that_is_named() {
    let home = Home::new(NOWHERE);
    home.checkpoint("Moe");
    home.runs("Moe", &["--models-dir", "elsewhere"]);
    assert!(home.names().is_empty());
    assert!(
        home.models(&["--models-dir", "elsewhere"])
            .stdout
            .contains("Q8_0")
    );
    let names = fs::read_dir(home.path("elsewhere")).unwrap();
    assert_eq!(names.count(), 2);
    let mut data = home.run_command("Moe", &[]);
    assert!(
        data.env_remove("SWALLOW_GGUF_MODELS")
            .output()
            .unwrap()
            .status
            .success()
    );
    if cfg!(target_os = "linux") {
        assert!(home.path("data/swallow-gguf/models").is_dir());
    }
    // A file in its place.
    fs::write(home.path("file"), "x").unwrap();
    let error = home.fails("Moe", &["--models-dir", "file"]);
    assert!(error.starts_with("cannot use `file"), "{error}");
    assert!(
        error.contains("SWALLOW_GGUF_MODELS can name another folder"),
        "{error}"
    );
}

#[test]
fn one_that_is_not_finished_is_marked_and_removed() {
    let home = Home::new(NOWHERE);
    home.checkpoint("Moe");
    home.runs("Moe", &["--type", "q8_0"]);
    let file = home.file();
    let name = home.names().remove(0);
    // As a conversion that was killed leaves it.
    let (folder, named) = (
        file.parent().unwrap(),
        file.file_name().unwrap().to_str().unwrap(),
    );
    fs::rename(folder.join("entry.json"), folder.join("unfinished.json")).unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(
        folder.join(format!(".{named}.partial")),
        &bytes[..bytes.len() / 2],
    )
    .unwrap();
    fs::write(folder.join(format!(".{named}.journal")), "").unwrap();
    fs::remove_file(&file).unwrap();
    let listed = home.models(&[]).stdout;
    assert!(
        listed.contains("unfinished, 49 %") || listed.contains("unfinished, 50 %"),
        "{listed}"
    );
    assert_eq!(home.listed()[0]["finished"], false);
    let expected = format!("`{name}` is not finished: `swallow-gguf run ");
    assert!(home.models(&["path", &name]).error().starts_with(&expected));
    assert!(home.fails(&name, &[]).starts_with(&expected));
    assert_eq!(home.models(&["rm", &name]).code, Some(0));
    assert!(!folder.exists());
}
