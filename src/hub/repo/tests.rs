use super::*;

const HUB: &str = "https://huggingface.co";

#[test]
fn repositories() {
    let cases = [
        (
            "hf:Aratako/Swallow-MoE-2x13B-v0.1",
            "Aratako/Swallow-MoE-2x13B-v0.1",
            "main",
        ),
        ("hf:gpt2", "gpt2", "main"),
        ("hf:a/b@v1.0", "a/b", "v1.0"),
        ("hf:a/b@refs/pr/12", "a/b", "refs/pr/12"),
        ("https://huggingface.co/a/b", "a/b", "main"),
        ("https://huggingface.co/a/b/", "a/b", "main"),
        ("https://hf.co/a/b?library=x#top", "a/b", "main"),
        ("https://huggingface.co/a/b/tree/dev/x", "a/b", "dev/x"),
        ("http://127.0.0.1:99/a/b", "a/b", "main"),
    ];
    for (text, id, revision) in cases {
        let repo = Repo::parse(text, "http://127.0.0.1:99").unwrap();
        assert_eq!(
            (repo.id.as_str(), &*repo.revision),
            (id, revision),
            "{text}"
        );
    }
    assert_eq!(RepoId::new("a/b").unwrap().folder(), "models--a--b");
    assert_eq!(
        Repo::parse("hf:a/b@v1", HUB).unwrap().to_string(),
        "hf:a/b@v1"
    );
    assert_eq!(
        Repo::parse("hf:a/b@main", HUB).unwrap().to_string(),
        "hf:a/b"
    );
}

#[test]
fn what_is_no_repository() {
    let cases = [
        ("hf:", "`hf:`: expected `hf:ORG/NAME[@REVISION]`"),
        ("hf://a/b", "`hf://a/b`: did you mean `hf:a/b`?"),
        ("hf:a/b/c", "`hf:a/b/c`: did you mean `hf:a/b`?"),
        ("hf:/b", "`/b`: expected `ORG/NAME`"),
        (
            "hf:a/b c",
            "`a/b c`: a name has the letters A to Z, digits, `-`, `_` and `.`, found ` `",
        ),
        (
            "hf:a/ж",
            "`a/ж`: a name has the letters A to Z, digits, `-`, `_` and `.`, found `ж`",
        ),
        (
            "hf:a/.b",
            "`a/.b`: a name neither begins nor ends with `-` or `.`",
        ),
        (
            "hf:../b",
            "`../b`: a name neither begins nor ends with `-` or `.`",
        ),
        ("hf:a/b--c", "`a/b--c`: a name has no `--` and no `..`"),
        ("hf:a/b.git", "`a/b.git`: a name does not end with `.git`"),
        ("hf:a/b@", "`hf:a/b@`: did you mean `hf:a/b`?"),
        (
            "hf:a/b@../x",
            "`../x`: expected a branch, tag or commit as a revision",
        ),
        (
            "hf:a/b@x y",
            "`x y`: expected a branch, tag or commit as a revision",
        ),
        (
            "hf:a/b:x.gguf",
            "`hf:a/b:x.gguf`: did you mean the checkpoint `hf:a/b`? A GGUF of it is `hf:a/b:x.gguf`, for `run` and `quantize`",
        ),
        (
            "https://example.org/a/b",
            "`https://example.org/a/b`: expected `hf:ORG/NAME[@REVISION]` or `https://huggingface.co/ORG/NAME`",
        ),
        (
            "https://huggingface.co.evil.org/a/b",
            "`https://huggingface.co.evil.org/a/b`: expected `hf:ORG/NAME[@REVISION]` or `https://huggingface.co/ORG/NAME`",
        ),
        (
            "https://huggingface.co/datasets/a/b",
            "`https://huggingface.co/datasets/a/b`: expected the page of a model",
        ),
    ];
    for (text, error) in cases {
        assert_eq!(
            Repo::parse(text, HUB).unwrap_err().to_string(),
            error,
            "{text}"
        );
    }
    let long = format!("hf:a/{}", "b".repeat(95));
    let error = Repo::parse(&long, HUB).unwrap_err().to_string();
    assert!(
        error.ends_with("a repository's name has at most 96 bytes"),
        "{error}"
    );
}

#[test]
fn files() {
    let file = RepoFile::parse("hf:a/b@v1:sub/x-Q4_K_M.gguf").unwrap();
    assert_eq!(file.repo, Repo::parse("hf:a/b@v1", HUB).unwrap());
    assert_eq!(file.path, "sub/x-Q4_K_M.gguf");
    let cases = [
        (
            "hf:a/b",
            "`hf:a/b`: did you mean a file of `hf:a/b`? It is named `hf:a/b:FILE`",
        ),
        ("a/b:x.gguf", "`a/b:x.gguf`: did you mean `hf:a/b:x.gguf`?"),
        ("a:x", "`a:x`: expected `hf:ORG/NAME[@REVISION]:FILE`"),
        (
            "hf:a/b:",
            "`hf:a/b:`: did you mean a file of `hf:a/b`? It is named `hf:a/b:FILE`",
        ),
        (
            "hf:a/b:../x",
            "`../x`: expected the path of a file in a repository",
        ),
        (
            "hf:a/b:/x",
            "`/x`: expected the path of a file in a repository",
        ),
        (
            "hf:a/b:x//y",
            "`x//y`: expected the path of a file in a repository",
        ),
        (
            "hf:a/b:x\\y",
            "`x\\y`: expected the path of a file in a repository",
        ),
    ];
    for (text, error) in cases {
        assert_eq!(
            RepoFile::parse(text).unwrap_err().to_string(),
            error,
            "{text}"
        );
    }
}

#[test]
fn encoding() {
    assert_eq!(encode_segment("refs/pr/1"), "refs%2Fpr%2F1");
    assert_eq!(encode_path("a b/ж#.bin"), "a%20b/%D0%B6%23.bin");
}
