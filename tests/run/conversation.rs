//! A conversation through the library: what is reused of the context, and what goes when it is
//! full. In one test, because llama.cpp is started once in a program.

use std::ops::ControlFlow;

use swallow_gguf::runner::{
    Answer, ContextOptions, Conversation, Ended, Event, LoadOptions, Model, ModelFile, RunnerError,
    Sampling, Session, SessionOptions, Template,
};

use crate::support::smollm2;

struct Chat<'m> {
    session: Session<'m>,
    conversation: Conversation,
}

/// An answer, the text that was streamed, and the turns that were forgotten.
type Heard = (Answer, String, usize);

impl<'m> Chat<'m> {
    fn new(model: &'m Model, file: &ModelFile, context: u32, limit: usize) -> Self {
        let options = SessionOptions {
            context: ContextOptions {
                size: Some(context),
                ..ContextOptions::default()
            },
            sampling: Sampling {
                temperature: 0.0,
                ..Sampling::default()
            },
            limit: Some(limit),
            ..SessionOptions::default()
        };
        let source = file.chat.template.as_deref().unwrap();
        let template = Template::new("the file's", source, file.special.clone()).unwrap();
        Self {
            session: Session::new(model, options).unwrap(),
            conversation: Conversation::new(template, Some("Answer.".to_owned())),
        }
    }

    fn answer(&mut self) -> Result<Heard, RunnerError> {
        let (mut streamed, mut forgotten) = (String::new(), 0);
        let answer = self.session.answer(&mut self.conversation, |event| {
            match event {
                Event::Text(text) => streamed.push_str(text),
                Event::Forgot { turns } => forgotten += turns,
                Event::Reading { .. } | Event::Thought(_) => {}
            }
            ControlFlow::Continue(())
        })?;
        Ok((answer, streamed, forgotten))
    }

    fn ask(&mut self, question: &str) -> Heard {
        self.conversation.ask(question);
        self.answer().unwrap()
    }
}

#[test]
fn a_conversation_within_its_context() {
    let Some(path) = smollm2("a_conversation_within_its_context") else {
        return;
    };
    let file = ModelFile::open(&path).unwrap();
    let options = LoadOptions::default();
    // Kept for ever: freeing llama.cpp would pull the floor from under tests beside this one.
    let model = Model::load(&file, &options, |_| {}).unwrap();
    let model: &'static Model = Box::leak(Box::new(model));
    each_turn_evaluates_only_what_is_new(model, &file);
    the_oldest_turns_go(model, &file);
    an_answer_can_be_stopped(model, &file);
}

fn each_turn_evaluates_only_what_is_new(model: &Model, file: &ModelFile) {
    let mut chat = Chat::new(model, file, 1024, 20);
    let (first, streamed, _) = chat.ask("Name a colour and say why you like it.");
    assert_eq!(streamed, first.text);
    assert_eq!(first.figures.reused_tokens, 0);
    let (second, _, _) = chat.ask("Another one?");
    let before = first.figures.prompt_tokens + first.figures.answer_tokens;
    // The last token of an answer was never evaluated.
    assert_eq!(second.figures.reused_tokens, before - 1);
    assert!(second.figures.prompt_tokens < 20, "{:?}", second.figures);
    // Anew: all but the last token of the prompt is there.
    assert!(chat.conversation.ask_again());
    let (again, _, _) = chat.answer().unwrap();
    assert_eq!(again.figures.prompt_tokens, 1);
    assert_eq!(again.text, second.text, "greedy");
}

fn the_oldest_turns_go(model: &Model, file: &ModelFile) {
    let mut chat = Chat::new(model, file, 256, 200);
    let mut forgotten = Vec::new();
    for topic in ["sea", "moon", "snow"] {
        let question = format!("Write a long story about the {topic}.");
        let (answer, streamed, turns) = chat.ask(&question);
        assert_eq!(streamed, answer.text);
        assert!(answer.figures.answer_tokens > 20, "{answer:?}");
        forgotten.push(turns);
    }
    assert_eq!(forgotten[0], 0);
    assert!(forgotten[2] > 0, "{forgotten:?}");

    // A question that is too long alone changes nothing.
    chat.conversation.ask("word ".repeat(400));
    let error = chat.answer().unwrap_err();
    assert!(
        matches!(error, RunnerError::PromptTooLong { context: 256, .. }),
        "{error}"
    );
    chat.conversation.take_back();
    let (_, _, turns) = chat.ask("Hi");
    assert!(turns <= 1, "the turns before were kept");
}

fn an_answer_can_be_stopped(model: &Model, file: &ModelFile) {
    let mut chat = Chat::new(model, file, 512, 50);
    chat.conversation.ask("Tell me a story.");
    let mut pieces = 0;
    let stopped = chat.session.answer(&mut chat.conversation, |event| {
        pieces += usize::from(matches!(event, Event::Text(_)));
        match pieces {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    let stopped = stopped.unwrap();
    assert_eq!(stopped.ended, Ended::Interrupted);
    assert_eq!(stopped.figures.answer_tokens, 3);
    // Before its first word: there is no answer to remember, and the next question takes its place.
    chat.conversation.clear();
    chat.conversation.ask("Tell me a story.");
    let none = chat
        .session
        .answer(&mut chat.conversation, |_| ControlFlow::Break(()))
        .unwrap();
    assert_eq!((none.ended, none.text.as_str()), (Ended::Interrupted, ""));
    let (answer, _, _) = chat.ask("Tell me a story.");
    assert!(!answer.text.is_empty());
}
