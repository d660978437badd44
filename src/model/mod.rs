//! What a checkpoint is: `config.json` → hyper-parameters, names → tensors, tokenizer files →
//! vocabulary, model card → metadata. What differs between families of models is data, in [`families`],
//! in the words of [`architecture`].

pub mod architecture;
mod card;
pub mod chat_template;
pub mod config;
pub mod consistency;
pub mod families;
pub mod identity;
pub mod key_override;
pub mod metadata;
pub mod name;
mod rope;
pub mod tensors;
pub mod vocabulary;

pub use card::ModelCard;
pub use config::{ConfigError, ModelConfig};
pub use identity::Identity;
pub use key_override::{KeyOverride, OverrideError};
pub use rope::{RopeScaling, Yarn};
pub use tensors::{Edit, ModelTensor, Noise, Part, RowOrder, SkipPattern, TensorData, TensorError};
