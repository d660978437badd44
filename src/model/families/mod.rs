//! The families that are converted, a file each: nothing but data. `docs/new-architecture.md` tells how
//! one is added.

mod cohere;
mod cohere2;
mod dots1;
mod ernie4_5;
mod exaone4;
mod falcon;
mod glm4;
mod granite;
mod hunyuan;
mod internlm2;
mod llama;
mod minicpm;
mod mistral;
mod mixtral;
mod olmo2;
mod olmoe;
mod phi3;
mod phimoe;
mod qwen2;
mod qwen2moe;
mod qwen3;
mod qwen3moe;
mod rows;
mod seed_oss;
mod smollm3;
mod stablelm;
mod starcoder2;

pub(crate) use self::{mixtral::MIXTRAL, qwen2moe::QWEN2_MOE, qwen3moe::QWEN3_MOE};
use super::architecture::Architecture;
use crate::table::{Cell, aligned};

/// All families, the best known first.
pub const ALL: &[&Architecture] = &[
    &mixtral::MIXTRAL,
    &llama::LLAMA,
    &mistral::MISTRAL,
    &qwen2::QWEN2,
    &qwen2moe::QWEN2_MOE,
    &qwen3::QWEN3,
    &qwen3moe::QWEN3_MOE,
    &phi3::PHI3,
    &phimoe::PHI_MOE,
    &ernie4_5::ERNIE4_5,
    &ernie4_5::ERNIE4_5_MOE,
    &dots1::DOTS1,
    &hunyuan::HUNYUAN_DENSE,
    &hunyuan::HUNYUAN_MOE,
    &exaone4::EXAONE4,
    &olmo2::OLMO2,
    &olmo2::OLMO3,
    &olmoe::OLMOE,
    &smollm3::SMOLLM3,
    &granite::GRANITE,
    &granite::GRANITE_MOE,
    &granite::GRANITE_MOE_SHARED,
    &granite::GRANITE_HYBRID,
    &starcoder2::STARCODER2,
    &seed_oss::SEED_OSS,
    &stablelm::STABLELM,
    &cohere::COHERE,
    &cohere2::COHERE2,
    &falcon::FALCON,
    &glm4::GLM4,
    &internlm2::INTERNLM2,
    &minicpm::MINICPM,
];

/// The family of a class that `architectures` of config.json names.
pub fn of_class(class: &str) -> Option<&'static Architecture> {
    let mut all = ALL.iter().copied();
    all.find(|family| family.classes.contains(&class))
}

/// The family of a `model_type` of config.json.
pub fn of_model_type(model_type: &str) -> Option<&'static Architecture> {
    let mut all = ALL.iter().copied();
    all.find(|family| family.model_type == model_type)
}

/// The family by its own name.
pub fn named(name: &str) -> Option<&'static Architecture> {
    let mut all = ALL.iter().copied();
    all.find(|family| family.name == name)
}

/// All families, a line each: the family, its architecture in llama.cpp, its classes.
pub fn list() -> String {
    let row = |cells: [&str; 3]| cells.map(|cell| Cell::Left(cell.to_owned())).into();
    let mut families = ALL.to_vec();
    families.sort_unstable_by_key(|family| family.name.to_lowercase());
    let mut rows: Vec<Vec<Cell>> = vec![row([
        "family",
        "architecture",
        "`architectures` of config.json",
    ])];
    for family in families {
        rows.push(row([family.name, family.gguf, &family.classes.join(", ")]));
    }
    aligned(&rows)
}

#[cfg(test)]
mod tests;
