//! Scripts as images have them.

use proptest::prelude::ProptestConfig;
use proptest::proptest;

use super::{Word, read};

fn text(words: &[&str]) -> Vec<Word> {
    words
        .iter()
        .map(|word| Word::Text((*word).to_owned()))
        .collect()
}

/// Line and text of the first process.
fn fork(script: &str) -> Option<(usize, String)> {
    read(script).fork.map(|place| (place.line, place.what))
}

#[test]
fn an_entrypoint_that_becomes_its_command() {
    let script = read(
        "#!/bin/sh\nset -e\n# first argument is an option\nif [ \"${1#-}\" != \"$1\" ]; then\n\tset -- redis-server \"$@\"\nfi\numask 0077 || true\nexport A=1 B='two words'\nexec \"$@\"\n",
    );
    assert_eq!(script.fork, None);
    assert_eq!(script.unclear, None);
    assert_eq!(script.execs, [vec![Word::Arguments]]);
}

#[test]
fn processes_are_found_with_their_lines() {
    for (script, line, what) in [
        ("set -e\nchown -R redis .\nexec x", 2, "chown"),
        ("a=$(id -u)\nexec x", 1, "a command in $(…)"),
        ("cd /\n\na=`id -u`", 3, "a command in backquotes"),
        ("[ \"$1\" = x -a \"$(id -u)\" = 0 ]", 1, "a command in $(…)"),
        ("echo x | read y", 1, "a pipe"),
        ("sleep 1 & wait", 1, "a command in the background"),
        ("(cd /; exec x)", 1, "a subshell"),
        ("\"$@\"; echo done", 1, "\"$@\""),
        ("case $1 in\n a|b) ls;;\n *) exec x;;\nesac", 2, "ls"),
        ("f() {\n  ls -l\n}\nf", 2, "ls"),
        ("echo ${a:-$(hostname)}", 1, "a command in $(…)"),
        ("if true; then ls; fi", 1, "ls"),
        ("command ls; true", 1, "command ls"),
        ("diff <(a) b; true", 1, "a process as a file"),
    ] {
        assert_eq!(fork(script), Some((line, what.to_owned())), "{script}");
        assert_eq!(read(script).last, None, "{script}");
    }
}

#[test]
fn the_shells_own_commands_are_no_processes() {
    for script in [
        "",
        "# ls\n",
        "A=1; export A; echo \"$A ${A:-$B}\" '$(ls)' >&2",
        "f() { echo x; }\nf 2>/dev/null",
        "function g { echo x; }; g",
        "case \"$1\" in\n -*) set -- a \"$@\";;\n esac",
        "for i in a b $c; do echo $((i + 1)); done",
        "cat() { :; }; cat <<EOF\nls | rm `x`\nEOF\ncd /",
        "[[ $a == b && -f c || d < e ]] && echo yes",
        "while read -r line; do echo \"$line\"; done < /etc/hosts",
        "command -v gosu >/dev/null 2>&1 || exit 1",
        "if [ -f /a ] && ! [ -d /b ]; then cd /b; fi",
    ] {
        assert_eq!(fork(script), None, "{script}");
    }
}

#[test]
fn the_last_of_a_list_is_apart() {
    let script = read("cd /srv && python3 -m http.server 80");
    assert_eq!(
        script.last,
        Some(text(&["python3", "-m", "http.server", "80"]))
    );
    let script = read("exec java -jar \"/srv/a b.jar\" $OPTIONS");
    let mut words = text(&["java", "-jar", "/srv/a b.jar"]);
    words.push(Word::Unknown);
    assert_eq!(script.execs, [words]);
    assert_eq!(script.last, None);
    assert_eq!(read("ls; cd /").last, None);
    assert_eq!(read("ls; rm x").last, None);
    assert_eq!(read("trap x TERM; ls").last, None);
    assert_eq!(read("exec -a name prog x").execs, [text(&["prog", "x"])]);
    assert!(read("exec >/dev/null 2>&1").execs.is_empty());
    assert_eq!(
        read(". /etc/profile\ncd /").unclear.map(|place| place.line),
        Some(1)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read(text in "([a-z \"'`$(){}\\[\\]<>|&;#\\\\\n=*]|\\$\\(|case x in|esac|<<E|\\$\\{|if |fi){0,60}") {
        read(&text);
    }
}
