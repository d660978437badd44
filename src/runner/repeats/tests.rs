use std::collections::HashMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// The first repetition in `tokens` that is found, and the token it is found at.
fn find(tokens: &[Said]) -> Option<(usize, Repetition)> {
    let mut finder = RepetitionFinder::new();
    let mut found = tokens.iter().enumerate();
    found.find_map(|(at, &token)| Some((at, finder.push(token)?)))
}

/// The rule, as it reads: stretches counted from the end of `tokens`.
fn ends_in_repetition(tokens: &[Said]) -> bool {
    (1..=LONGEST.min(tokens.len() / LEAST_TIMES)).any(|length| {
        let stretch = &tokens[tokens.len() - length..];
        let chunks = tokens.rchunks_exact(length);
        let times = chunks.take_while(|chunk| *chunk == stretch).count();
        times * length >= must_fill(stretch)
    })
}

/// Tokens of a text: words with the space before them, and every other character by itself. That
/// is finer than the vocabularies of models, so that repetitions are longer here.
fn tokens(text: &str) -> Vec<Said> {
    let mut ids = HashMap::new();
    let mut pieces: Vec<String> = Vec::new();
    for c in text.chars() {
        match pieces.last_mut() {
            Some(last)
                if c.is_ascii_alphabetic()
                    && last.ends_with(|l: char| l == ' ' || l.is_ascii_alphabetic()) =>
            {
                last.push(c);
            }
            _ => pieces.push(c.to_string()),
        }
    }
    let said = |piece: String| {
        let next = ids.len() as i32;
        let id = *ids.entry(piece.clone()).or_insert(next);
        Said::new(id, piece.as_bytes())
    };
    pieces.into_iter().map(said).collect()
}

/// A token that is no word for odd ids.
fn said(id: i32) -> Said {
    let is_word = id % 2 == 0;
    Said { id, is_word }
}

/// `count` lines.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|i| line(i) + "\n").collect()
}

#[test]
fn a_sentence_that_goes_round_ends_the_answer() {
    let sentences = [
        ("The cat sat on the mat, and looked at the moon. ", 400),
        (
            "The king's daughter had a son who was a king, and he had a daughter. ",
            420,
        ),
        ("I'm sorry. ", 1500),
        (" who had a king", 1500),
        ("すみません、もう一度お願いします。", 400),
        (
            "The end.\n\nThe story goes on: there was a king, and a queen, and a king.\n",
            2000,
        ),
        ("no ", 4200),
        ("\n", 4200),
        ("!", 4200),
    ];
    for (sentence, within) in sentences {
        let begin = "An answer that begins as others do, and then: ";
        let answer = tokens(&(begin.to_owned() + &sentence.repeat(within)));
        let (at, found) = find(&answer).unwrap_or_else(|| panic!("{sentence}"));
        assert!(at < tokens(begin).len() + within, "{sentence}: {at}");
        assert!(
            found.times >= 8 && found.times * found.tokens <= at + 1,
            "{found:?}"
        );
    }
}

#[test]
fn a_paragraph_that_goes_round_ends_the_answer() {
    let paragraph: Vec<Said> = (0..400).map(said).collect();
    let (at, found) = find(&paragraph.repeat(20)).unwrap();
    assert_eq!((at + 1, found.tokens, found.times), (8 * 400, 400, 8));
}

#[test]
fn what_is_wanted_is_never_cut() {
    let table = |cells: &str, rows: usize| {
        let columns = cells.matches('|').count();
        format!(
            "{cells}\n|{}\n{}",
            "---|".repeat(columns),
            lines(rows, |_| cells.to_owned())
        )
    };
    let zeros = |rows: usize, columns: usize| {
        lines(rows, |_| {
            format!("    [{}],", vec!["0"; columns].join(", "))
        })
    };
    let refrain = "La la la, the river runs on,\nand we run with it.\n\n";
    let wanted: Vec<(&str, String)> = vec![
        ("a rule", "-".repeat(2000)),
        ("a double rule", "=-".repeat(1000)),
        ("a table's rule", "|---".repeat(500)),
        ("a table of empty cells", table("| | | | |", 100)),
        (
            "a table of equal rows",
            table("| yes | no | 0.5 | - |", 100),
        ),
        (
            "a hundred spaces, a hundred times",
            lines(40, |_| " ".repeat(100)),
        ),
        ("zeros", vec!["0"; 1000].join(", ")),
        ("zeros, a line each", lines(1000, |_| "0,".to_owned())),
        ("zeros and ones", "0,1,".repeat(500)),
        ("zeros and ones, with spaces", "0, 1, ".repeat(128)),
        ("a picture of zeros", zeros(28, 28)),
        ("a larger one", zeros(32, 32)),
        ("a matrix of zeros", zeros(16, 16)),
        ("a wide matrix of zeros", zeros(8, 64)),
        ("a narrow matrix of zeros", zeros(60, 3)),
        ("laughter", "ha ".repeat(1000)),
        ("more laughter", "ha".repeat(1000) + &"😂".repeat(300)),
        (
            "a line written a hundred times",
            lines(100, |_| "I must not talk in class.".to_owned()),
        ),
        (
            "a numbered line",
            lines(1000, |i| format!("{i}. I must not talk in class.")),
        ),
        ("a list", lines(1000, |i| format!("- item {i}: nothing"))),
        (
            "a multiplication table",
            lines(40, |a| {
                let cells = (1..40).map(|b| ((a + 1) * b).to_string() + " | ");
                format!("| {}", cells.collect::<String>())
            }),
        ),
        (
            "a song",
            lines(30, |i| {
                format!("Verse {i}, of nothing but numbers\n{}", refrain.repeat(4))
            }),
        ),
        ("a refrain", refrain.repeat(20)),
        (
            "objects of JSON",
            lines(40, |_| {
                r#"  {"id": 0, "name": "", "value": null},"#.to_owned()
            }),
        ),
        (
            "larger objects of JSON",
            lines(30, |_| {
                r#"  {"name": "", "email": "", "phone": "", "street": "", "city": "", "zip": "", "country": "", "notes": ""},"#
                    .to_owned()
            }),
        ),
        (
            "cards of HTML",
            lines(30, |_| {
                r#"<div class="card"><h2>Title</h2><p>Text goes here</p><a href="/">More</a></div>"#
                    .to_owned()
            }),
        ),
        (
            "a longer line, a dozen times",
            lines(12, |_| {
                "I must not talk in class while the teacher explains the lesson.".to_owned()
            }),
        ),
        (
            "layers of a network",
            lines(40, |_| "nn.Linear(256, 256),\nnn.ReLU(),".to_owned()),
        ),
        (
            "similar lines of code",
            lines(500, |i| format!("assert_eq!(table[{i}], {});", i * i)),
        ),
        (
            "rows of HTML",
            lines(40, |_| "<tr><td></td><td></td></tr>".to_owned()),
        ),
        (
            "a drawing",
            lines(60, |i| {
                format!("{}/\\{}", " ".repeat(60 - i), "__".repeat(i))
            }),
        ),
        (
            "bytes",
            lines(60, |i| format!("{:08x}: {}", i * 16, "0000 ".repeat(8))),
        ),
    ];
    for (what, text) in wanted {
        assert_eq!(find(&tokens(&text)), None, "{what}");
    }
    let mut primes = String::new();
    for n in 2..3000 {
        if (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0) {
            write!(primes, "{n}, ").unwrap();
        }
    }
    assert_eq!(find(&tokens(&primes)), None);
}

fn stretch(longest: usize, different: i32) -> impl Strategy<Value = Vec<Said>> {
    prop::collection::vec((0..different).prop_map(said), 1..=longest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever came before it.
    #[test]
    fn a_stretch_is_found_when_it_has_filled_enough(
        before in stretch(1500, 5),
        repeated in prop_oneof![stretch(4, 4), stretch(60, 40), stretch(LONGEST, 2000)],
    ) {
        let times = must_fill(&repeated).div_ceil(repeated.len());
        let answer = [before.clone(), repeated.repeat(times)].concat();
        prop_assert!(find(&answer).is_some());
    }

    /// A repetition is what the rule says, and what is none is not found.
    #[test]
    fn what_is_found_is_what_the_rule_says(
        pieces in prop::collection::vec((stretch(30, 20), 1..80usize), 1..6),
    ) {
        let answer: Vec<Said> = pieces
            .iter()
            .flat_map(|(stretch, times)| stretch.repeat(*times))
            .take(6000)
            .collect();
        let found = find(&answer).map(|(at, _)| at);
        for end in (0..answer.len()).step_by(61).filter(|end| found.is_none_or(|at| *end < at)) {
            prop_assert!(!ends_in_repetition(&answer[..=end]), "{end}");
        }
        if let Some(at) = found {
            prop_assert!(ends_in_repetition(&answer[..=at]));
        }
    }

    /// Where a number changes in every line, however long it goes on.
    #[test]
    fn lines_that_differ_are_never_cut(line in stretch(60, 40), lines in 1..200i32) {
        let mut answer = Vec::new();
        for number in 0..lines {
            answer.extend(&line);
            answer.push(said(1000 + number));
        }
        prop_assert_eq!(find(&answer), None);
    }

    #[test]
    fn random_text_is_never_cut(answer in stretch(6000, 50)) {
        prop_assert_eq!(find(&answer), None);
    }
}
