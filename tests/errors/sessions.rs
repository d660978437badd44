//! Errors of `src/sessions`: a folder with chats that are not as they should be.

use std::fs::{self, File};

use swallow_gguf::sessions::{SessionError, SessionName, Sessions};

use super::{Section, variants};

variants!(SessionError {
    NoFolder,
    Io,
    Name,
    Unknown,
    NoneOf,
    Taken,
    InUse,
    Newer,
    TooLarge,
});

pub(super) fn errors(list: &mut Section) {
    list.want::<SessionError>();
    let folder = list.dir().join("sessions");
    let sessions = Sessions::at(folder.clone());
    let name = |name: &str| SessionName::new(name).unwrap();
    fs::create_dir(&folder).unwrap();
    let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
    write("trip.jsonl", "{\"session\":1}\n");
    write("later.jsonl", "{\"session\":9}\n");
    write("folder", "");
    let huge = File::create(folder.join("huge.jsonl")).unwrap();
    huge.set_len(1 << 30).unwrap();

    list.add("no home", SessionError::NoFolder);
    let under_a_file = Sessions::at(folder.join("folder").join("sessions"));
    list.add(
        "a file in place of the folder",
        under_a_file.take(&name("a")).unwrap_err(),
    );
    list.add(
        "a name that is a path",
        SessionName::new("../a").unwrap_err(),
    );
    list.add("a name of blanks", SessionName::new(" a").unwrap_err());
    list.add(
        "a name that Windows keeps for itself",
        SessionName::new("con").unwrap_err(),
    );
    list.add("a slip of the pen", sessions.named("tripp").unwrap_err());
    list.add(
        "a chat that was never kept",
        sessions.named("work").unwrap_err(),
    );
    let model = "Swallow MX 8x7b".to_owned();
    list.add(
        "a model that was never talked to",
        SessionError::NoneOf { model },
    );
    let mut held = sessions.take(&name("work")).unwrap();
    list.add(
        "a name that another chat has",
        held.save_as(name("trip")).unwrap_err(),
    );
    list.add(
        "a chat in two windows",
        sessions.take(&name("work")).unwrap_err(),
    );
    list.add(
        "a chat of tomorrow",
        sessions.read(&name("later")).unwrap_err(),
    );
    list.add(
        "a file that is no chat",
        sessions.read(&name("huge")).unwrap_err(),
    );
}
