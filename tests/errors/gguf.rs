//! Errors of `src/gguf`: files that are built by hand, whole but for one thing.

use std::{
    error::Error,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use swallow_gguf::gguf::{FormatError, Gguf, LayoutError, ReadError, TensorInfo};
use swallow_quant::GgmlType;

use super::{Section, Variants, variants};

variants!(ReadError {
    Open,
    NotThere,
    Folder,
    NotAFile,
    Format
});

variants!(FormatError {
    Io,
    Empty,
    Foreign,
    BigEndian,
    Version,
    HeaderCut,
    HeaderTooLarge,
    Count,
    EmptyKey,
    LongKey,
    KeyNotUtf8,
    DuplicateKey,
    ValueType,
    NestedArray,
    Bool,
    AlignmentType,
    Alignment,
    EmptyName,
    LongName,
    NameNotUtf8,
    DuplicateTensor,
    Dims,
    TensorType,
    Misaligned,
    OffsetBeyondData,
    Overlap,
    DataCut,
} hands_on { Shape });

variants!(LayoutError {
    Name,
    Dims,
    Row,
    TooLarge
});

pub(super) fn errors(list: &mut Section) {
    list.want::<ReadError>();
    list.want::<FormatError>();
    list.want::<LayoutError>();
    files(list);
    let maker = Maker(list.dir().to_owned());
    foreign(list, &maker);
    headers(list, &maker);
    key_values(list, &maker);
    tensors(list, &maker);
    layout(list);
}

/// A file in the making.
struct Raw(Vec<u8>);

impl Raw {
    /// A header that announces so many tensors and key-values.
    fn head(n_tensors: u64, n_key_values: u64) -> Self {
        Self(b"GGUF".to_vec())
            .u32(3)
            .u64(n_tensors)
            .u64(n_key_values)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn u32(self, n: u32) -> Self {
        self.bytes(&n.to_le_bytes())
    }

    fn u64(self, n: u64) -> Self {
        self.bytes(&n.to_le_bytes())
    }

    fn string(self, s: impl AsRef<[u8]>) -> Self {
        self.u64(s.as_ref().len() as u64).bytes(s.as_ref())
    }

    fn tensor(self, name: &str, dims: &[u64], ty: u32, offset: u64) -> Self {
        let raw = self.string(name).u32(dims.len() as u32);
        let raw = dims.iter().fold(raw, |raw, dim| raw.u64(*dim));
        raw.u32(ty).u64(offset)
    }

    /// Zeros up to the data section and `len` bytes of it.
    fn data(mut self, len: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(32) + len, 0);
        self
    }
}

/// One key-value and its value type.
fn key(key: &str, ty: u32) -> Raw {
    Raw::head(0, 1).string(key).u32(ty)
}

/// What is wrong with a file's bytes, as it is told of the file.
#[derive(Debug)]
struct Broken(ReadError);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Variants for Broken {
    const NAME: &'static str = FormatError::NAME;
    const ALL: &'static [&'static str] = FormatError::ALL;

    fn variant(&self) -> &'static str {
        match &self.0 {
            ReadError::Format { source, .. } => source.variant(),
            other => panic!("{other}"),
        }
    }
}

/// Where files are made.
struct Maker(PathBuf);

impl Maker {
    fn broken(&self, raw: Raw) -> Broken {
        let len = raw.0.len() as u64;
        self.broken_of(raw, len)
    }

    /// As [`Self::broken`], of a file that is `len` bytes long.
    fn broken_of(&self, raw: Raw, len: u64) -> Broken {
        let path = self.0.join("model.gguf");
        fs::write(&path, raw.0).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(len)
            .unwrap();
        Broken(open(&path))
    }
}

fn open(path: &Path) -> ReadError {
    Gguf::open(path).unwrap_err()
}

fn files(list: &mut Section) {
    let dir = list.dir().to_owned();
    let open = |name: &str| open(&dir.join(name));
    list.add("no such file", open("model.gguf"));
    fs::write(dir.join("swallow-Q4_K_M.gguf"), b"GGUF").unwrap();
    list.add("a slip in its name", open("swallow-Q4_K_S.gguf"));
    list.add("a name without its ending", open("swallow-Q4_K_M"));
    fs::write(dir.join("large-00001-of-00002.gguf"), b"GGUF").unwrap();
    list.add("the name of a model that is split", open("large.gguf"));
    list.add(
        "a part that is not there",
        open("large-00002-of-00002.gguf"),
    );
    list.add(
        "a file that was cut after its magic",
        open("swallow-Q4_K_M.gguf"),
    );
    fs::create_dir(dir.join("folder")).unwrap();
    list.add("a folder", open("folder"));
    fs::write(dir.join("folder/config.json"), "{}").unwrap();
    list.add("a checkpoint's folder", open("folder"));
    fs::remove_file(dir.join("folder/config.json")).unwrap();
    fs::copy(dir.join("swallow-Q4_K_M.gguf"), dir.join("folder/a.gguf")).unwrap();
    list.add("a folder with a model", open("folder"));
    list.add("a file below a file", open("swallow-Q4_K_M.gguf/x.gguf"));
    list.add(
        "a device",
        ReadError::NotAFile {
            path: dir.join("pipe"),
        },
    );
    list.add(
        "a disk that fails",
        Broken(ReadError::Format {
            path: dir.join("model.gguf"),
            source: FormatError::Io {
                offset: 4096,
                source: io::Error::other("Input/output error"),
            },
        }),
    );
}

fn foreign(list: &mut Section, maker: &Maker) {
    let safetensors = [&16u64.to_le_bytes()[..], b"{\"a\":1}         "].concat();
    for (case, bytes) in [
        ("an empty file", &b""[..]),
        (
            "a pointer of git-lfs",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 7866000000\n",
        ),
        ("a web page", b"<!DOCTYPE html>"),
        ("safetensors", &safetensors),
        ("a model of 2023", b"tjgg\x03\0\0\0"),
        ("a zip archive, as PyTorch's", b"PK\x03\x04rest"),
        ("a pickle", b"\x80\x02}q\x01"),
        ("zeros", &[0; 600]),
        ("anything else", b"a text\n"),
    ] {
        list.add(case, maker.broken(Raw(bytes.to_vec())));
    }
}

fn headers(list: &mut Section, maker: &Maker) {
    let version = |version: u32| maker.broken(Raw(b"GGUF".to_vec()).u32(version).u64(0).u64(0));
    list.add("version 1", version(1));
    list.add("a version to come", version(4));
    list.add("a big-endian file", version(3u32.swap_bytes()));
    list.add(
        "a cut header",
        maker.broken(key("general.name", 8).u64(700)),
    );
    let raw = key("tokenizer.ggml.tokens", 8).u64(1 << 30);
    list.add("a key of a gigabyte", maker.broken_of(raw, 1 << 31));
    list.add(
        "more tensors than there is room for",
        maker.broken(Raw::head(u64::MAX, 0).data(64)),
    );
}

fn key_values(list: &mut Section, maker: &Maker) {
    let padded = |raw: Raw| maker.broken(raw.bytes(&[0; 64]));
    list.add("a key of no letters", padded(key("", 0)));
    list.add(
        "a key that is too long",
        padded(Raw::head(0, 1).u64(65_536)),
    );
    list.add(
        "a key that is no text",
        padded(Raw::head(0, 1).string(b"a\xff")),
    );
    let twice = Raw::head(0, 2).string("k").u32(0).bytes(&[1]).string("k");
    list.add("a key twice", padded(twice));
    list.add("a value of an unknown type", padded(key("k", 13)));
    list.add("an array of arrays", padded(key("k", 9).u32(9).u64(1)));
    list.add("a bool of 2", padded(key("k", 7).bytes(&[2])));
    list.add(
        "an alignment of another type",
        padded(key("general.alignment", 10).u64(32)),
    );
    list.add(
        "an alignment that is none",
        padded(key("general.alignment", 4).u32(48)),
    );
}

fn tensors(list: &mut Section, maker: &Maker) {
    const F32: u32 = 0;
    const Q4_K: u32 = 12;
    let one = |name: &str, dims: &[u64], ty, offset| {
        maker.broken(Raw::head(1, 0).tensor(name, dims, ty, offset).data(64))
    };
    list.add("a tensor without a name", one("", &[4], F32, 0));
    list.add(
        "a name that is too long",
        one(&"x".repeat(64), &[4], F32, 0),
    );
    let raw = Raw::head(1, 0).string(b"\xc3(").data(64);
    list.add("a name that is no text", maker.broken(raw));
    let two = |a: (&str, u64), b: (&str, u64)| {
        let raw = Raw::head(2, 0).tensor(a.0, &[8], F32, a.1);
        maker.broken(raw.tensor(b.0, &[8], F32, b.1).data(64))
    };
    list.add("a tensor twice", two(("a", 0), ("a", 32)));
    list.add("two tensors in one place", two(("a", 0), ("b", 0)));
    list.add("five dimensions", one("a", &[1; 5], F32, 0));
    list.add("a type of tomorrow", one("a", &[32], 99, 0));
    list.add("a type that was withdrawn", one("a", &[32], 4, 0));
    list.add(
        "half a block",
        one("blk.0.attn_q.weight", &[128, 2], Q4_K, 0),
    );
    list.add("an odd offset", one("a", &[8], F32, 16));
    list.add("a wild offset", one("a", &[8], F32, 1 << 40));
    list.add("a cut file", one("a", &[64], F32, 0));
}

fn layout(list: &mut Section) {
    let refused = |name: &str, dims: &[u64], ty| {
        TensorInfo::new(name.to_owned(), dims.to_vec(), ty).unwrap_err()
    };
    list.add(
        "a name that ggml has no room for",
        refused(&"x".repeat(64), &[4], GgmlType::F32),
    );
    list.add("no dimensions", refused("a", &[], GgmlType::F32));
    list.add(
        "rows of no whole blocks",
        refused("a", &[100, 2], GgmlType::Q4_K),
    );
    list.add(
        "a tensor that nothing holds",
        refused("a", &[1 << 62], GgmlType::F32),
    );
}
