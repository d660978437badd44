//! The lengths that shapes are made of, and what config.json calls them.

use super::{ConfigError, ModelConfig};
use crate::model::architecture::{Dim, Lengths, Presence, Row};

impl ModelConfig {
    /// The lengths that the shapes of its tensors are made of.
    pub fn lengths(&self) -> Lengths {
        let some = |n: u32| Some(u64::from(n));
        Lengths {
            embd: some(self.n_embd),
            ff: some(self.n_ff),
            heads: some(self.n_head),
            heads_kv: some(self.n_head_kv),
            head_dim: some(self.head_dim),
            vocab: some(self.n_vocab),
            experts: some(self.experts.map_or(0, |(n, _)| n)),
            expert_ff: self.n_ff_expert.map(u64::from),
            shared_ff: self.n_ff_shared.map(u64::from),
        }
    }

    /// The keys of config.json that decide a length, for messages.
    pub fn keys_of(&self, dim: Dim) -> String {
        // The spelling that counts.
        let first = |keys: &[&'static str]| {
            let found = self.hparams.find(keys).map(|(key, _)| key);
            format!("`{}`", found.or(keys.first().copied()).unwrap_or_default())
        };
        let joined = |dims: &[Dim]| {
            let mut keys: Vec<String> = Vec::new();
            for key in dims.iter().map(|dim| self.keys_of(*dim)) {
                if !key.is_empty() && !keys.contains(&key) {
                    keys.push(key);
                }
            }
            keys.join(" and ")
        };
        let experts = self.architecture.experts;
        match dim {
            Dim::N(_) => String::new(),
            Dim::Embd => "`hidden_size`".into(),
            Dim::Ff => "`intermediate_size`".into(),
            Dim::Q => "`num_attention_heads` times `head_dim`".into(),
            Dim::Kv => "`num_key_value_heads` times `head_dim`".into(),
            Dim::Heads => "`num_attention_heads`".into(),
            Dim::HeadsKv => "`num_key_value_heads`".into(),
            Dim::HeadDim => "`head_dim`".into(),
            Dim::Vocab => "`vocab_size`".into(),
            Dim::Expert => experts.map_or(String::new(), |rule| first(rule.count)),
            Dim::ExpertFf => experts.map_or(String::new(), |rule| first(rule.ff)),
            Dim::SharedFf => experts.map_or(String::new(), |rule| {
                let keys: Vec<String> = rule.shared_ff.iter().map(|keys| first(keys)).collect();
                keys.join(" times ")
            }),
            Dim::QOfGroup => "`num_attention_heads` and `num_key_value_heads`".into(),
            Dim::Sum(dims) | Dim::Product(dims) => joined(dims),
        }
    }

    /// Rows of the query projection.
    pub fn n_embd_q(&self) -> u64 {
        u64::from(self.n_head) * u64::from(self.head_dim)
    }

    /// Rows of the key projection, and of the value projection.
    pub fn n_embd_kv(&self) -> u64 {
        u64::from(self.n_head_kv) * u64::from(self.head_dim)
    }

    /// Fails where a tensor that must be there has a length that nothing says.
    pub(super) fn require_lengths(&self) -> Result<(), ConfigError> {
        let lengths = self.lengths();
        let layers = 0..self.n_layer;
        let is_there = |row: &Row| layers.clone().any(|layer| self.has_row(row, layer));
        for row in self.architecture.rows() {
            if row.presence != Presence::Needed || !is_there(row) {
                continue;
            }
            if let Some(dim) = row.shape.iter().find(|dim| dim.of(&lengths).is_none()) {
                let key = self.keys_of(*dim);
                return Err(ConfigError::MissingLength {
                    key,
                    tensor: row.target,
                });
            }
        }
        Ok(())
    }
}
