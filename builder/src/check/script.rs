//! Programs that start another one in their own place: shells, by what their
//! script says, and `env`.

use super::program::{Certainty, Examiner, base_name};
use super::shell::{self, Word};
use crate::rootfs::path::display;
use crate::rootfs::tree::InodeId;

/// Names under which shells are called.
const SHELLS: [&str; 8] = ["ash", "bash", "dash", "ksh", "mksh", "rbash", "sh", "zsh"];
/// Shells that become the last command of `-c` instead of waiting for it, where they are.
const REPLACED: [&[u8]; 4] = [
    b"/bin/bash",
    b"/usr/bin/bash",
    b"/bin/busybox",
    b"/usr/bin/busybox",
];
/// Largest script that is read.
const SCRIPT_MAX_BYTES: u64 = 1 << 20;

/// What a shell is given.
struct Given {
    /// Where the text comes from.
    place: String,
    text: Option<String>,
    /// `$@`.
    arguments: Vec<String>,
    is_option: bool,
    /// The image has no such file.
    is_missing: bool,
}

/// Follows a command whose program is at `path`; whether it is a shell.
pub(super) fn command(
    examiner: &mut Examiner<'_>,
    path: &[u8],
    command: &[String],
    certainty: Certainty,
) -> bool {
    let mut command = command;
    let mut name = base_name(command.first().map_or(path, |name| name.as_bytes()));
    // Applets of busybox.
    if name == b"busybox"
        && let Some(applet) = command.get(1)
    {
        command = &command[1..];
        name = base_name(applet.as_bytes());
    }
    if name == b"env" {
        env(examiner, command, certainty);
        return false;
    }
    if !SHELLS.iter().any(|shell| shell.as_bytes() == name) {
        return false;
    }
    shell(examiner, path, command);
    true
}

/// `env [-S] [NAME=VALUE]… PROGRAM…`.
fn env(examiner: &mut Examiner<'_>, command: &[String], certainty: Certainty) {
    let split: Vec<String> = match command.get(1).and_then(|word| word.strip_prefix("-S")) {
        // All words of a `#!` line are one argument.
        Some(line) => {
            let line = line.split_whitespace().map(str::to_owned);
            line.chain(command.iter().skip(2).cloned()).collect()
        }
        None => command.iter().skip(1).cloned().collect(),
    };
    let is_setting = |word: &&String| word.contains('=') && !word.starts_with('-');
    let settings = split.iter().take_while(is_setting).count();
    // Other options, and another PATH, are for `env` to know.
    if split
        .get(settings)
        .is_some_and(|word| word.starts_with('-'))
        || split[..settings]
            .iter()
            .any(|word| word.starts_with("PATH="))
    {
        return;
    }
    // Only a `#!` line, whose script is an argument, is always the same.
    let is_line = (examiner.needs.programs.iter())
        .any(|program| program.kind == "script" && split.contains(&program.path));
    let certainty = if is_line {
        certainty
    } else {
        Certainty::Likely
    };
    if let Some(rest) = split.get(settings..).filter(|rest| !rest.is_empty()) {
        examiner.follow(rest, certainty);
    }
}

fn shell(examiner: &mut Examiner<'_>, path: &[u8], command: &[String]) {
    let given = given(examiner, command);
    let Some(text) = &given.text else {
        let what = format!("{} is a shell whose commands {}", command[0], given.place);
        if given.is_missing {
            examiner.warn("shell", what, "name a script that the image has");
        } else {
            examiner.note("shell", what, "");
        }
        return;
    };
    let script = shell::read(text);
    let becomes_last = given.is_option && is_replaced(examiner, path);
    let mut execs = script.execs;
    match (script.last, script.fork) {
        (Some(last), _) if becomes_last => execs.push(last),
        (_, Some(fork)) => {
            examiner.needs.fork = true;
            let what = format!(
                "{} starts processes: {} in line {}",
                given.place, fork.what, fork.line
            );
            examiner.note("fork", what, "");
        }
        (_, None) => {}
    }
    if let Some(unclear) = script.unclear {
        let what = format!(
            "{} runs what it reads elsewhere: {} in line {}",
            given.place, unclear.what, unclear.line
        );
        examiner.note("shell", what, "");
    }
    for exec in execs {
        let mut words = Vec::new();
        let mut is_known = true;
        for word in &exec {
            match word {
                Word::Text(text) => words.push(text.clone()),
                Word::Arguments => words.extend_from_slice(&given.arguments),
                Word::Unknown => {
                    is_known &= !words.is_empty();
                    words.push(String::new());
                }
            }
        }
        if !is_known {
            let what = format!("{} becomes a program that only it knows", given.place);
            examiner.note("shell", what, "");
        } else if !words.is_empty() {
            examiner.follow(&words, Certainty::Likely);
        }
    }
}

/// What the shell's arguments say.
fn given(examiner: &Examiner<'_>, command: &[String]) -> Given {
    let mut is_option = false;
    let mut at = 1;
    while let Some(word) = command.get(at) {
        if word == "--" || word == "-" {
            at += 1;
            break;
        }
        let Some(options) = word.strip_prefix(['-', '+']) else {
            break;
        };
        at += 1;
        if let Some(long) = options.strip_prefix('-') {
            at += usize::from(long == "rcfile" || long == "init-file");
            continue;
        }
        is_option |= word.starts_with('-') && options.contains('c');
        // `-o pipefail`.
        at += usize::from(options.contains('o') || options.contains('O'));
    }
    let rest = command.get(at..).unwrap_or_default();
    let arguments = |skip: usize| rest.iter().skip(skip).cloned().collect();
    match (rest.first(), is_option) {
        (Some(text), true) => Given {
            place: format!("the script of {} -c", command[0]),
            text: Some(text.clone()),
            // After the script comes `$0`.
            arguments: arguments(2),
            is_option,
            is_missing: false,
        },
        (Some(file), false) => {
            let path = examiner.path(file);
            let text = examiner.files.read(&path, SCRIPT_MAX_BYTES);
            let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let place = match text {
                Some(_) => format!("the script {}", display(&path)),
                None => format!("are in {}, which is not in the image", display(&path)),
            };
            Given {
                place,
                is_missing: text.is_none(),
                text,
                arguments: arguments(1),
                is_option,
            }
        }
        (None, _) => Given {
            place: "come from standard input".to_owned(),
            text: None,
            arguments: Vec::new(),
            is_option,
            is_missing: false,
        },
    }
}

/// Whether the shell becomes the last command: bash and busybox do, dash forks.
fn is_replaced(examiner: &Examiner<'_>, path: &[u8]) -> bool {
    let id: Option<InodeId> = examiner.files.inode_id(path);
    id.is_some()
        && REPLACED
            .iter()
            .any(|shell| examiner.files.inode_id(shell) == id)
}
