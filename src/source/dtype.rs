//! Number formats of safetensors.

use swallow_quant::GgmlType;

/// A number format that a weight may have in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// bfloat16, 2 bytes.
    Bf16,
    /// IEEE half precision, 2 bytes.
    F16,
    /// IEEE single precision, 4 bytes.
    F32,
}

impl Dtype {
    /// The supported format that safetensors writes as `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "BF16" => Some(Self::Bf16),
            "F16" => Some(Self::F16),
            "F32" => Some(Self::F32),
            _ => None,
        }
    }

    /// The supported format that torch, config.json and merge recipes call `name`.
    pub fn from_torch_name(name: &str) -> Option<Self> {
        match name.strip_prefix("torch.").unwrap_or(name) {
            "bfloat16" => Some(Self::Bf16),
            "float16" => Some(Self::F16),
            "float32" => Some(Self::F32),
            _ => None,
        }
    }

    /// What torch and config.json call it.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
            Self::F32 => "float32",
        }
    }

    /// The format with the representation of a ggml type, where there is one.
    pub fn from_ggml(ty: GgmlType) -> Option<Self> {
        [Self::Bf16, Self::F16, Self::F32]
            .into_iter()
            .find(|dtype| dtype.ggml_type() == ty)
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// The ggml type with the same representation.
    pub fn ggml_type(self) -> GgmlType {
        match self {
            Self::Bf16 => GgmlType::BF16,
            Self::F16 => GgmlType::F16,
            Self::F32 => GgmlType::F32,
        }
    }

    /// Converts little-endian numbers to f32; `src` holds `dst.len()` numbers.
    pub fn to_f32(self, src: &[u8], dst: &mut [f32]) {
        match self {
            Self::Bf16 => swallow_quant::bf16_to_f32(src, dst),
            Self::F16 => swallow_quant::f16_to_f32(src, dst),
            Self::F32 => swallow_quant::f32_to_f32(src, dst),
        }
    }
}

/// Bytes of one number of any format that safetensors knows; `None` for a name we do not know or
/// one that is not a whole number of bytes.
pub(super) fn bytes_of(name: &str) -> Option<u64> {
    match name {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => Some(1),
        "BF16" | "F16" | "I16" | "U16" => Some(2),
        "F32" | "I32" | "U32" => Some(4),
        "F64" | "I64" | "U64" | "C64" => Some(8),
        _ => None,
    }
}
