//! `swallow-gguf models`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `swallow-gguf models`
#[derive(Debug, Args)]
#[command(after_help = "\
The store is $XDG_DATA_HOME/swallow-gguf/models, or the platform's own place for data; \
SWALLOW_GGUF_MODELS and --models-dir name another folder. GGUF files of the hub are not in it: they \
stay in the Hugging Face cache.")]
pub struct ModelsArgs {
    /// What to do; the models are listed where nothing is said.
    #[command(subcommand)]
    pub action: Option<ModelsAction>,

    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,

    /// Folder of the store
    #[arg(long, value_name = "DIR", global = true)]
    pub models_dir: Option<PathBuf>,
}

/// What to do with models of the store.
#[derive(Debug, Subcommand)]
pub enum ModelsAction {
    /// Remove models, and what there is of those that are not finished
    Rm {
        /// Names, as `models` lists them
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Print where the GGUF of a model is
    Path {
        /// Its name, the beginning of it, or the source it was made of
        #[arg(value_name = "NAME")]
        name: String,
    },
}
