//! Files that must be refused, by name.

use proptest::prelude::*;

use super::*;

type Parts<'a> = &'a [(&'a str, &'a [u64], &'a [f32])];

#[test]
fn broken_ggufs_are_refused_with_the_reason() {
    let files = Files::new();
    let good: Parts = &[("a.in_sum2", &[2], &[1.0, 2.0]), ("a.counts", &[1], &[1.0])];
    let without = |key: &str| {
        let mut keys = keys();
        keys.retain(|(k, _)| k != key);
        keys
    };
    let with = |key: &str, value: Value| [without(key), vec![(key.into(), value)]].concat();
    let mut cases: Vec<(&str, KeyValues, Parts, &str)> = vec![
        (
            "no datasets",
            without("imatrix.datasets"),
            good,
            "is not an importance matrix: it is a GGUF without the key `imatrix.datasets`",
        ),
        (
            "no chunk count",
            without("imatrix.chunk_count"),
            good,
            "without the key `imatrix.chunk_count`, expected one that llama-imatrix wrote",
        ),
        (
            "no chunk size",
            without("imatrix.chunk_size"),
            good,
            "without the key `imatrix.chunk_size`",
        ),
        (
            "a model",
            vec![("general.architecture".into(), "llama".into())],
            &[("token_embd.weight", &[2], &[0.0; 2])],
            "`DIR/imatrix` is a model (llama), not an importance matrix: give the file that \
             llama-imatrix wrote for it",
        ),
        (
            "datasets of another type",
            with("imatrix.datasets", "a.txt".into()),
            good,
            "key `imatrix.datasets` has type str, expected an array of strings",
        ),
        (
            "chunk count of another type",
            with("imatrix.chunk_count", Value::I32(1)),
            good,
            "key `imatrix.chunk_count` has type i32, expected u32",
        ),
    ];
    let parts: &[(&str, Parts, &str)] = &[
        ("no tensors", &[], "is broken: it has no entries"),
        (
            "nothing that counts",
            &[("a.stats", &[1], &[1.0])],
            "is broken: it has no entries",
        ),
        (
            "sums alone",
            &[("a.weight.in_sum2", &[1], &[1.0])],
            "`a.weight.in_sum2` is there, `a.weight.counts` is missing",
        ),
        (
            "counts alone",
            &[("a.counts", &[1], &[1.0])],
            "`a.counts` is there, `a.in_sum2` is missing",
        ),
        (
            "other sums alone",
            &[("a.in_sum", &[1], &[1.0])],
            "`a.in_sum` is there, `a.in_sum2` is missing",
        ),
        (
            "other sums of another length",
            &[good[0], good[1], ("a.in_sum", &[1], &[1.0])],
            "`a` has 2 sums of squares, but 1 sums",
        ),
        (
            "sums that do not divide",
            &[
                ("a.in_sum2", &[5], &[1.0; 5]),
                ("a.counts", &[1, 2], &[1.0; 2]),
            ],
            "`a` has 5 sums and 2 counts, expected the same number for each",
        ),
        (
            "more counts than sums",
            &[
                ("a.in_sum2", &[1], &[1.0]),
                ("a.counts", &[1, 2], &[1.0; 2]),
            ],
            "`a` has 1 sums and 2 counts",
        ),
        (
            "no counts",
            &[("a.in_sum2", &[1], &[1.0]), ("a.counts", &[1, 0], &[])],
            "`a` has 1 sums and 0 counts",
        ),
        (
            "no sums",
            &[("a.in_sum2", &[0], &[]), ("a.counts", &[1], &[1.0])],
            "`a` has 0 sums and 1 counts",
        ),
        (
            "negative count",
            &[
                ("a.in_sum2", &[2], &[1.0; 2]),
                ("a.counts", &[1, 2], &[1.0, -1.0]),
            ],
            "`a` has the count -1 for expert 1, expected a whole number",
        ),
        (
            "count that is no number",
            &[good[0], ("a.counts", &[1], &[f32::NAN])],
            "`a` has the count NaN for expert 0",
        ),
        (
            "endless count",
            &[good[0], ("a.counts", &[1], &[1e19])],
            "`a` has the count 10000000000000000000 for expert 0",
        ),
        (
            "negative sum",
            &[("a.in_sum2", &[2], &[1.0, -2.0]), good[1]],
            "`a` has the importance -2 at index 1, expected a finite number that is not negative",
        ),
        (
            "sum that is no number",
            &[("a.in_sum2", &[2], &[f32::NAN, 1.0]), good[1]],
            "`a` has the importance NaN at index 0",
        ),
        (
            "infinite sum",
            &[("a.in_sum2", &[2], &[1.0, f32::INFINITY]), good[1]],
            "`a` has the importance inf at index 1",
        ),
        (
            "name that plays",
            &[("\x1b[2J.counts", &[1], &[1.0])],
            "`\\u{1b}[2J.counts` is there",
        ),
    ];
    cases.extend(
        parts
            .iter()
            .map(|(name, parts, error)| (*name, keys(), *parts, *error)),
    );
    for (name, keys, parts, expected) in cases {
        let found = files.error(&gguf_file(&keys, parts));
        assert!(
            found.contains(expected) && !found.contains('\n'),
            "{name}: {found}"
        );
    }
    assert!(files.read(&gguf_file(&keys(), good)).is_ok());

    let mut half = TensorInfo::new("a.in_sum2".into(), vec![8], GgmlType::F16).unwrap();
    let mut counts = TensorInfo::new("a.counts".into(), vec![1], GgmlType::F32).unwrap();
    (half.offset, counts.offset) = (0, 32);
    let mut file = encode_header(&keys(), &[half, counts], 32);
    file.resize(file.len() + 36, 0);
    let found = files.error(&file);
    assert!(
        found.ends_with("`a.in_sum2` has type F16, expected F32"),
        "{found}"
    );
}

#[test]
fn broken_files_of_the_older_format_are_refused_with_the_reason() {
    let files = Files::new();
    let one = |name: &str, values: &[f32]| Dat::of(1).entry(name, 1, values);
    let cases: &[(&str, Dat, &str)] = &[
        (
            "cut count",
            Dat(vec![1, 0]),
            "the file ends inside the number of entries at offset 0, which needs 4 bytes where 2 are \
             left; the download was probably cut",
        ),
        (
            "no entries",
            Dat::of(0).i32(1),
            "is not an importance matrix: expected a GGUF, or the older format",
        ),
        (
            "negative entries",
            Dat::of(-1).entry("a", 1, &[1.0]),
            "found -1 for a file of 21 bytes",
        ),
        (
            "text",
            Dat(b"some words of text, and then some more of them".to_vec()),
            "found a text of 46 bytes that begins with `some words of text, and `",
        ),
        (
            "more entries than fit",
            Dat::of(2).entry("a", 1, &[1.0]),
            "found 2 for a file of 21 bytes",
        ),
        (
            "one entry less",
            Dat::of(2).entry("a", 1, &[1.0; 9]),
            "ends inside entry 1 at offset 53, which needs 4 bytes where 0 are left",
        ),
        (
            "name without end",
            Dat::of(1).i32(40).i32(0).i32(0).i32(0).i32(0),
            "ends inside entry 0 at offset 8, which needs 40 bytes where 16 are left",
        ),
        (
            "long name",
            one(&"x".repeat(64), &[1.0]),
            "entry 0 at offset 4 has a name of 64 bytes, expected 1 to 63",
        ),
        ("empty name", one("", &[1.0; 2]), "has a name of 0 bytes"),
        (
            "negative name",
            Dat::of(1).i32(-5).i32(0).i32(0).i32(0).i32(0),
            "has a name of -5 bytes",
        ),
        (
            "name not UTF-8",
            Dat::of(1).string(b"a\xff").i32(1).i32(1).i32(0),
            "entry 0 at offset 4 has the name `a\\xff`, which is not UTF-8",
        ),
        (
            "name twice",
            Dat::of(2).entry("a", 1, &[1.0]).entry("a", 1, &[1.0]),
            "entry 1 at offset 21 has the name `a`, which is there already",
        ),
        (
            "no values",
            Dat::of(1).entry("a", 1, &[]).i32(0),
            "`a` has 0 values at offset 13, expected at least 1",
        ),
        (
            "negative values",
            Dat::of(1).string("a").i32(1).i32(-1).i32(0),
            "`a` has -1 values at offset 13",
        ),
        (
            "values without end",
            Dat::of(1).string("a").i32(1).i32(i32::MAX).i32(0),
            "ends inside `a` at offset 17, which needs 8589934588 bytes where 4 are left",
        ),
        (
            "negative value",
            one("a", &[1.0, -1.0]),
            "`a` has the importance -1 at index 1",
        ),
        (
            "no number",
            one("a", &[f32::NAN]),
            "`a` has the importance NaN at index 0",
        ),
        (
            "infinite",
            one("a", &[f32::INFINITY]),
            "`a` has the importance inf at index 0",
        ),
        (
            "half a chunk count",
            Dat([&one("a", &[1.0]).0[..], &[1, 0]].concat()),
            "ends inside the number of chunks at offset 21",
        ),
        (
            "dataset without end",
            one("a", &[1.0]).i32(1).i32(1 << 30),
            "ends inside the dataset's name at offset 29, which needs 1073741824 bytes where 0",
        ),
        (
            "negative dataset",
            one("a", &[1.0]).i32(1).i32(-1),
            "the dataset's name at offset 25 has -1 bytes, expected 0 or more",
        ),
        (
            "more behind it",
            one("a", &[1.0]).i32(1).string("t").string("u"),
            "5 bytes follow the end at offset 30",
        ),
        (
            "name that plays",
            one("\x1b[2J", &[-1.0]),
            "`\\u{1b}[2J` has the importance",
        ),
    ];
    for (name, Dat(file), expected) in cases {
        let found = files.error(file);
        assert!(
            found.contains(expected) && !found.contains('\n'),
            "{name}: {found}"
        );
    }
}

#[test]
fn what_is_something_else_is_named() {
    let files = Files::new();
    for (file, expected) in [
        (
            &b""[..],
            "`DIR/imatrix` is empty, expected an importance matrix: a file that llama-imatrix wrote",
        ),
        (
            b"GGUF\x03",
            "cannot read `DIR/imatrix`: the file ends inside its header",
        ),
        (b"GGUF\x01\0\0\0", "GGUF version 1, expected 2 or 3"),
        (
            b"\x10\0\0\0\0\0\0\0{\"a\":{}}        ",
            "`DIR/imatrix` is not an importance matrix: it is a safetensors file",
        ),
        (
            b"<!DOCTYPE html>",
            "is not an importance matrix: it is a web page",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "it is a git-lfs pointer",
        ),
        (b"PK\x03\x04rest", "it is a zip archive"),
        (&[0; 600], "it begins with zeros"),
    ] {
        let found = files.error(file);
        assert!(found.contains(expected), "{found}");
    }
    let folder = Imatrix::open(files.0.path()).unwrap_err().to_string();
    assert!(
        folder.contains("is a folder, expected an importance matrix: a file that"),
        "{folder}"
    );
    let nothing = Imatrix::open(&files.0.path().join("none")).unwrap_err();
    assert!(
        nothing.to_string().starts_with("there is no file `"),
        "{nothing}"
    );
}

#[test]
fn every_prefix_is_an_error() {
    let tensors = [TensorInfo::new("blk.0.a.weight".into(), vec![4, 4, 2], GgmlType::F32).unwrap()];
    let measured = measure(&tensors, &SPEC);
    let files = Files::new();

    // Padding may be cut off its end.
    let today = write_gguf(&measured, "t.txt").unwrap();
    let end = today.iter().rposition(|byte| *byte != 0).unwrap();
    for len in 0..=end {
        assert!(
            files.read(&today[..len]).is_err(),
            "{len} of {}",
            today.len()
        );
    }
    assert!(files.read(&today).is_ok());

    // The older format ends where it has no chunks, no dataset, or all.
    let older = write_legacy(&measured, "t.txt");
    let whole = [0, "t.txt".len() + 4, "t.txt".len() + 8].map(|rest| older.len() - rest);
    for len in 0..=older.len() {
        let read = files.read(&older[..len]);
        assert_eq!(
            read.is_ok(),
            whole.contains(&len),
            "{len} of {}",
            older.len()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_damage_is_an_error_or_a_matrix(
        older in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let measured = measure(&model()[3..4], &SPEC);
        let mut file = match older {
            true => write_legacy(&measured, "t.txt"),
            false => write_gguf(&measured, "t.txt").unwrap(),
        };
        for (at, byte) in damage {
            let at = at.index(file.len().min(256));
            file[at] = byte;
        }
        if let Ok(matrix) = Files::new().read(&file) {
            for tensor in matrix.tensors() {
                let importance = matrix.get(tensor).unwrap();
                prop_assert!(importance.iter().all(|v| v.is_finite() && *v >= 0.0));
            }
        }
    }

    #[test]
    fn any_bytes_do_not_panic(
        bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..200),
    ) {
        let file = [&1i32.to_le_bytes()[..], &bytes].concat();
        let _ = legacy::read_from(Path::new("x"), &file[..], file.len() as u64);
    }
}
