//! The gates of a merge: those of a file, or as the recipe has them made.

use std::path::Path;

use super::{
    MergeError, MergeOptions,
    gates::{self, GateMode, GateProgress, Gates, PromptOptions, Prompts},
    output::Output,
    parents::Parents,
    recipe::Recipe,
};

/// The gates in the file `path`.
pub(super) fn given(
    path: &Path,
    output: Output,
    recipe: &Recipe,
    parents: &Parents,
) -> Result<Gates, MergeError> {
    let mut gates = Gates::read(path)?;
    let config = &parents.base().config;
    let (n_layer, n_embd) = (config.n_layer as usize, config.n_embd as usize);
    gates.expect_sizes(path, n_layer, recipe.experts.len(), n_embd)?;
    match output.has_shared_expert() {
        true => gates.expect_shared(path)?,
        false => gates.shared.clear(),
    }
    Ok(gates)
}

/// The gates as the recipe has them made; zeros in their place where only a plan is wanted and they take
/// a while.
pub(super) fn made(
    recipe: &Recipe,
    parents: &Parents,
    seed: u64,
    options: &MergeOptions,
    progress: &(dyn Fn(GateProgress<'_>) + Sync),
    notes: &mut Vec<String>,
) -> Result<Gates, MergeError> {
    let config = &parents.base().config;
    let (n_layer, n_embd) = (config.n_layer as usize, config.n_embd as usize);
    // The shared expert's stand behind the others, as mergekit draws and makes them.
    let n_expert = recipe.all_experts().count();
    let gates = match recipe.gate_mode {
        GateMode::Random => Gates::random(n_layer, n_expert, n_embd, seed),
        GateMode::UniformRandom => Gates::uniform_random(n_layer, n_expert, n_embd, seed),
        _ if options.plan_only => Gates::zeros(n_layer, n_expert, n_embd),
        mode => {
            let n_shared = recipe.shared_experts.len();
            let prompts: Vec<Prompts> = recipe.all_experts().map(|e| e.prompts.clone()).collect();
            let options = PromptOptions {
                threads: options.threads,
                n_shared,
                memory: None,
                pre: options.pre,
                scratch: &options.scratch,
                cancel: &options.cancel,
                progress,
            };
            let base = &parents.base().source;
            return Ok(gates::from_prompts(mode, base, &prompts, &options, notes)?);
        }
    };
    Ok(gates.with_shared(recipe.shared_experts.len()))
}
