//! What was said so far, and how much of it fits the context.

use super::{Message, Role, Template, TemplateError};

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What was asked.
    pub question: String,
    /// Absent while it is being answered, and where the answer was stopped before its first word.
    pub answer: Option<String>,
    /// What the model thought before it answered, for templates that want to know; empty where it
    /// did not think.
    pub thoughts: String,
}

/// A system message and turns, with the template that makes a prompt of them.
#[derive(Debug)]
pub struct Conversation {
    template: Template,
    system: Option<String>,
    turns: Vec<Turn>,
    /// How many of the oldest turns no longer fit the context: no prompt has them.
    forgotten: usize,
    /// How often everything that was said was cleared.
    clearings: usize,
}

/// A prompt that was cut to fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fitted<T> {
    /// The prompt.
    pub(super) text: String,
    /// Its tokens.
    pub(super) tokens: Vec<T>,
    /// How many of the turns that were not forgotten are not in it, the oldest of them.
    pub(super) dropped: usize,
}

impl Conversation {
    /// A conversation in which nothing was said.
    pub fn new(template: Template, system: Option<String>) -> Self {
        Self {
            template,
            system,
            turns: Vec::new(),
            forgotten: 0,
            clearings: 0,
        }
    }

    /// The template that makes the prompts.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The system message.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// What was said, the oldest first; also what the context has no room for any more.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// How many of the oldest turns the prompts leave out, because the context has no room for them.
    pub fn forgotten(&self) -> usize {
        self.forgotten
    }

    /// How often everything that was said was cleared: what is said after that is another talk.
    pub fn clearings(&self) -> usize {
        self.clearings
    }

    /// Takes up what was said before, in place of what is there. A question without an answer is not
    /// taken up, but for the last: templates want the two in turn.
    pub fn restore(&mut self, system: Option<String>, mut turns: Vec<Turn>) {
        let last = turns.pop();
        turns.retain(|turn| turn.answer.is_some());
        turns.extend(last);
        self.system = system;
        self.turns = turns;
        self.forgotten = 0;
    }

    /// Sets the system message for what follows.
    pub fn set_system(&mut self, system: Option<String>) {
        self.system = system;
    }

    /// Forgets all turns; the system message stays.
    pub fn clear(&mut self) {
        self.turns.clear();
        self.forgotten = 0;
        self.clearings += 1;
    }

    /// Whether there is a question that could be answered anew.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Adds a question. A question before it that has no answer is forgotten, because templates
    /// want the two in turn.
    pub fn ask(&mut self, question: impl Into<String>) {
        self.turns.retain(|turn| turn.answer.is_some());
        self.turns.push(Turn {
            question: question.into(),
            answer: None,
            thoughts: String::new(),
        });
    }

    /// Takes the last answer back, so that the last question is to be answered anew. False where
    /// there is no question.
    pub fn ask_again(&mut self) -> bool {
        match self.turns.last_mut() {
            Some(turn) => {
                turn.answer = None;
                turn.thoughts.clear();
                true
            }
            None => false,
        }
    }

    /// Takes the last question back, with its answer.
    pub fn take_back(&mut self) -> Option<Turn> {
        let taken = self.turns.pop();
        if self.forgotten >= self.turns.len() {
            // With nothing left in the prompt, what was forgotten may fit again.
            self.forgotten = 0;
        }
        taken
    }

    /// Records the answer to the last question, and what was thought before it.
    pub(super) fn answered(&mut self, answer: String, thoughts: String) {
        if let Some(turn) = self.turns.last_mut() {
            turn.answer = Some(answer);
            turn.thoughts = thoughts;
        }
    }

    /// Leaves `count` more of the oldest turns out of the prompts from here on.
    pub fn forget(&mut self, count: usize) {
        self.forgotten = self.turns.len().min(self.forgotten + count);
    }

    /// The prompt of the newest turns that has at most `room` tokens. The last turn always stays,
    /// even where it is too long alone.
    pub(super) fn fit<T>(
        &self,
        room: usize,
        tokenize: impl Fn(&str) -> Vec<T>,
    ) -> Result<Fitted<T>, TemplateError> {
        let fitted = |dropped| -> Result<Fitted<T>, TemplateError> {
            let text = self.prompt(self.forgotten + dropped)?;
            let tokens = tokenize(&text);
            Ok(Fitted {
                text,
                tokens,
                dropped,
            })
        };
        let mut best = fitted(0)?;
        // As many as may go. A chat of many years is taken up without making all its prompts: with
        // fewer turns a prompt is shorter, so the first that fits is found by halving.
        let most = (self.turns.len() - self.forgotten).saturating_sub(1);
        if best.tokens.len() <= room || most == 0 {
            return Ok(best);
        }
        let (mut too_few, mut enough) = (0, most);
        best = fitted(most)?;
        while enough - too_few > 1 {
            let middle = too_few + (enough - too_few) / 2;
            let tried = fitted(middle)?;
            if tried.tokens.len() <= room {
                (best, enough) = (tried, middle);
            } else {
                too_few = middle;
            }
        }
        Ok(best)
    }

    /// The prompt without the `skip` oldest turns.
    fn prompt(&self, skip: usize) -> Result<String, TemplateError> {
        let mut messages = Vec::new();
        messages.extend(
            self.system
                .iter()
                .map(|system| Message::new(Role::System, system)),
        );
        for turn in self.turns.iter().skip(skip) {
            messages.push(Message::new(Role::User, &turn.question));
            let answer = turn
                .answer
                .iter()
                .map(|answer| Message::new(Role::Assistant, answer));
            messages.extend(answer.map(|answer| answer.with_thoughts(&turn.thoughts)));
        }
        self.template.render(&messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::SpecialTokens;

    const TEMPLATE: &str = "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}";

    /// A conversation whose prompt is one token for each character.
    fn conversation(system: Option<&str>) -> Conversation {
        let template = Template::new("test", TEMPLATE, SpecialTokens::default()).unwrap();
        Conversation::new(template, system.map(ToOwned::to_owned))
    }

    fn talk(conversation: &mut Conversation, said: &[(&str, &str)]) {
        for (question, answer) in said {
            conversation.ask(*question);
            conversation.answered((*answer).to_owned(), String::new());
        }
    }

    fn fit(conversation: &Conversation, room: usize) -> (String, usize) {
        let fitted = conversation
            .fit(room, |text| text.chars().collect())
            .unwrap();
        (fitted.tokens.into_iter().collect(), fitted.dropped)
    }

    #[test]
    fn all_turns_stay_where_they_fit() {
        let mut c = conversation(Some("S"));
        talk(&mut c, &[("a", "b"), ("c", "d")]);
        c.ask("e");
        let whole = "s:S;u:a;a:b;u:c;a:d;u:e;";
        assert_eq!(fit(&c, whole.len()), (whole.to_owned(), 0));
    }

    #[test]
    fn the_oldest_turns_go_first_and_the_system_message_stays() {
        let mut c = conversation(Some("S"));
        talk(&mut c, &[("a", "b"), ("c", "d")]);
        c.ask("e");
        assert_eq!(fit(&c, 23), ("s:S;u:c;a:d;u:e;".to_owned(), 1));
        assert_eq!(fit(&c, 16), ("s:S;u:c;a:d;u:e;".to_owned(), 1));
        assert_eq!(fit(&c, 15), ("s:S;u:e;".to_owned(), 2));
    }

    #[test]
    fn the_last_turn_stays_even_where_it_does_not_fit() {
        let mut c = conversation(None);
        talk(&mut c, &[("a", "b")]);
        c.ask("long");
        assert_eq!(fit(&c, 3), ("u:long;".to_owned(), 1));
    }

    #[test]
    fn fitting_alone_forgets_nothing() {
        let mut c = conversation(None);
        talk(&mut c, &[("a", "b")]);
        c.ask("c");
        assert_eq!(fit(&c, 1).1, 1);
        assert_eq!(fit(&c, 100), ("u:a;a:b;u:c;".to_owned(), 0));
        c.forget(1);
        assert_eq!(fit(&c, 100), ("u:c;".to_owned(), 0));
        // It is still known what was said.
        assert_eq!((c.turns().len(), c.forgotten()), (2, 1));
        c.take_back();
        c.ask("d");
        assert_eq!(fit(&c, 100), ("u:a;a:b;u:d;".to_owned(), 0));
    }

    #[test]
    fn the_first_prompt_that_fits_is_found_in_a_long_conversation() {
        let mut c = conversation(None);
        let said: Vec<_> = (0..100).map(|_| ("q", "a")).collect();
        talk(&mut c, &said);
        c.ask("q");
        for room in [4, 7, 8, 12, 100, 795, 796, 803, 804, 900] {
            let turns = ((room - 4) / 8).min(100);
            assert_eq!(fit(&c, room).1, 100 - turns, "room for {room}");
        }
    }

    #[test]
    fn a_template_is_told_what_was_thought() {
        const SOURCE: &str = "{% for m in messages %}{{ m.content }}\
            {% if m.reasoning_content is defined %}[{{ m.reasoning_content }}|{{ m.thinking }}]{% endif %};\
            {% endfor %}";
        let template = Template::new("test", SOURCE, SpecialTokens::default()).unwrap();
        let mut c = Conversation::new(template, None);
        c.ask("a");
        c.answered("b".to_owned(), "hm".to_owned());
        c.ask("c");
        assert_eq!(fit(&c, 100).0, "a;b[hm|hm];c;");
        // What is answered anew is thought about anew.
        c.take_back();
        assert!(c.ask_again());
        c.answered("d".to_owned(), String::new());
        assert_eq!(fit(&c, 100).0, "a;d;");
    }

    #[test]
    fn questions_and_answers_take_turns() {
        let mut c = conversation(None);
        assert!(!c.ask_again(), "nothing was asked");
        c.ask("stopped before its first word");
        c.ask("a");
        assert_eq!(fit(&c, 100).0, "u:a;");
        c.answered("b".to_owned(), String::new());
        assert!(c.ask_again());
        assert_eq!(fit(&c, 100).0, "u:a;");
        c.answered("c".to_owned(), String::new());
        c.ask("d");
        c.take_back();
        assert_eq!(fit(&c, 100).0, "u:a;a:c;");
        c.set_system(Some("S".to_owned()));
        assert_eq!(fit(&c, 100).0, "s:S;u:a;a:c;");
        c.clear();
        assert!(c.is_empty());
    }
}
