use proptest::prelude::*;

use super::*;

/// Thoughts and answer when the text comes in these pieces.
fn split(marks: Option<Marks>, prompt: &str, pieces: &[&str]) -> (String, String) {
    let mut splitter = Splitter::new(marks, prompt);
    let (mut thoughts, mut answer) = (String::new(), String::new());
    let mut out = |part, text: &str| match part {
        Part::Thought => thoughts.push_str(text),
        Part::Answer => answer.push_str(text),
    };
    for piece in pieces {
        splitter.push(piece, &mut out);
    }
    splitter.finish(&mut out);
    (thoughts, answer)
}

fn marks(template: &str) -> Option<Marks> {
    Marks::of(template, |_| false)
}

fn both(thoughts: &str, answer: &str) -> (String, String) {
    (thoughts.to_owned(), answer.to_owned())
}

const QWEN: &str = "{%- if '</think>' in content %}";
const HARMONY: &str = "{{ '<|start|>assistant<|channel|>final<|message|>' + message.content }}";

#[test]
fn the_marks_are_those_of_the_template_or_else_of_the_vocabulary() {
    let pair = |open| PAIRS.iter().find(|pair| pair.0 == open).map(Marks::Pair);
    assert_eq!(marks("{{ messages }}"), None);
    assert_eq!(marks(QWEN), pair("<think>"));
    assert_eq!(marks("{{ '<think>\\n' }}"), pair("<think>"));
    assert_eq!(marks("[THINK] … [/THINK]"), pair("[THINK]"));
    assert_eq!(marks("<|channel>thought"), pair("<|channel>thought"));
    assert_eq!(marks(HARMONY), Some(Marks::Channels));
    assert_eq!(marks("<|channel|> alone"), None);
    let tokens = |known: &'static str| Marks::of("{{ messages }}", move |mark| mark == known);
    assert_eq!(tokens("</think>"), pair("<think>"));
    assert_eq!(Marks::of(QWEN, |mark| mark == "[THINK]"), pair("<think>"));
}

#[test]
fn a_pair_stands_before_the_answer_and_nowhere_else() {
    let split = |text| split(marks(QWEN), "user: hi", &[text]);
    assert_eq!(split("<think>\na\n</think>\n\nb"), both("\na\n", "\n\nb"));
    assert_eq!(split(" \n<think>a</think>b"), both("a", " \nb"));
    assert_eq!(split("b"), both("", "b"));
    assert_eq!(split("<thin air>"), both("", "<thin air>"));
    assert_eq!(split("<"), both("", "<"));
    // What is said about the marks is text.
    let about = "the mark <think> and its </think>";
    assert_eq!(split(about), both("", about));
    assert_eq!(
        split("<think>a</think>b <think>c</think>"),
        both("a", "b <think>c</think>")
    );
    assert_eq!(
        split("<think>a <think> b</think>c"),
        both("a <think> b", "c")
    );
    // Cut off within the thoughts, and within the mark that ends them.
    assert_eq!(split("<think>a"), both("a", ""));
    assert_eq!(split("<think>a</thi"), both("a</thi", ""));
}

#[test]
fn a_prompt_may_open_the_thoughts() {
    let split = |prompt, text| split(marks(QWEN), prompt, &[text]);
    assert_eq!(split("<think>\n", "a</think>b"), both("a", "b"));
    assert_eq!(split("assistant<think>", "a"), both("a", ""));
    // Thinking was switched off.
    assert_eq!(split("<think>\n\n</think>\n\n", "b"), both("", "b"));
    assert_eq!(split("what is <think>?", "b"), both("", "b"));
}

#[test]
fn without_marks_all_is_answer() {
    let text = "<think>a</think>b<|channel|>analysis<|message|>";
    assert_eq!(split(None, "<think>", &[text]), both("", text));
}

#[test]
fn channels() {
    let split = |text| split(marks(HARMONY), "<|start|>assistant", &[text]);
    assert_eq!(
        split(
            "<|channel|>analysis<|message|>a<|end|>\
             <|start|>assistant<|channel|>final<|message|>b"
        ),
        both("a", "b")
    );
    // A space after each mark, as llm-jp's tokenizer writes, and two messages of thoughts.
    assert_eq!(
        split(
            "<|channel|> analysis<|message|> a<|end|><|start|> assistant<|channel|> analysis\
             <|message|> b<|end|><|start|>assistant<|channel|>commentary<|message|>c<|end|>\
             <|start|>assistant<|channel|>final <|constrain|>json<|message|>d"
        ),
        both(" a b", "cd")
    );
    assert_eq!(split("no channel <|a"), both("", "no channel <|a"));
    assert_eq!(split("<|channel|>final<|message|>a <|b"), both("", "a <|b"));
    // Cut off.
    assert_eq!(
        split("<|channel|>analysis<|message|>a<|en"),
        both("a<|en", "")
    );
    assert_eq!(split("<|channel|>analy"), both("", ""));
}

proptest! {
    /// However the text is cut, even within marks, it is split the same.
    #[test]
    fn any_cut_splits_the_same(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<think>", "</think>", "<", "</th", "<|channel|>", "<|message|>", "<|start|>",
            "<|end|>", "analysis", "final", " ", "\n", "考える", "x", "<|",
        ]), 0..12),
        lengths in prop::collection::vec(1_usize..9, 0..60),
        template in prop::sample::select(vec![QWEN, HARMONY, ""]),
        opened in any::<bool>(),
    ) {
        let text = parts.concat();
        let prompt = if opened { "<think>\n" } else { "" };
        let whole = split(marks(template), prompt, &[&text]);
        let mut pieces = Vec::new();
        let mut characters = text.chars();
        for length in lengths {
            pieces.push(characters.by_ref().take(length).collect::<String>());
        }
        pieces.push(characters.collect());
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        prop_assert_eq!(split(marks(template), prompt, &pieces), whole.clone());
        // Nothing is made up, and nothing but marks and headers gets lost.
        if template.is_empty() {
            prop_assert_eq!(whole, (String::new(), text));
        } else if template == QWEN {
            let (open, close) = ("<think>".len(), "</think>".len());
            let kept = whole.0.len() + whole.1.len();
            prop_assert!([0, open, close, open + close].contains(&(text.len() - kept)));
        }
    }
}
