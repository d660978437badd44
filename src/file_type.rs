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
    Q8_0,
    Q4_K_S,
    Q4_K_M,
    Q5_K_S,
    Q5_K_M,
    Q6_K,
    BF16,
}

/// A name that is no file type.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a file type, expected one of {names}", names = FileType::names())]
pub struct UnknownFileType(String);

impl FileType {
    /// Every file type, the usual choice first, then from small to large.
    pub const ALL: [Self; 9] = [
        Self::Q4_K_M,
        Self::Q4_K_S,
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
            Self::Q8_0 => "Q8_0",
            Self::Q4_K_S => "Q4_K_S",
            Self::Q4_K_M => "Q4_K_M",
            Self::Q5_K_S => "Q5_K_S",
            Self::Q5_K_M => "Q5_K_M",
            Self::Q6_K => "Q6_K",
            Self::BF16 => "BF16",
        }
    }

    /// The number in `general.file_type` (`enum llama_ftype` of llama.h).
    pub fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
            Self::Q4_K_S => 14,
            Self::Q4_K_M => 15,
            Self::Q5_K_S => 16,
            Self::Q5_K_M => 17,
            Self::Q6_K => 18,
            Self::BF16 => 32,
        }
    }

    /// The type of a tensor that no rule of the mix treats otherwise.
    pub fn default_type(self) -> GgmlType {
        match self {
            Self::F32 => GgmlType::F32,
            Self::F16 => GgmlType::F16,
            Self::Q8_0 => GgmlType::Q8_0,
            Self::Q4_K_S | Self::Q4_K_M => GgmlType::Q4_K,
            Self::Q5_K_S | Self::Q5_K_M => GgmlType::Q5_K,
            Self::Q6_K => GgmlType::Q6_K,
            Self::BF16 => GgmlType::BF16,
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl FromStr for FileType {
    type Err = UnknownFileType;

    fn from_str(name: &str) -> Result<Self, UnknownFileType> {
        Self::ALL
            .into_iter()
            .find(|t| t.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownFileType(name.to_owned()))
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
        for t in FileType::ALL {
            assert_eq!(t.name().to_lowercase().parse(), Ok(t));
            let name = file_type_name(u64::from(t.id())).unwrap();
            assert!(name.contains(t.name()), "{t}: {name}");
        }
        let error = "q4".parse::<FileType>().unwrap_err().to_string();
        assert!(error.contains("expected one of Q4_K_M, Q4_K_S"), "{error}");
    }
}
