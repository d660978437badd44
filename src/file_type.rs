//! The file types we write: what a user asks for with `-t`.

use std::{fmt, str::FromStr};

use swallow_quant::GgmlType;

/// A file type: the mix of tensor types that goes by one name (`llama_ftype`).
#[allow(non_camel_case_types, reason = "the field writes Q4_K_M")]
#[allow(missing_docs, reason = "the variants are the field's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q8_0,
    Q5_0,
    Q5_1,
    Q2_K,
    Q3_K_S,
    Q3_K_M,
    Q3_K_L,
    Q4_K_S,
    Q4_K_M,
    Q5_K_S,
    Q5_K_M,
    Q6_K,
    Q2_K_S,
    IQ4_NL,
    IQ4_XS,
    BF16,
}

/// A name that is no file type on offer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownFileType {
    /// There is no such file type.
    #[error("`{0}` is not a file type, expected one of {names}", names = offered_names())]
    Name(String),
    /// There is, but not all of its tensor types are ones we write.
    #[error(
        "`{file_type}` needs tensors of {types}, which are not written yet, expected one of {names}",
        types = missing.iter().map(|ty| ty.name()).collect::<Vec<_>>().join(" and "),
        names = offered_names()
    )]
    NotWritten {
        /// The file type asked for.
        file_type: FileType,
        /// What is missing for it.
        missing: Vec<GgmlType>,
    },
}

impl FileType {
    /// Every file type, the usual choice first, then from small to large.
    pub const ALL: [Self; 20] = [
        Self::Q4_K_M,
        Self::Q2_K,
        Self::Q2_K_S,
        Self::Q3_K_S,
        Self::Q3_K_M,
        Self::Q3_K_L,
        Self::IQ4_XS,
        Self::IQ4_NL,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q4_K_S,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q5_K_S,
        Self::Q5_K_M,
        Self::Q6_K,
        Self::Q8_0,
        Self::F16,
        Self::BF16,
        Self::F32,
    ];

    /// The name that llama-quantize knows.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q8_0 => "Q8_0",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q2_K => "Q2_K",
            Self::Q3_K_S => "Q3_K_S",
            Self::Q3_K_M => "Q3_K_M",
            Self::Q3_K_L => "Q3_K_L",
            Self::Q4_K_S => "Q4_K_S",
            Self::Q4_K_M => "Q4_K_M",
            Self::Q5_K_S => "Q5_K_S",
            Self::Q5_K_M => "Q5_K_M",
            Self::Q6_K => "Q6_K",
            Self::Q2_K_S => "Q2_K_S",
            Self::IQ4_NL => "IQ4_NL",
            Self::IQ4_XS => "IQ4_XS",
            Self::BF16 => "BF16",
        }
    }

    /// The number in `general.file_type` (`enum llama_ftype` of llama.h).
    pub fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 7,
            Self::Q5_0 => 8,
            Self::Q5_1 => 9,
            Self::Q2_K => 10,
            Self::Q3_K_S => 11,
            Self::Q3_K_M => 12,
            Self::Q3_K_L => 13,
            Self::Q4_K_S => 14,
            Self::Q4_K_M => 15,
            Self::Q5_K_S => 16,
            Self::Q5_K_M => 17,
            Self::Q6_K => 18,
            Self::Q2_K_S => 21,
            Self::IQ4_NL => 25,
            Self::IQ4_XS => 30,
            Self::BF16 => 32,
        }
    }

    /// The type of a tensor that no rule of the mix treats otherwise.
    pub fn default_type(self) -> GgmlType {
        match self {
            Self::F32 => GgmlType::F32,
            Self::F16 => GgmlType::F16,
            Self::Q4_0 => GgmlType::Q4_0,
            Self::Q4_1 => GgmlType::Q4_1,
            Self::Q8_0 => GgmlType::Q8_0,
            Self::Q5_0 => GgmlType::Q5_0,
            Self::Q5_1 => GgmlType::Q5_1,
            Self::Q2_K | Self::Q2_K_S => GgmlType::Q2_K,
            Self::Q3_K_S | Self::Q3_K_M | Self::Q3_K_L => GgmlType::Q3_K,
            Self::Q4_K_S | Self::Q4_K_M => GgmlType::Q4_K,
            Self::Q5_K_S | Self::Q5_K_M => GgmlType::Q5_K,
            Self::Q6_K => GgmlType::Q6_K,
            Self::IQ4_NL => GgmlType::IQ4_NL,
            Self::IQ4_XS => GgmlType::IQ4_XS,
            Self::BF16 => GgmlType::BF16,
        }
    }

    /// Every type that a tensor can get from the mix, with an importance matrix or without, or from
    /// the fallback for odd row lengths, F32 and F16 aside.
    pub fn tensor_types(self) -> &'static [GgmlType] {
        use GgmlType::*;
        match self {
            Self::F32 | Self::F16 => &[],
            Self::BF16 => &[BF16],
            Self::Q8_0 => &[Q8_0],
            Self::Q6_K => &[Q6_K, Q8_0],
            Self::Q4_0 => &[Q4_0, Q4_1, Q6_K, Q8_0],
            Self::Q4_1 => &[Q4_1, Q6_K, Q8_0],
            Self::Q5_0 => &[Q5_0, Q5_1, Q6_K, Q8_0],
            Self::Q5_1 => &[Q5_1, Q6_K, Q8_0],
            Self::Q2_K => &[Q2_K, Q3_K, Q4_0, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0],
            Self::Q2_K_S => &[Q2_K, Q4_0, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0],
            Self::Q3_K_S => &[Q3_K, Q4_0, Q5_1, Q5_K, Q6_K, Q8_0],
            Self::Q3_K_M => &[Q3_K, Q4_0, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0],
            Self::Q3_K_L => &[Q3_K, Q4_0, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0],
            Self::Q4_K_S | Self::Q4_K_M => &[Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0],
            Self::Q5_K_S | Self::Q5_K_M => &[Q5_K, Q5_1, Q6_K, Q8_0],
            Self::IQ4_NL => &[IQ4_NL, Q5_1, Q5_K, Q6_K, Q8_0],
            Self::IQ4_XS => &[IQ4_XS, IQ4_NL, Q5_1, Q5_K, Q6_K, Q8_0],
        }
    }

    /// The file types whose every tensor type we write, in the order of [`FileType::ALL`].
    pub fn offered() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|t| t.missing().is_empty())
    }

    /// The tensor types of this file type that we do not write.
    fn missing(self) -> Vec<GgmlType> {
        let types = self.tensor_types().iter().copied();
        types
            .filter(|ty| !swallow_quant::can_quantize(*ty))
            .collect()
    }
}

/// The names of the file types on offer, the usual one first.
pub fn offered_names() -> String {
    let names: Vec<&str> = FileType::offered().map(FileType::name).collect();
    names.join(", ")
}

/// The short names that llama-quantize takes for the middle of a family.
const ALIASES: [(&str, FileType); 3] = [
    ("Q3_K", FileType::Q3_K_M),
    ("Q4_K", FileType::Q4_K_M),
    ("Q5_K", FileType::Q5_K_M),
];

impl FromStr for FileType {
    type Err = UnknownFileType;

    fn from_str(name: &str) -> Result<Self, UnknownFileType> {
        let file_type = Self::ALL
            .into_iter()
            .map(|t| (t.name(), t))
            .chain(ALIASES)
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, t)| t)
            .ok_or_else(|| UnknownFileType::Name(name.to_owned()))?;
        match file_type.missing() {
            missing if missing.is_empty() => Ok(file_type),
            missing => Err(UnknownFileType::NotWritten { file_type, missing }),
        }
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::file_type_name;

    #[test]
    fn names_are_read_in_any_case_and_numbers_are_llama_cpps() {
        assert_eq!("q4_k_m".parse(), Ok(FileType::Q4_K_M));
        assert_eq!("q5_k".parse(), Ok(FileType::Q5_K_M));
        for t in FileType::offered() {
            assert_eq!(t.name().to_lowercase().parse(), Ok(t));
        }
        for t in FileType::ALL {
            let name = file_type_name(u64::from(t.id())).unwrap();
            assert_eq!(name, t.name());
        }
        let error = "q4".parse::<FileType>().unwrap_err().to_string();
        assert!(error.contains("expected one of Q4_K_M, "), "{error}");
    }

    #[test]
    fn a_file_type_is_offered_when_all_its_tensor_types_are_written() {
        for t in FileType::ALL {
            assert!(
                t.default_type() == GgmlType::F32
                    || t.default_type() == GgmlType::F16
                    || t.tensor_types().contains(&t.default_type()),
                "{t}"
            );
            let missing = t.missing();
            assert_eq!(missing.is_empty(), FileType::offered().any(|o| o == t));
            if let Some(ty) = missing.first() {
                let error = t.name().parse::<FileType>().unwrap_err().to_string();
                let needs = format!("`{t}` needs tensors of {ty}");
                assert!(error.starts_with(&needs), "{error}");
            }
        }
    }
}
