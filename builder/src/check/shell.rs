//! What a shell script does, as far as its text tells: whether it starts
//! processes, and what it becomes by `exec`.
//!
//! Every command counts, whether or not the script comes to it. The grammar is
//! that of POSIX with what bash adds; where the text is not understood, too
//! little is said rather than too much.

mod marks;
mod words;

use std::collections::BTreeSet;

/// Commands that shells have inside.
const BUILTINS: [&str; 48] = [
    ".",
    ":",
    "[",
    "alias",
    "bg",
    "break",
    "builtin",
    "caller",
    "cd",
    "command",
    "continue",
    "declare",
    "dirs",
    "disown",
    "echo",
    "enable",
    "eval",
    "exit",
    "export",
    "false",
    "fg",
    "getopts",
    "hash",
    "jobs",
    "kill",
    "let",
    "local",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "test",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
];
/// More of them.
const BUILTINS_MORE: [&str; 3] = ["unalias", "unset", "wait"];
/// Words after which a command begins.
const OPENERS: [&str; 9] = [
    "if", "then", "elif", "else", "do", "while", "until", "{", "!",
];
/// Words that end what openers began.
const CLOSERS: [&str; 4] = ["fi", "done", "esac", "}"];

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The same each time.
    Text(String),
    /// `"$@"`: the script's own arguments.
    Arguments,
    /// With something that only the shell knows.
    Unknown,
}

/// A place in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Counted from 1.
    pub(super) line: usize,
    /// What is there.
    pub(super) what: String,
}

/// See the module documentation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// The first command that is a process of its own.
    pub(super) fork: Option<Place>,
    /// What it may become.
    pub(super) execs: Vec<Vec<Word>>,
    /// The last command of a plain list, which some shells run in their own place.
    pub(super) last: Option<Vec<Word>>,
    /// What cannot be told from the text.
    pub(super) unclear: Option<Place>,
}

/// Reads a script.
pub(super) fn read(text: &str) -> Script {
    let mut reader = Reader {
        text: text.as_bytes(),
        line: 1,
        ..Reader::default()
    };
    reader.run();
    reader.finish()
}

/// A command that is none of the shell's own: a function or a program.
struct Foreign {
    /// Which of the script's commands it is.
    index: usize,
    place: Place,
    words: Vec<Word>,
    name: Option<String>,
}

#[derive(Default)]
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    words: Vec<Word>,
    /// As they are written, for assignments and keywords.
    raw: Vec<String>,
    functions: BTreeSet<String>,
    foreign: Vec<Foreign>,
    /// Commands so far.
    count: usize,
    script: Script,
    /// Ends of here-documents that begin with the next line.
    documents: Vec<String>,
    /// `case … in` that are open, and whether a pattern comes next.
    cases: Vec<bool>,
    /// Something but a plain list of commands.
    is_compound: bool,
}

impl Reader<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            if self.cases.last() == Some(&true) && !byte.is_ascii_whitespace() && byte != b'#' {
                self.pattern();
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\\' if self.next_is(b"\\\n") => {
                    self.at += 2;
                    self.line += 1;
                }
                b'\n' => {
                    self.end_command();
                    self.at += 1;
                    self.line += 1;
                    self.skip_documents();
                }
                b'#' => self.skip_line(),
                b';' => {
                    self.end_command();
                    let is_case = self.next_is(b";;");
                    self.at += if is_case { 2 } else { 1 };
                    if is_case && let Some(pattern) = self.cases.last_mut() {
                        *pattern = true;
                    }
                }
                b'&' if self.next_is(b"&&") => self.separator(2),
                b'|' if self.next_is(b"||") => self.separator(2),
                b'&' if self.next_is(b"&>") => self.redirection(),
                b'&' => {
                    self.fork("a command in the background");
                    self.separator(1);
                }
                b'|' => {
                    self.fork("a pipe");
                    self.separator(1);
                }
                b'(' => self.parenthesis(),
                b')' => self.separator(1),
                b'<' | b'>' => self.redirection(),
                _ => self.word(),
            }
        }
        self.end_command();
    }

    fn finish(mut self) -> Script {
        let functions = std::mem::take(&mut self.functions);
        let is_function = |foreign: &Foreign| {
            foreign
                .name
                .as_ref()
                .is_some_and(|name| functions.contains(name))
        };
        self.foreign.retain(|foreign| !is_function(foreign));
        // The last of a plain list is apart: some shells become it.
        let is_last = self.foreign.len() == 1 && self.foreign[0].index == self.count;
        if is_last && !self.is_compound && self.script.fork.is_none() {
            let last = self.foreign.remove(0);
            self.script.last = Some(last.words);
            self.script.fork = Some(last.place);
            return self.script;
        }
        let first = self.foreign.into_iter().next().map(|foreign| foreign.place);
        let places = self.script.fork.take().into_iter().chain(first);
        self.script.fork = places.min_by_key(|place| place.line);
        self.script
    }

    fn next_is(&self, bytes: &[u8]) -> bool {
        self.text[self.at..].starts_with(bytes)
    }

    fn separator(&mut self, bytes: usize) {
        self.end_command();
        self.at += bytes;
    }

    fn place(&self, what: &str) -> Place {
        Place {
            line: self.line,
            what: what.to_owned(),
        }
    }

    fn fork(&mut self, what: &str) {
        let place = self.place(what);
        self.script.fork.get_or_insert(place);
    }

    fn word(&mut self) {
        let start = self.at;
        let (word, raw) = self.read_word();
        if self.at == start {
            // Nothing that begins a word: passed over.
            self.at += 1;
            return;
        }
        // The number of a descriptor belongs to the redirection behind it.
        let redirects = self
            .text
            .get(self.at)
            .is_some_and(|byte| b"<>".contains(byte));
        if redirects && raw.bytes().all(|byte| byte.is_ascii_digit()) {
            return;
        }
        let is_first = self.raw.is_empty();
        if is_first && OPENERS.contains(&raw.as_str()) {
            self.is_compound |= raw != "!";
            return;
        }
        if is_first && CLOSERS.contains(&raw.as_str()) {
            if raw == "esac" {
                self.cases.pop();
            }
            self.is_compound = true;
            return;
        }
        if is_first && raw == "[[" {
            self.at = self.skip_to(b"]]");
            return;
        }
        let is_case = self.raw.first().is_some_and(|first| first == "case");
        if is_case && raw == "in" {
            self.is_compound = true;
            self.cases.push(true);
            self.words.clear();
            self.raw.clear();
            return;
        }
        self.words.push(word);
        self.raw.push(raw);
    }

    fn end_command(&mut self) {
        let mut words = std::mem::take(&mut self.words);
        let mut raw = std::mem::take(&mut self.raw);
        let assignments = raw.iter().take_while(|raw| is_assignment(raw)).count();
        words.drain(..assignments);
        raw.drain(..assignments);
        let Some(first) = words.first().cloned() else {
            return;
        };
        self.count += 1;
        let Word::Text(name) = first else {
            // `"$@"` as a command, or one in a variable.
            self.add_foreign(words, None, &raw[0]);
            return;
        };
        match name.as_str() {
            "for" | "select" | "case" => self.is_compound = true,
            "function" => {
                self.is_compound = true;
                self.functions.extend(raw.get(1).cloned());
            }
            "exec" => {
                let rest: Vec<Word> = skip_options(&words[1..], &["-a"]);
                if !rest.is_empty() {
                    self.script.execs.push(rest);
                }
            }
            "eval" | "." | "source" => {
                let place = self.place(&raw.join(" "));
                self.script.unclear.get_or_insert(place);
            }
            "command" if !matches!(raw.get(1).map(String::as_str), Some("-v" | "-V")) => {
                let rest = skip_options(&words[1..], &[]);
                let name = match rest.first() {
                    Some(Word::Text(name)) => Some(name.clone()),
                    _ => None,
                };
                if !name.as_deref().is_some_and(is_builtin) && !rest.is_empty() {
                    self.add_foreign(rest, None, &raw.join(" "));
                }
            }
            "trap" => self.is_compound = true,
            name if is_builtin(name) => {}
            name => self.add_foreign(words, Some(name.to_owned()), name),
        }
    }

    fn add_foreign(&mut self, words: Vec<Word>, name: Option<String>, text: &str) {
        let place = self.place(text);
        self.foreign.push(Foreign {
            index: self.count,
            place,
            words,
            name,
        });
    }
}

fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(&name) || BUILTINS_MORE.contains(&name)
}

fn is_assignment(raw: &str) -> bool {
    let Some((name, _)) = raw.split_once('=') else {
        return false;
    };
    let name = name.strip_suffix('+').unwrap_or(name);
    let is_name =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'[' || byte == b']';
    !name.is_empty()
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && name.bytes().all(is_name)
}

/// Words without the options in front; `with_value` name those that take a word.
fn skip_options(words: &[Word], with_value: &[&str]) -> Vec<Word> {
    let mut at = 0;
    while let Some(Word::Text(option)) = words.get(at) {
        if option == "--" {
            at += 1;
            break;
        }
        if !option.starts_with('-') || option.len() < 2 {
            break;
        }
        at += if with_value.contains(&option.as_str()) {
            2
        } else {
            1
        };
    }
    words.get(at..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests;
