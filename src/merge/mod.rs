//! A merge: dense models and a recipe become a Mixture of Experts.
//!
//! What a merge makes is a checkpoint that nobody has to write: its config, tokenizer files and
//! card are made here, and its tensors are parts of the parents' shards. From there on it is
//! converted as any checkpoint is, in one pass over the parents' weights; or it is written, and is
//! then the same checkpoint to the byte, so that converting it gives the same GGUF.
//!
//! - [`recipe`]: mergekit-moe's YAML
//! - `output`, `choice`: the family of mixtures that is made
//! - `parents`, `reference`, `agree`: the models it names, where they are, and what they must have in
//!   common
//! - `vocabulary`: the base's, or the union of all
//! - [`gates`], `routers`: which expert a token is sent to
//! - `tensors`: where every weight comes from, and what is done to it on the way
//! - `config`, `rope`, `card`: the small files
//! - `conversion`, `checkpoint`: what becomes of it, a GGUF or the checkpoint itself
//!
//! Attention, norms and embeddings are the base's. Expert E's feed-forward network is its source's,
//! with the recipe's noise added and its down projection scaled. Every weight, gates included, is
//! rounded to the recipe's `dtype`, as it would be in the checkpoint. A shared expert, where the family has
//! one, is made as the others are.

mod agree;
mod card;
mod checkpoint;
mod choice;
mod config;
mod conversion;
mod error;
pub mod gates;
mod output;
mod parents;
pub mod recipe;
mod reference;
mod rope;
mod routers;
mod tensors;
mod vocabulary;

use std::{
    collections::BTreeSet,
    fmt, fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use serde_json::Value as Json;

pub use checkpoint::MergedCheckpoint;
use config::Merged;
pub use conversion::MergeWishes;
pub use error::MergeError;
pub use gates::GateProgress;
use gates::{GateError, GateNames, Gates};
pub use output::{Asked, Output};
use parents::Parents;
use recipe::Recipe;
pub use reference::Place;
use vocabulary::MergedVocabulary;

pub use crate::synthetic::Layout;
use crate::{
    convert::ConvertError,
    hub::Client,
    model::{
        ModelConfig, ModelTensor, SkipPattern, metadata::RECIPE_FILE, vocabulary::PreTokenizer,
    },
    plan::CheckpointTensor,
    source::{Dtype, Origin, Shard},
};

/// The seed of a merge that is given none: the same recipe makes the same file.
pub const DEFAULT_SEED: u64 = 0;

/// What to merge.
#[derive(Clone)]
pub struct MergeOptions {
    /// The recipe; folders it names are relative to its own.
    pub recipe: PathBuf,
    /// The merged model's name; `None` for the recipe's without its ending, and for its folder's where
    /// it is `mergekit_moe_config.yml`.
    pub name: Option<String>,
    /// Seed of random gates and noise; `None` for [`DEFAULT_SEED`].
    pub seed: Option<u64>,
    /// What is to be made, in the place of the recipe's.
    pub architecture: Option<Asked>,
    /// Experts used for each token, in the place of the recipe's.
    pub experts_per_token: Option<u32>,
    /// A safetensors file of gates, in the place of those that the recipe asks for.
    pub gates: Option<PathBuf>,
    /// Tensors of the parents that are left out.
    pub skip_tensors: Vec<SkipPattern>,
    /// The pre-tokenizer to name, instead of the one that is recognized.
    pub pre: Option<PreTokenizer>,
    /// Opens models of the hub.
    pub client: Client,
    /// Whether only a plan is wanted: gates are not made of prompts then, which takes a while.
    pub plan_only: bool,
    /// Threads to run the base model with, for gates of its hidden states; `None` for as many as there
    /// are cores.
    pub threads: Option<NonZeroUsize>,
    /// A folder for what is only there while gates are made.
    pub scratch: PathBuf,
    /// Ends the making of gates where it is set.
    pub cancel: Arc<AtomicBool>,
}

impl fmt::Debug for MergeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeOptions")
            .field("recipe", &self.recipe)
            .field("name", &self.name)
            .field("seed", &self.seed)
            .field("architecture", &self.architecture)
            .field("experts_per_token", &self.experts_per_token)
            .field("gates", &self.gates)
            .finish_non_exhaustive()
    }
}

/// A merge with all that is decided about it; no weight has been read.
#[derive(Debug)]
pub struct Merge {
    path: PathBuf,
    output: Output,
    recipe: Recipe,
    parents: Parents,
    vocabulary: MergedVocabulary,
    /// The number format of the merged checkpoint, where recipe or base name one.
    dtype: Option<Dtype>,
    tensors: Vec<ModelTensor>,
    gates: Gates,
    /// The file that they were read from.
    gates_path: Option<PathBuf>,
    card: String,
    /// What the merged model is called.
    pub name: String,
    /// What the user should know, a line each.
    pub notes: Vec<String>,
}

impl Merge {
    /// Reads the recipe, the parents' headers and their tokenizers, and makes the gates. `progress` is
    /// told how far that is, where it takes a while.
    ///
    /// # Errors
    /// When the recipe is not one, or the parents cannot be merged.
    pub fn open(
        options: &MergeOptions,
        progress: &(dyn Fn(GateProgress<'_>) + Sync),
    ) -> Result<Self, MergeError> {
        let path = &options.recipe;
        let mut recipe = Recipe::read(path)?;
        if let Some(n) = options.experts_per_token {
            recipe.use_experts(path, n)?;
        }
        let dir = path.parent().unwrap_or(Path::new(""));
        let parents = Parents::open(
            &recipe,
            dir,
            &options.client,
            &options.skip_tensors,
            options.pre,
        )?;
        let mut notes = parents.notes();
        let output = Output::choose(
            options.architecture.or(recipe.architecture),
            &recipe,
            &parents,
        )?;
        parents.require_biases_of(output)?;
        let base = parents.base();
        if !base.config.rope_scaling.is_taken_by(output.architecture()) {
            return Err(MergeError::RopeScaling {
                base: base.reference.clone(),
                scaling: base.config.rope_scaling.name(),
                output: output.name(),
            });
        }
        if output.has_shared_expert() {
            recipe.require_shared_prompts(path)?;
        }
        notes.extend(agree::check(output, &parents)?);
        notes.extend(output.note(&recipe));
        let vocabulary = MergedVocabulary::of(&parents, recipe.tokenizer_source)?;
        let dtype = recipe
            .dtype
            .or_else(|| config::dtype_of(&parents.base().checkpoint.config));

        if parents.experts.len() > 1 && parents.experts.iter().all(|e| *e == parents.experts[0]) {
            notes.push(
                "all experts are the same model: the merged one says what that says, at the cost of more"
                    .to_owned(),
            );
        }
        let seed = options.seed.unwrap_or(DEFAULT_SEED);
        let gates = match &options.gates {
            Some(path) => routers::given(path, output, &recipe, &parents)?,
            None => routers::made(&recipe, &parents, seed, options, progress, &mut notes)?,
        };
        let gates = match dtype {
            Some(dtype) => gates.rounded(dtype),
            None => gates,
        };
        let is_random = !recipe.gate_mode.looks_at_prompts();
        if options.gates.is_some() || is_random || !options.plan_only {
            notes.extend(gates.degenerate_note());
        }
        let is_drawn = options.gates.is_none() && is_random
            || recipe.all_experts().any(|e| e.noise_scale.is_some());
        if options.seed.is_some() && !is_drawn {
            notes.push("the seed has no effect: nothing is drawn at random".to_owned());
        }
        let name = options.name.clone().unwrap_or_else(|| default_name(path));
        let card = card::make(&name, &parents, is_drawn.then_some(seed));
        notes.extend_from_slice(&vocabulary.notes);
        notes.extend(card.notes);
        let mut merge = Self {
            path: path.clone(),
            output,
            recipe,
            vocabulary,
            dtype,
            tensors: Vec::new(),
            gates,
            gates_path: options.gates.clone(),
            card: card.text,
            name,
            notes,
            parents,
        };
        merge.tensors = merge.make_tensors(seed)?;
        Ok(merge)
    }

    /// Writes the gates to a safetensors file at `path`, in the merged checkpoint's format.
    ///
    /// # Errors
    /// When there is a file and it may not be replaced, or it cannot be written.
    pub fn save_gates(&self, path: &Path, replace: bool) -> Result<(), MergeError> {
        let is_input = |input: &PathBuf| same_file::is_same_file(input, path).unwrap_or(false);
        if self.inputs().iter().any(is_input) {
            return Err(GateError::IsInput { path: path.into() }.into());
        }
        let names = match self.output {
            Output::Mixtral => GateNames::Mixtral,
            Output::Qwen2Moe | Output::Qwen3Moe => GateNames::Mlp,
        };
        Ok(self.gates.save(path, names, self.gate_dtype(), replace)?)
    }

    /// Where it comes from, for people.
    fn source(&self) -> String {
        self.path.display().to_string()
    }

    /// Every file that the merge reads; an output must be none of them.
    fn inputs(&self) -> Vec<PathBuf> {
        let parents = self.parents.all.iter();
        let files = parents.flat_map(|parent| parent.checkpoint.files());
        let own = self.gates_path.iter().chain([&self.path]).cloned();
        own.chain(files).collect()
    }

    /// What the parents are on the hub, of those that are from there.
    fn origins(&self) -> Vec<Origin> {
        let parents = self.parents.all.iter();
        let origins = parents.filter_map(|parent| parent.checkpoint.origin.clone());
        origins.collect()
    }

    /// Tensors of the parents that are left out by hand.
    fn skipped(&self) -> Vec<String> {
        let parents = self.parents.all.iter();
        let skipped = parents.flat_map(|parent| parent.checkpoint.skipped.keys());
        let names: BTreeSet<&String> = skipped.collect();
        names.into_iter().cloned().collect()
    }

    /// The tensors of the GGUF.
    fn tensors(&self) -> &[ModelTensor] {
        &self.tensors
    }

    /// The tensors of the checkpoint in `layout`, in the order of its shards.
    ///
    /// # Errors
    /// As [`Merge::model_config`].
    fn checkpoint_tensors(&self, layout: Layout) -> Result<Vec<CheckpointTensor>, MergeError> {
        let (config, dtype) = (self.model_config()?, self.gate_dtype());
        Ok(tensors::checkpoint_tensors(
            &self.tensors,
            &config,
            layout,
            dtype,
        ))
    }

    /// The format that gates are written in.
    fn gate_dtype(&self) -> Dtype {
        self.dtype.unwrap_or(Dtype::F32)
    }

    /// Hands out the shards that the tensors' parts are of.
    fn take_shards(&mut self) -> Vec<Shard> {
        self.parents.take_shards()
    }

    /// The config.json of the merged checkpoint.
    fn config(&self, layout: Layout) -> Json {
        let base = self.parents.base();
        let merged = Merged {
            output: self.output,
            base: &base.config,
            json: &base.checkpoint.config,
            experts: (self.recipe.experts.len(), self.recipe.experts_per_token),
            n_vocab: self.vocabulary.n_vocab,
            dtype: self.dtype,
        };
        let mut config = merged.config(layout);
        for (key, id) in self.vocabulary.special_ids(&base.checkpoint.config) {
            config[key] = id.into();
        }
        config
    }

    /// The merged model's hyper-parameters.
    ///
    /// # Errors
    /// Where the base's config.json has what the merged model's may not have.
    fn model_config(&self) -> Result<ModelConfig, MergeError> {
        let config = ModelConfig::from_json(&self.config(Layout::Separate));
        config.map_err(|error| ConvertError::from(error).into())
    }

    fn make_tensors(&self, seed: u64) -> Result<Vec<ModelTensor>, MergeError> {
        let ingredients = tensors::Ingredients {
            output: self.output,
            config: &self.model_config()?,
            recipe: &self.recipe,
            parents: &self.parents,
            vocabulary: &self.vocabulary,
            gates: &self.gates,
            dtype: self.dtype,
            seed,
        };
        let tensors = ingredients.gguf_tensors();
        tensors.map_err(|error| ConvertError::from(error).into())
    }

    /// Writes all of the merged checkpoint but its weights into the folder `dir`.
    fn write_small_files(&self, dir: &Path, layout: Layout) -> Result<(), MergeError> {
        let config = self.config(layout);
        for (name, text) in [
            ("config.json", format!("{config:#}\n").as_str()),
            ("README.md", &self.card),
            (RECIPE_FILE, &self.recipe.text),
        ] {
            let path = dir.join(name);
            fs::write(&path, text).map_err(|error| MergeError::write(&path, error))?;
        }
        self.vocabulary.write(&self.parents, dir, &config)
    }
}

/// Where the models are that the recipe at `path` names, each once and the base first; none of them is
/// opened.
///
/// # Errors
/// When the recipe is not one, or a folder that it names is not there.
pub fn places(path: &Path, client: &Client) -> Result<Vec<Place>, MergeError> {
    let recipe = Recipe::read(path)?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut places = Vec::new();
    for reference in recipe.models() {
        let place = reference::find(reference, dir, client)?.place;
        if !places.contains(&place) {
            places.push(place);
        }
    }
    Ok(places)
}

/// What a merge by the recipe at `path` is called: as the recipe, or where that has the name it has in a
/// merged checkpoint, as its folder.
fn default_name(path: &Path) -> String {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = match whole.parent().and_then(Path::file_name) {
        Some(folder) if path.ends_with(RECIPE_FILE) => Some(folder),
        _ => path.file_stem(),
    };
    name.unwrap_or_default().to_string_lossy().into_owned()
}
