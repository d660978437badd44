//! Headers built by hand: the broken files that the reader must refuse, by name.

use super::parse;

/// A file built by hand, for headers that our writer would not write.
#[derive(Clone)]
pub(super) struct Raw(pub(super) Vec<u8>);

impl Raw {
    pub(super) fn header(version: u32, n_tensors: u64, n_key_values: u64) -> Self {
        Self(b"GGUF".to_vec())
            .u32(version)
            .u64(n_tensors)
            .u64(n_key_values)
    }
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    pub(super) fn u32(self, n: u32) -> Self {
        self.bytes(&n.to_le_bytes())
    }
    pub(super) fn u64(self, n: u64) -> Self {
        self.bytes(&n.to_le_bytes())
    }
    pub(super) fn string(self, s: impl AsRef<[u8]>) -> Self {
        self.u64(s.as_ref().len() as u64).bytes(s.as_ref())
    }
    pub(super) fn tensor(self, name: &str, dims: &[u64], ty: u32, offset: u64) -> Self {
        let raw = self.string(name).u32(dims.len() as u32);
        dims.iter()
            .fold(raw, |raw, dim| raw.u64(*dim))
            .u32(ty)
            .u64(offset)
    }
    /// Zeros up to the data section and `len` bytes of it.
    pub(super) fn data(mut self, len: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(32) + len, 0);
        self
    }
}

pub(super) const F32: u32 = 0;
const Q4_K: u32 = 12;

/// Broken files by name, and a part of the error that each must give.
fn corrupt_files() -> Vec<(&'static str, Raw, &'static str)> {
    let head = |n_tensors, n_key_values| Raw::header(3, n_tensors, n_key_values);
    let kv = |key: &str| head(0, 1).string(key);
    let padded = |raw: Raw| raw.bytes(&[0; 64]);
    let raw = |bytes: &[u8]| Raw(bytes.to_vec());
    vec![
        ("empty", raw(b""), "the file is empty"),
        (
            "half the magic",
            raw(b"GG"),
            "ends inside its header: the beginning at offset 0 needs 4 bytes and 2 are left",
        ),
        (
            "git-lfs",
            raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"),
            "git-lfs pointer",
        ),
        ("web page", raw(b"\n<!DOCTYPE html><html>"), "web page"),
        (
            "safetensors",
            raw(b"\x10\0\0\0\0\0\0\0{\"a\":{}}        "),
            "safetensors",
        ),
        (
            "ggml",
            raw(b"lmgg\0\0\0\0"),
            "`ggml` model from before GGUF",
        ),
        (
            "ggjt",
            raw(b"tjgg\x03\0\0\0"),
            "`ggjt` model from before GGUF",
        ),
        ("zip", raw(b"PK\x03\x04rest"), "zip archive"),
        ("zeros", raw(&[0; 600]), "begins with zeros"),
        (
            "other magic",
            raw(b"GG\x1b[31mUF"),
            "expected the magic `GGUF`, found `GG\\u{1b}[`",
        ),
        (
            "version 0",
            Raw::header(0, 0, 0),
            "GGUF version 0, expected 2 or 3",
        ),
        (
            "version 1",
            Raw::header(1, 0, 0),
            "GGUF version 1, expected 2 or 3",
        ),
        (
            "version 4",
            Raw::header(4, 0, 0),
            "GGUF version 4, expected 2 or 3",
        ),
        (
            "big-endian",
            Raw::header(3u32.swap_bytes(), 0, 0),
            "big-endian GGUF (version 3)",
        ),
        (
            "no counts",
            raw(b"GGUF").u32(3),
            "the beginning at offset 8 needs 8 bytes and 0 are left",
        ),
        (
            "many key-values",
            head(0, 1 << 60),
            "says 1152921504606846976 key-values, but the 0 bytes that follow have room for 0",
        ),
        (
            "many tensors",
            padded(head(u64::MAX, 0)),
            "says 18446744073709551615 tensors, but the 64 bytes that follow have room for 1",
        ),
        (
            "long key",
            padded(head(0, 1).u64(65_536)),
            "has a key of 65536 bytes, expected at most 65535",
        ),
        (
            "key past the end",
            padded(head(0, 1).u64(65_535)),
            "key-value 0 at offset 32 needs 65535 bytes and 64 are left",
        ),
        (
            "empty key",
            padded(kv("").u32(0)),
            "key-value 0 at offset 24 has an empty key",
        ),
        (
            "key not UTF-8",
            padded(head(0, 1).string(b"a\xff").u32(0)),
            "key `a\\xff`, which is not UTF-8",
        ),
        (
            "key twice",
            padded(head(0, 2).string("k").u32(0).bytes(&[1]).string("k").u32(0)),
            "key `k` is there twice, the second time at offset 38",
        ),
        (
            "value type",
            padded(kv("k").u32(13)),
            "key `k` has value type 13 at offset 33, expected 0 to 12",
        ),
        (
            "bool of 2",
            padded(kv("k").u32(7).bytes(&[2])),
            "key `k` has the bool 2 at offset 37",
        ),
        (
            "array bool of 3",
            padded(kv("k").u32(9).u32(7).u64(3).bytes(&[0, 1, 3])),
            "key `k` has the bool 3 at offset 51",
        ),
        (
            "string past the end",
            padded(kv("k").u32(8).u64(65)),
            "the value of `k` at offset 45 needs 65 bytes and 64 are left",
        ),
        (
            "string without end",
            padded(kv("k").u32(8).u64(u64::MAX)),
            "needs 18446744073709551615 bytes",
        ),
        (
            "array past the end",
            padded(kv("k").u32(9).u32(4).u64(17)),
            "the value of `k` at offset 49 needs 68 bytes and 64 are left",
        ),
        (
            "array that wraps",
            padded(kv("k").u32(9).u32(10).u64(1 << 61)),
            "needs 18446744073709551615 bytes",
        ),
        (
            "many strings",
            padded(kv("k").u32(9).u32(8).u64(9)),
            "says 9 strings, but the 64 bytes that follow have room for 8",
        ),
        (
            "array of arrays",
            padded(kv("k").u32(9).u32(9).u64(1)),
            "key `k` is an array of arrays at offset 37",
        ),
        (
            "array of unknown",
            padded(kv("k").u32(9).u32(99).u64(1)),
            "key `k` has value type 99 at offset 37",
        ),
        (
            "alignment 0",
            padded(kv("general.alignment").u32(4).u32(0)),
            "`general.alignment` is 0, expected a power of two",
        ),
        (
            "alignment 48",
            padded(kv("general.alignment").u32(4).u32(48)),
            "`general.alignment` is 48",
        ),
        (
            "alignment of u64",
            padded(kv("general.alignment").u32(10).u64(32)),
            "`general.alignment` has type u64, expected u32",
        ),
        (
            "empty name",
            padded(head(1, 0).tensor("", &[4], F32, 0)),
            "tensor 0 at offset 24 has an empty name",
        ),
        (
            "long name",
            padded(head(1, 0).tensor(&"x".repeat(64), &[4], F32, 0)),
            "has a name of 64 bytes, expected at most 63",
        ),
        (
            "name not UTF-8",
            padded(head(1, 0).string(b"\xc3(")),
            "the name `\\xc3(`, which is not UTF-8",
        ),
        (
            "tensor twice",
            head(2, 0)
                .tensor("a", &[8], F32, 0)
                .tensor("a", &[8], F32, 32)
                .data(64),
            "tensor `a` is there twice, the second time at offset 57",
        ),
        (
            "no dimensions",
            padded(head(1, 0).tensor("a", &[], F32, 0)),
            "tensor `a` has 0 dimensions at offset 33, expected 1 to 4",
        ),
        (
            "five dimensions",
            padded(head(1, 0).tensor("a", &[1; 5], F32, 0)),
            "tensor `a` has 5 dimensions",
        ),
        (
            "shape that wraps",
            head(1, 0).tensor("a", &[1 << 32, 1 << 32], F32, 0).data(32),
            "tensor `a` of shape [4294967296, 4294967296] is too large",
        ),
        (
            "negative dimension",
            head(1, 0).tensor("a", &[u64::MAX], F32, 0).data(32),
            "is too large to address",
        ),
        (
            "bytes that wrap",
            head(1, 0).tensor("a", &[1 << 62], F32, 0).data(32),
            "is too large to address",
        ),
        (
            "unknown ggml type",
            head(1, 0).tensor("a", &[32], 4, 0).data(32),
            "tensor `a` has ggml type 4 at offset 45, which was Q4_2 until llama.cpp withdrew it: take the model in Q4_0",
        ),
        (
            "row of half a block",
            head(1, 0).tensor("a", &[128, 2], Q4_K, 0).data(144),
            "tensor `a` has rows of 128 weights, expected a multiple of 256 for Q4_K",
        ),
        (
            "odd offset",
            head(1, 0).tensor("a", &[8], F32, 16).data(64),
            "tensor `a` has data offset 16, expected a multiple of 32",
        ),
        (
            "wild offset",
            head(1, 0).tensor("a", &[8], F32, 1 << 40).data(64),
            "tensor `a` has data offset 1099511627776, but all tensor data is 32 bytes",
        ),
        (
            "overlap",
            head(2, 0)
                .tensor("b", &[8], F32, 32)
                .tensor("a", &[16], F32, 0)
                .data(96),
            "tensors `a` and `b` overlap at data offset 32",
        ),
        (
            "same place",
            head(2, 0)
                .tensor("a", &[8], F32, 0)
                .tensor("b", &[8], F32, 0)
                .data(64),
            "tensors `a` and `b` overlap at data offset 0",
        ),
        (
            "data cut",
            head(1, 0).tensor("a", &[8], F32, 0).data(30),
            "2 bytes are missing: the tensors need a file of 96 bytes, found 94; the download was probably cut",
        ),
        (
            "no data",
            head(1, 0).tensor("a", &[8], F32, 0),
            "39 bytes are missing",
        ),
        (
            "name that plays",
            head(1, 0).tensor("\x1b[2J", &[8], 99, 0).data(32),
            "tensor `\\u{1b}[2J` has ggml type 99",
        ),
    ]
}

#[test]
fn corrupt_files_are_refused_with_the_reason() {
    let mut wrong = Vec::new();
    for (name, file, expected) in corrupt_files() {
        let found = parse(&file.0).map_or_else(|error| error.to_string(), |_| "Ok".to_owned());
        if !found.contains(expected) || found.contains('\n') {
            wrong.push(format!(
                "{name}:\n  expected {expected}\n  found    {found}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
