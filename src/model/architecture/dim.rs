//! Lengths that shapes are made of.

/// A length that config.json decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A number that is the same in every model.
    N(u64),
    /// Width of the residual stream.
    Embd,
    /// Width of a dense feed-forward network.
    Ff,
    /// Rows of the query projection.
    Q,
    /// Rows of the key projection, and of the value projection.
    Kv,
    /// Query heads.
    Heads,
    /// Key and value heads.
    HeadsKv,
    /// Width of a head.
    HeadDim,
    /// Entries of the vocabulary.
    Vocab,
    /// Experts.
    Expert,
    /// Width of an expert's feed-forward network.
    ExpertFf,
    /// Width of the shared experts' feed-forward network.
    SharedFf,
    /// Query rows that share a key head.
    QOfGroup,
    /// One length behind the other.
    Sum(&'static [Self]),
    /// Lengths multiplied.
    Product(&'static [Self]),
}

/// The lengths of one model; `None` where nothing says them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of `Dim`")]
pub struct Lengths {
    pub embd: Option<u64>,
    pub ff: Option<u64>,
    pub heads: Option<u64>,
    pub heads_kv: Option<u64>,
    pub head_dim: Option<u64>,
    pub vocab: Option<u64>,
    /// 0 for a dense model.
    pub experts: Option<u64>,
    pub expert_ff: Option<u64>,
    pub shared_ff: Option<u64>,
}

impl Dim {
    /// The length in a model with these lengths.
    pub fn of(self, lengths: &Lengths) -> Option<u64> {
        let times = |a: Option<u64>, b: Option<u64>| a?.checked_mul(b?);
        match self {
            Self::N(n) => Some(n),
            Self::Embd => lengths.embd,
            Self::Ff => lengths.ff,
            Self::Q => times(lengths.heads, lengths.head_dim),
            Self::Kv => times(lengths.heads_kv, lengths.head_dim),
            Self::Heads => lengths.heads,
            Self::HeadsKv => lengths.heads_kv,
            Self::HeadDim => lengths.head_dim,
            Self::Vocab => lengths.vocab,
            Self::Expert => lengths.experts,
            Self::ExpertFf => lengths.expert_ff,
            Self::SharedFf => lengths.shared_ff,
            Self::QOfGroup => Self::Q.of(lengths)?.checked_div(lengths.heads_kv?),
            Self::Sum(dims) => dims
                .iter()
                .try_fold(0u64, |sum, dim| sum.checked_add(dim.of(lengths)?)),
            Self::Product(dims) => dims
                .iter()
                .try_fold(1u64, |product, dim| product.checked_mul(dim.of(lengths)?)),
        }
    }

    /// The length of each dimension; `None` where one is not known.
    pub fn all(dims: &[Self], lengths: &Lengths) -> Option<Vec<u64>> {
        dims.iter().map(|dim| dim.of(lengths)).collect()
    }
}
