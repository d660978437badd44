//! Tensors that lie elsewhere than their layer.

use std::str::FromStr;

use fancy_regex::Regex;

/// The tensors whose names a pattern finds go to a device.
#[derive(Clone, Debug)]
pub struct Placement {
    /// A regular expression, looked for anywhere in a name.
    pub pattern: String,
    /// The device's name.
    pub device: String,
    regex: Regex,
}

impl Placement {
    /// The name of the machine's own memory.
    pub const HOST: &str = "CPU";

    /// A placement; the error says why the pattern is none.
    ///
    /// # Errors
    /// Where the pattern is no regular expression.
    pub fn new(pattern: &str, device: &str) -> Result<Self, String> {
        match Regex::new(pattern) {
            Ok(regex) => Ok(Self {
                pattern: pattern.to_owned(),
                device: device.to_owned(),
                regex,
            }),
            Err(error) => Err(format!("`{pattern}` is no regular expression: {error}")),
        }
    }

    /// The experts of the first `layers` layers stay in the machine's memory; `None` is of all layers.
    ///
    /// # Errors
    /// None that we know of.
    pub fn experts_on_host(layers: Option<u32>) -> Result<Self, String> {
        let layers = match layers {
            None => r"\d+".to_owned(),
            Some(count) => {
                let numbers: Vec<String> = (0..count).map(|layer| layer.to_string()).collect();
                format!("(?:{})", numbers.join("|"))
            }
        };
        let pattern = format!(r"^blk\.{layers}\.ffn_(?:up|down|gate|gate_up)_(?:ch)?exps\.");
        Self::new(&pattern, Self::HOST)
    }

    /// Whether it is meant for a tensor.
    pub fn takes(&self, tensor: &str) -> bool {
        self.regex.is_match(tensor).unwrap_or(false)
    }

    /// Whether the tensors stay in the machine's own memory.
    pub fn is_host(&self) -> bool {
        self.device.eq_ignore_ascii_case(Self::HOST)
    }
}

impl FromStr for Placement {
    type Err = String;

    /// `REGEX=DEVICE`, as llama.cpp's programs take it.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once('=') {
            Some((pattern, device)) if !pattern.is_empty() && !device.is_empty() => {
                Self::new(pattern, device)
            }
            _ => Err("expected REGEX=DEVICE, for example `exps=CPU`".to_owned()),
        }
    }
}
