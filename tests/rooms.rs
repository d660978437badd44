//! The rooms of the library depend on each other one way only: no circle among the modules of `src`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

#[test]
fn no_rooms_of_the_library_need_each_other() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(src.join("lib.rs")).unwrap();
    let rooms: BTreeSet<&str> = lib.lines().filter_map(room_of).collect();
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for &room in &rooms {
        let mut files = vec![src.join(format!("{room}.rs"))];
        files.retain(|file| file.is_file());
        files_below(&src.join(room), &mut files);
        assert!(!files.is_empty(), "{room}");
        let mut needed = BTreeSet::new();
        for file in files {
            let code = code_of(&fs::read_to_string(file).unwrap());
            needed.extend(rooms.iter().filter(|&&other| names(&code, other)));
        }
        needed.remove(room);
        needs.insert(room, needed);
    }
    // So that it is seen when nothing is found any more.
    assert!(needs["merge"].contains("convert"), "{needs:?}");

    // Rooms that need none of those left go; those that stay are in a circle, or need one.
    while let Some(room) = free_of_needs(&needs) {
        needs.remove(room);
        for needed in needs.values_mut() {
            needed.remove(room);
        }
    }
    assert!(needs.is_empty(), "a circle: {needs:#?}");
}

fn free_of_needs<'a>(needs: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<&'a str> {
    let mut all = needs.iter();
    all.find(|(_, needed)| needed.is_empty())
        .map(|(room, _)| *room)
}

/// The module that a line of `lib.rs` declares.
fn room_of(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    line.strip_prefix("mod ")?.strip_suffix(';')
}

/// The files of the folder `dir`, those of tests left out.
fn files_below(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("tests") => {}
            _ if path.is_dir() => files_below(&path, files),
            _ if path.extension().is_some_and(|ext| ext == "rs") => files.push(path),
            _ => {}
        }
    }
}

/// A file's code without comments, white space and the tests at its end.
fn code_of(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "mod tests {");
    let code = lines.map(|line| line.split("//").next().unwrap_or(""));
    code.flat_map(str::split_whitespace).collect()
}

/// Whether `code` has `crate::ROOM`, or a `crate::{...}` with ROOM in it.
fn names(code: &str, room: &str) -> bool {
    let mut uses = code.split("crate::").skip(1);
    uses.any(|path| match path.strip_prefix('{') {
        None => begins(path, room),
        Some(list) => members(list).iter().any(|member| begins(member, room)),
    })
}

/// Whether `room` is the first name of `path`.
fn begins(path: &str, room: &str) -> bool {
    let rest = path.strip_prefix(room);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// The members of a list of names, which ends with the brace that closes it.
fn members(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                members.push(&list[start..at]);
                start = at + 1;
            }
            '}' if depth == 0 => {
                members.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    members
}

#[test]
fn what_a_file_names_is_found() {
    let code = code_of(
        "use crate::{\n    a::{self, b},\n    cd, // not `ef`\n    mod_x::y,\n};\nlet z = crate::w::run(); // crate::v::run()\nmod tests {\nuse crate::u;",
    );
    let found = [
        "a", "b", "c", "cd", "d", "ef", "mod_x", "mod", "w", "v", "u", "y",
    ];
    let found: Vec<&str> = found
        .into_iter()
        .filter(|room| names(&code, room))
        .collect();
    assert_eq!(found, ["a", "cd", "mod_x", "w"]);
}
