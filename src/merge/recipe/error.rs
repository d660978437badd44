//! What is wrong with a recipe.

use std::path::PathBuf;

use crate::source::text_file::FileProblem;

/// What is wrong with a recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// There is no such file.
    #[error("there is no recipe `{}`{hint}", path.display())]
    NotThere {
        /// The recipe.
        path: PathBuf,
        /// What there is; empty, or begins with a comma.
        hint: String,
    },
    /// A folder was given.
    #[error("`{}` is a folder, expected a recipe{hint}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is in it; empty, or begins with a comma.
        hint: String,
    },
    /// The file cannot be read, or is something else entirely.
    #[error("cannot read the recipe `{}`: {problem}{hint}", path.display())]
    File {
        /// The recipe.
        path: PathBuf,
        /// What it is, or what the operating system said.
        problem: FileProblem,
        /// What was expected; empty, or begins with a comma.
        hint: &'static str,
    },
    /// There is nothing in it, or nothing but comments.
    #[error("the recipe `{}` is empty, expected `base_model` and `experts`", path.display())]
    Empty {
        /// The recipe.
        path: PathBuf,
    },
    /// It is no YAML.
    #[error("the recipe `{}` is no YAML: {error}{hint}", path.display())]
    Yaml {
        /// The recipe.
        path: PathBuf,
        /// The place and the reason.
        error: serde_yaml_ng::Error,
        /// What is probably meant; empty, or begins with a semicolon.
        hint: String,
    },
    /// A recipe for something else.
    #[error(
        "`{}` is a recipe of mergekit-yaml ({found}), which makes a dense model, expected one of mergekit-moe with `experts`: run `mergekit-yaml`, and convert its output or name it in a recipe", path.display()
    )]
    OfMergekitYaml {
        /// The recipe.
        path: PathBuf,
        /// What it is known by.
        found: String,
    },
    /// A key that there is not.
    #[error("`{}`: unknown key `{key}`{hint}", path.display())]
    UnknownKey {
        /// The recipe.
        path: PathBuf,
        /// The key, with its place.
        key: String,
        /// The nearest known one; empty, or begins with a comma.
        hint: String,
    },
    /// A key that is known, and not taken.
    #[error("`{}`: `{key}` is not taken: {reason}", path.display())]
    Refused {
        /// The recipe.
        path: PathBuf,
        /// The key, with its place.
        key: String,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// A value is missing, of the wrong kind or out of range.
    #[error("`{}`: `{key}` is {found}, expected {expected}", path.display())]
    Value {
        /// The recipe.
        path: PathBuf,
        /// The key, with its place.
        key: String,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
}
