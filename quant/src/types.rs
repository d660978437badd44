//! The ggml tensor types: number in a GGUF, name, block length and block size.

/// Declares [`GgmlType`] and its table in one place, so that no type can miss a column.
macro_rules! ggml_types {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $block_len:literal, $block_bytes:literal;)*) => {
        /// A ggml tensor type, as numbered in `enum ggml_type` of ggml.h.
        #[allow(non_camel_case_types, reason = "the field writes Q4_K, not Q4K")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum GgmlType { $($(#[$doc])* $variant = $id,)* }

        impl GgmlType {
            /// Every type, in the order of their numbers.
            pub const ALL: &'static [GgmlType] = &[$(GgmlType::$variant,)*];

            /// The type with this number in a GGUF file, if it is one we know.
            pub fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$variant),)* _ => None }
            }

            /// The name llama.cpp prints, for example `Q4_K`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Weights in one block: 1 for plain numbers, 32 or 256 for block formats.
            pub fn block_len(self) -> usize {
                match self { $(Self::$variant => $block_len,)* }
            }

            /// Bytes of one block.
            pub fn block_bytes(self) -> usize {
                match self { $(Self::$variant => $block_bytes,)* }
            }
        }
    };
}

ggml_types! {
    /// IEEE single precision.
    F32 = 0, "F32", 1, 4;
    /// IEEE half precision.
    F16 = 1, "F16", 1, 2;
    /// 4 bits, one f16 scale for 32 weights.
    Q4_0 = 2, "Q4_0", 32, 18;
    /// 4 bits, f16 scale and minimum for 32 weights.
    Q4_1 = 3, "Q4_1", 32, 20;
    /// 5 bits, one f16 scale for 32 weights.
    Q5_0 = 6, "Q5_0", 32, 22;
    /// 5 bits, f16 scale and minimum for 32 weights.
    Q5_1 = 7, "Q5_1", 32, 24;
    /// 8 bits, one f16 scale for 32 weights.
    Q8_0 = 8, "Q8_0", 32, 34;
    /// 8 bits with scale and sum; an intermediate of dot products.
    Q8_1 = 9, "Q8_1", 32, 36;
    /// 2 bits, 4-bit scales and minimums for 16 weights each.
    Q2_K = 10, "Q2_K", 256, 84;
    /// 3 bits, 6-bit scales for 16 weights each.
    Q3_K = 11, "Q3_K", 256, 110;
    /// 4 bits, 6-bit scales and minimums for 32 weights each.
    Q4_K = 12, "Q4_K", 256, 144;
    /// 5 bits, 6-bit scales and minimums for 32 weights each.
    Q5_K = 13, "Q5_K", 256, 176;
    /// 6 bits, 8-bit scales for 16 weights each.
    Q6_K = 14, "Q6_K", 256, 210;
    /// 8 bits with sums; an intermediate of dot products.
    Q8_K = 15, "Q8_K", 256, 292;
    /// 2.06 bits.
    IQ2_XXS = 16, "IQ2_XXS", 256, 66;
    /// 2.31 bits.
    IQ2_XS = 17, "IQ2_XS", 256, 74;
    /// 3.06 bits.
    IQ3_XXS = 18, "IQ3_XXS", 256, 98;
    /// 1.56 bits.
    IQ1_S = 19, "IQ1_S", 256, 50;
    /// 4 bits on a non-linear grid.
    IQ4_NL = 20, "IQ4_NL", 32, 18;
    /// 3.44 bits.
    IQ3_S = 21, "IQ3_S", 256, 110;
    /// 2.56 bits.
    IQ2_S = 22, "IQ2_S", 256, 82;
    /// 4.25 bits on a non-linear grid.
    IQ4_XS = 23, "IQ4_XS", 256, 136;
    /// 8-bit integer.
    I8 = 24, "I8", 1, 1;
    /// 16-bit integer.
    I16 = 25, "I16", 1, 2;
    /// 32-bit integer.
    I32 = 26, "I32", 1, 4;
    /// 64-bit integer.
    I64 = 27, "I64", 1, 8;
    /// IEEE double precision.
    F64 = 28, "F64", 1, 8;
    /// 1.75 bits.
    IQ1_M = 29, "IQ1_M", 256, 56;
    /// bfloat16.
    BF16 = 30, "BF16", 1, 2;
    /// Ternary, 1.69 bits.
    TQ1_0 = 34, "TQ1_0", 256, 54;
    /// Ternary, 2.06 bits.
    TQ2_0 = 35, "TQ2_0", 256, 66;
    /// OCP microscaling, 4 bits.
    MXFP4 = 39, "MXFP4", 32, 17;
    /// NVIDIA's 4 bits: an 8-bit scale for 16 weights each.
    NVFP4 = 40, "NVFP4", 64, 36;
    /// 1 bit, one f16 scale for 128 weights.
    Q1_0 = 41, "Q1_0", 128, 18;
    /// 2 bits, one f16 scale for 64 weights.
    Q2_0 = 42, "Q2_0", 64, 18;
}

impl GgmlType {
    /// Bytes of a row of `n` weights, or `None` where `n` is not a multiple of the block length
    /// or the size does not fit.
    pub fn row_bytes(self, n: usize) -> Option<usize> {
        if !n.is_multiple_of(self.block_len()) {
            return None;
        }
        (n / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Whether weights are stored in blocks with scales, rather than one by one.
    pub fn is_quantized(self) -> bool {
        self.block_len() > 1
    }
}

impl std::fmt::Display for GgmlType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
