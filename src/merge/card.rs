//! The merged checkpoint's card, `README.md`: what is known of it, joined from its parents' cards.

use serde_yaml_ng::{Mapping, Value};

use super::parents::Parents;
use crate::model::metadata::{MERGE_SEED, RECIPE_FILE};

/// A card, and what the user should know of it.
pub(super) struct Card {
    pub(super) text: String,
    pub(super) notes: Vec<String>,
}

/// Makes the card of a merge called `name`. `seed` is there where something was drawn at random.
pub(super) fn make(name: &str, parents: &Parents, seed: Option<u64>) -> Card {
    let mut front = Mapping::new();
    let mut put = |key: &str, value: Value| front.insert(key.into(), value);
    put("name", name.into());
    let ids = distinct(parents.all.iter().map(|parent| parent.id.clone()));
    put("base_model", list(&ids));

    let mut notes = Vec::new();
    let licenses: Vec<(&str, Vec<String>)> = parents
        .all
        .iter()
        .map(|p| (p.id.as_str(), p.card.list(&["license"]).unwrap_or_default()))
        .collect();
    let all = distinct(licenses.iter().flat_map(|(_, of_one)| of_one.clone()));
    match &all[..] {
        [] => {}
        [one] => {
            put("license", one.as_str().into());
        }
        several => {
            put("license", list(several));
        }
    }
    if licenses.iter().any(|(_, of_one)| *of_one != licenses[0].1) {
        let each = licenses.iter().map(|(id, of_one)| {
            let known = match &of_one[..] {
                [] => "none named".to_owned(),
                names => names.join(", "),
            };
            format!("`{id}` {known}")
        });
        notes.push(format!(
            "the parents' licences differ ({}): the merged model is bound by all of them",
            each.collect::<Vec<_>>().join("; ")
        ));
    }
    for key in ["license_name", "license_link"] {
        let of_parents = parents.all.iter().filter_map(|p| p.card.text(&[key]));
        if let [one] = &distinct(of_parents)[..] {
            put(key, one.as_str().into());
        }
    }
    let languages = parents.all.iter().flat_map(|p| {
        let of_one = p.card.list(&["languages", "language"]);
        of_one.unwrap_or_default()
    });
    let languages = distinct(languages);
    if !languages.is_empty() {
        put("language", list(&languages));
    }
    put("tags", list(&["merge".to_owned(), "moe".to_owned()]));
    if let Some(seed) = seed {
        put(MERGE_SEED, seed.into());
    }

    // A mapping of texts, lists of texts and a number is always YAML.
    let yaml = serde_yaml_ng::to_string(&front)
        .unwrap_or_else(|error| unreachable!("front matter: {error}"));
    let experts = parents.experts.iter().enumerate().map(|(i, &parent)| {
        let id = &parents.all[parent].id;
        format!("- expert {i}: {id}\n")
    });
    let shared = parents.shared.iter().map(|&parent| {
        let id = &parents.all[parent].id;
        format!("- shared expert: {id}\n")
    });
    let text = format!(
        "---\n{yaml}---\n\n# {name}\n\nA Mixture of Experts, merged by swallow-gguf from the recipe in `{RECIPE_FILE}`.\n\n- attention, norms and embeddings: {}\n{}",
        parents.base().id,
        experts.chain(shared).collect::<String>()
    );
    Card { text, notes }
}

/// Each text once, in the order of their first places.
fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for text in texts {
        if !out.contains(&text) {
            out.push(text);
        }
    }
    out
}

fn list(texts: &[String]) -> Value {
    Value::Sequence(texts.iter().map(|text| text.as_str().into()).collect())
}
