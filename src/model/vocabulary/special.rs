//! The special tokens: which ids they have, and which of them are put around a text.
//!
//! The order of things here is llama.cpp's converter's, because it is the order of the keys in
//! the file: what tokenizer.json's post-processor does, what tokenizer_config.json says, and for
//! ids still unknown config.json. Whether a token is added to a text the post-processor decides;
//! tokenizer_config.json is asked where it says nothing. The tokens of `generation_config.json` and
//! `special_tokens_map.json` have no say.

use serde_json::{Map, Value};

use super::tokenizer_json::Surroundings;

/// The kinds looked for in every checkpoint.
pub(super) const KINDS: [&str; 7] = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];

/// The kinds that are looked for besides, in CodeLlama.
pub(super) const INFILL_KINDS: [&str; 4] = ["prefix", "suffix", "middle", "eot"];

/// The kinds for which there is a key that tells whether they are added to a text.
pub(super) const WRITTEN: [&str; 3] = ["bos", "eos", "sep"];

/// Where to look.
pub(super) struct Sources<'a> {
    /// tokenizer.json, if there is that file.
    pub(super) tokenizer: Option<Surroundings>,
    /// tokenizer_config.json, if there is that file.
    pub(super) tokenizer_config: Option<&'a Map<String, Value>>,
    /// config.json.
    pub(super) config: &'a Value,
    /// Ids from here on are out of range.
    pub(super) n_vocab: Option<usize>,
}

/// What was found, each in the order in which it was found.
#[derive(Debug, Default)]
pub(super) struct SpecialTokens {
    pub(super) ids: Vec<(String, u32)>,
    /// Whether the token is added to a text by itself.
    pub(super) add: Vec<(String, bool)>,
    pub(super) notes: Vec<String>,
}

impl Sources<'_> {
    /// Looks for tokens of `kinds`.
    pub(super) fn find(&self, kinds: &[&str]) -> SpecialTokens {
        let mut found = SpecialTokens::default();
        let mut kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        // A config without entries counts as none.
        let mut config = self
            .tokenizer_config
            .filter(|config| !config.is_empty())
            .cloned();
        if let Some(tokenizer) = &self.tokenizer {
            PostProcessor::new(&mut found, &mut kinds, &mut config).read(&tokenizer.post_processor);
        }
        if let Some(config) = &config {
            found.read_tokenizer_config(&kinds, config, self);
        }
        for kind in &kinds {
            if let Some(id) = self.id_of_config(kind) {
                found.set_from_config(kind, id, self);
            }
        }
        found
    }

    /// What config.json says, or the description of the language model in it.
    fn id_of_config(&self, kind: &str) -> Option<&Value> {
        let key = format!("{kind}_token_id");
        let is_there = |id: &&Value| !id.is_null();
        let outer = self.config.get(&key).filter(is_there);
        outer.or_else(|| self.config.get("text_config")?.get(&key))
    }
}

impl SpecialTokens {
    /// Sets the id of `kind` unless it is known.
    pub(super) fn set_id(&mut self, kind: &str, id: u32) {
        if !self.ids.iter().any(|(known, _)| known == kind) {
            self.ids.push((kind.to_owned(), id));
        }
    }

    /// Sets the id of `kind`, whatever is known.
    pub(super) fn overrule_id(&mut self, kind: &str, id: u32) {
        match self.ids.iter_mut().find(|(known, _)| known == kind) {
            Some((_, known)) => *known = id,
            None => self.ids.push((kind.to_owned(), id)),
        }
    }

    fn set_add(&mut self, kind: &str, add: bool) {
        match self.add.iter_mut().find(|(known, _)| known == kind) {
            Some((_, known)) => *known = add,
            None => self.add.push((kind.to_owned(), add)),
        }
    }

    /// As [`SpecialTokens::set_add`], where nothing is known yet. Gives what is known then.
    fn set_add_unless_known(&mut self, kind: &str, add: bool) -> bool {
        if let Some((_, known)) = self.add.iter().find(|(known, _)| known == kind) {
            return *known;
        }
        self.set_add(kind, add);
        add
    }

    fn set_in_range(&mut self, kind: &str, id: u32, sources: &Sources<'_>) {
        match sources.n_vocab {
            Some(n_vocab) if id as usize >= n_vocab => self.notes.push(format!(
                "the {kind} token's id {id} is not in the vocabulary of {n_vocab} tokens and is left out"
            )),
            _ => self.set_id(kind, id),
        }
    }

    fn read_tokenizer_config(
        &mut self,
        kinds: &[String],
        config: &Map<String, Value>,
        sources: &Sources<'_>,
    ) {
        let added = sources
            .tokenizer
            .as_ref()
            .map_or(&[][..], |json| &json.added_tokens);
        for kind in kinds {
            if let Some(Value::Bool(add)) = config.get(&format!("add_{kind}_token")) {
                let known = self.set_add_unless_known(kind, *add);
                if known != *add && WRITTEN.contains(&kind.as_str()) {
                    self.notes.push(format!(
                        "tokenizer_config.json says `add_{kind}_token` {add}, the post-processor of tokenizer.json {known}, which is written"
                    ));
                }
            }
            let entry = config.get(&format!("{kind}_token"));
            let content = entry.and_then(|entry| entry.get("content").unwrap_or(entry).as_str());
            if let Some(token) = added
                .iter()
                .find(|token| Some(token.content.as_str()) == content)
            {
                self.set_in_range(kind, token.id, sources);
            }
        }
    }

    /// An id of config.json. Lists (several end tokens) are passed over, as the converter does;
    /// so are negative ids, with which old checkpoints say "none".
    fn set_from_config(&mut self, kind: &str, id: &Value, sources: &Sources<'_>) {
        let Value::Number(number) = id else { return };
        if let Some(id) = number.as_u64().and_then(|id| u32::try_from(id).ok()) {
            self.set_in_range(kind, id, sources);
        } else if number.is_u64() || number.is_i64() {
            self.notes.push(format!(
                "the {kind} token's id {number} of config.json is left out"
            ));
        }
    }
}

/// Reads what tokenizer.json's post-processor puts around a text.
struct PostProcessor<'a> {
    found: &'a mut SpecialTokens,
    kinds: &'a mut Vec<String>,
    config: &'a mut Option<Map<String, Value>>,
    bos: Value,
    eos: Value,
    cls: Value,
    sep: Value,
}

impl<'a> PostProcessor<'a> {
    fn new(
        found: &'a mut SpecialTokens,
        kinds: &'a mut Vec<String>,
        config: &'a mut Option<Map<String, Value>>,
    ) -> Self {
        let entry = |kind: &str| {
            let config = config.as_ref()?;
            config.get(&format!("{kind}_token")).cloned()
        };
        let [mut bos, mut eos, cls, sep] =
            ["bos", "eos", "cls", "sep"].map(|kind| entry(kind).unwrap_or_default());
        // A classifier's own names for the same places.
        if is_empty(&bos) && !is_empty(&cls) {
            bos = cls.clone();
            set(config, "bos", &bos);
        }
        if is_empty(&eos) && !is_empty(&sep) {
            eos = sep.clone();
            set(config, "eos", &eos);
        }
        Self {
            found,
            kinds,
            config,
            bos,
            eos,
            cls,
            sep,
        }
    }

    fn read(mut self, post_processor: &Value) {
        let one = std::slice::from_ref(post_processor);
        let processors = post_processor.get("processors").and_then(Value::as_array);
        for processor in processors.map_or(one, Vec::as_slice) {
            match processor.get("type").and_then(Value::as_str) {
                Some("ByteLevel") => {
                    // It puts nothing around a text; a template beside it may.
                    for kind in ["bos", "eos"] {
                        self.found.set_add_unless_known(kind, false);
                    }
                }
                Some("RobertaProcessing") => self.read_roberta(processor),
                Some("TemplateProcessing") => self.read_template(processor),
                _ => {}
            }
        }
    }

    fn read_roberta(&mut self, processor: &Value) {
        for kind in ["bos", "eos", "sep"] {
            self.found.set_add(kind, true);
        }
        let text = |name: &str, default: &Value| {
            processor
                .get(name)
                .and_then(|pair| pair.get(0))
                .unwrap_or(default)
                .clone()
        };
        if is_empty(&self.cls) && self.config.is_some() {
            self.cls = text("cls", &self.bos);
            set(self.config, "cls", &self.cls);
        }
        if is_empty(&self.sep) && self.config.is_some() {
            self.sep = text("sep", &self.eos);
            set(self.config, "sep", &self.sep);
        }
    }

    fn read_template(&mut self, processor: &Value) {
        let items = |name: &str| processor.get(name).and_then(Value::as_array);
        let single = items("single").map_or(&[][..], Vec::as_slice);
        let (mut first, mut last) = (None, None);
        if let [start, .., end] = single {
            first = special_token(start);
            last = special_token(end);
        }
        if let Some(first) = first {
            self.read_first(first);
        }
        if let Some(last) = last {
            self.read_last(last);
        }
        if let Some(pair) = items("pair") {
            self.read_pair(pair, first, last);
        }
    }

    /// The template begins a text with `first`, which is the begin token where none is named.
    fn read_first(&mut self, first: &Value) {
        if self.config.is_none() {
            self.bos = first.clone();
        } else if *first != self.bos && *first != self.cls {
            if is_empty(&self.bos) {
                self.bos = first.clone();
                set(self.config, "bos", first);
            }
            if is_empty(&self.cls) {
                self.cls = first.clone();
                set(self.config, "cls", first);
            }
        }
        self.found
            .set_add("bos", *first == self.bos || *first == self.cls);
    }

    /// The template ends a text with `last`. Where that is not the end token by name, it becomes
    /// the end token, and the named one ends a turn.
    fn read_last(&mut self, last: &Value) {
        if self.config.is_some() && *last != self.eos {
            let turn_end = ["eot", "eom"]
                .into_iter()
                .find(|kind| !self.kinds.iter().any(|k| k == kind));
            if let Some(kind) = turn_end {
                self.kinds.push(kind.to_owned());
                set(self.config, kind, &self.eos);
            }
            set(self.config, "eos", last);
        }
        self.eos = last.clone();
        self.found.set_add("eos", true);
    }

    /// The template of two texts tells whether a separator stands between them.
    fn read_pair(&mut self, pair: &[Value], first: Option<&Value>, last: Option<&Value>) {
        let mut pair = pair;
        if let [start, rest @ ..] = pair
            && first.is_some()
            && special_token(start) == first
        {
            pair = rest;
        }
        if let [rest @ .., end] = pair
            && last.is_some()
            && special_token(end) == last
        {
            pair = rest;
        }
        let [a, between @ .., b] = pair else { return };
        if sequence(a) != Some("A") || sequence(b) != Some("B") || between.is_empty() {
            return;
        }
        let separates = |item: Option<&Value>| {
            item.and_then(special_token)
                .is_some_and(|token| *token == self.sep || *token == self.eos)
        };
        let second = if between.len() == 2 {
            between.get(1)
        } else {
            None
        };
        let add = (separates(between.first()) && last.is_none()) || separates(second);
        self.found.set_add("sep", add);
        if add && is_empty(&self.sep) {
            let eos = self.eos.clone();
            set(self.config, "sep", &eos);
        }
    }
}

/// The token of a template's item, if the item is a token.
fn special_token(item: &Value) -> Option<&Value> {
    item.get("SpecialToken")?
        .get("id")
        .filter(|id| !is_empty(id))
}

/// The name of a template's item, if the item is a text.
fn sequence(item: &Value) -> Option<&str> {
    item.get("Sequence")?.get("id")?.as_str()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn set(config: &mut Option<Map<String, Value>>, kind: &str, value: &Value) {
    if let Some(config) = config {
        config.insert(format!("{kind}_token"), value.clone());
    }
}
