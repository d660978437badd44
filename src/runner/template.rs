//! Chat templates: Jinja, rendered as Hugging Face's `apply_chat_template` renders them.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value, context};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::{Deserialize, Serialize};

use crate::model::chat_template::without_generation_tags;

/// Steps a template may take. A long conversation takes some thousands; a template that loops
/// without end takes them all.
const FUEL: u64 = 50_000_000;

/// The only template of an environment.
const ENTRY: &str = "chat";

/// A chat template that cannot be read or rendered.
#[derive(Debug, thiserror::Error)]
#[error("chat template `{template}`{}: {reason}", .line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct TemplateError {
    /// What the template is called, or where it comes from.
    pub template: String,
    /// Line in the template, from 1.
    pub line: Option<usize>,
    /// What Jinja or the template itself says.
    pub reason: String,
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The human.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What the model thought before it said that. Templates that look at it decide what becomes of
    /// it; most leave it out of all turns but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The same, by the name that gpt-oss's template has for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
}

impl Message {
    /// A message without thoughts.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            reasoning_content: None,
            thinking: None,
        }
    }

    /// The same message, before which the model thought that; nothing is no thought.
    pub fn with_thoughts(mut self, thoughts: &str) -> Self {
        let thoughts = Some(thoughts.to_owned()).filter(|thoughts| !thoughts.is_empty());
        self.reasoning_content.clone_from(&thoughts);
        self.thinking = thoughts;
        self
    }
}

/// The special tokens that templates write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Text of the token that begins a sequence, empty where there is none.
    pub bos: String,
    /// Text of the token that ends one, empty where there is none.
    pub eos: String,
}

/// A compiled chat template.
#[derive(Debug)]
pub struct Template {
    name: String,
    source: String,
    environment: Environment<'static>,
    special: SpecialTokens,
    /// Strings that a model of this template writes when it begins the user's turn by itself.
    stop_strings: Vec<String>,
}

/// How the Swallow prompts begin an instruction.
const SWALLOW_INSTRUCTION: &str = "### 指示:";

impl Template {
    /// Compiles the Jinja text `source`; `name` is for messages.
    ///
    /// # Errors
    /// Where the text is no Jinja template, with the line.
    pub fn new(name: &str, source: &str, special: SpecialTokens) -> Result<Self, TemplateError> {
        let stop_strings = if source.contains(SWALLOW_INSTRUCTION) {
            vec![SWALLOW_INSTRUCTION.to_owned()]
        } else {
            Vec::new()
        };
        let mut template = Self {
            name: name.to_owned(),
            source: source.to_owned(),
            environment: environment(),
            special,
            stop_strings,
        };
        let source = without_generation_tags(source);
        match template.environment.add_template_owned(ENTRY, source) {
            Ok(()) => Ok(template),
            Err(error) => Err(template.error(&error)),
        }
    }

    /// The name given at creation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Jinja text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Stop strings that belong to this prompt format. Only what is known for certain: the roles
    /// of an unknown template are not guessed.
    pub fn stop_strings(&self) -> &[String] {
        &self.stop_strings
    }

    /// The prompt that asks for the answer to the last of `messages`.
    ///
    /// # Errors
    /// Where the template fails, or refuses the messages by `raise_exception`.
    pub fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
        let template = self.environment.get_template(ENTRY);
        let rendered = template.and_then(|template| {
            template.render(context! {
                messages => Value::from(Serde(messages)),
                add_generation_prompt => true,
                bos_token => self.special.bos.as_str(),
                eos_token => self.special.eos.as_str(),
            })
        });
        rendered.map_err(|error| self.error(&error))
    }

    /// Whether a system message reaches the prompt.
    pub fn takes_system(&self) -> bool {
        const PROBE: &str = "system probe";
        let messages = [
            Message::new(Role::System, PROBE),
            Message::new(Role::User, "?"),
        ];
        self.render(&messages)
            .is_ok_and(|prompt| prompt.contains(PROBE))
    }

    fn error(&self, error: &Error) -> TemplateError {
        TemplateError {
            template: self.name.clone(),
            line: error.line(),
            reason: match error.detail() {
                Some(detail) => detail.to_owned(),
                None => error.kind().to_string(),
            },
        }
    }
}

/// Jinja as transformers sets it up.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    if let Ok(syntax) = syntax.build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(python_formatter);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment
}

/// Python prints `None`, `True` and `False`; minijinja would print `none`, `true` and `false`.
fn python_formatter(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let text = match value.kind() {
        ValueKind::None => "None",
        ValueKind::Bool if value.is_true() => "True",
        ValueKind::Bool => "False",
        _ => return minijinja::escape_formatter(out, state, value),
    };
    Ok(out.write_str(text)?)
}

/// `json.dumps` without `ensure_ascii`; Jinja's own filter escapes for HTML.
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // What transformers' filter also takes. Only the defaults are in use.
    let _: Option<Value> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let json = match indent {
        Some(indent) => {
            let indent = " ".repeat(indent.min(16));
            let style = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            to_json(value, style)
        }
        None => to_json(value, PythonSeparators),
    };
    json.map_err(|reason| Error::new(ErrorKind::BadSerialization, reason))
}

fn to_json(value: &Value, style: impl serde_json::ser::Formatter) -> Result<String, String> {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, style);
    value
        .serialize(&mut serializer)
        .map_err(|error| error.to_string())?;
    String::from_utf8(json).map_err(|error| error.to_string())
}

/// Python's `json.dumps` puts a space after `,` and `:`.
struct PythonSeparators;

impl serde_json::ser::Formatter for PythonSeparators {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, &jiff::ZonedDateTime::now())
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

#[cfg(test)]
mod tests;
