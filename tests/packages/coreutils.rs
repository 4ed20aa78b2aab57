//! coreutils and their neighbours, as dynamic glibc programs.

use super::Case;
use super::Source::Host;
use super::Want::{Code, Native, Words};

/// `@` stands for the fixture's directory.
pub(super) const CASES: &[Case] = &[
    (
        "coreutils_ls",
        Host("/bin/ls"),
        &["-l", "--time-style=long-iso", "@/words", "@/tree/link"],
        Native,
    ),
    (
        "coreutils_ls_root",
        Host("/bin/ls"),
        &["-l", "/"],
        Words(" proc"),
    ),
    (
        "coreutils_cat",
        Host("/bin/cat"),
        &["@/words", "@/numbers"],
        Native,
    ),
    (
        "coreutils_sha256sum",
        Host("/usr/bin/sha256sum"),
        &["@/binary"],
        Native,
    ),
    (
        "coreutils_sha512sum",
        Host("/usr/bin/sha512sum"),
        &["@/binary"],
        Native,
    ),
    (
        "coreutils_sort",
        Host("/usr/bin/sort"),
        &["-n", "@/numbers"],
        Native,
    ),
    (
        "coreutils_wc",
        Host("/usr/bin/wc"),
        &["-lwc", "@/words"],
        Native,
    ),
    (
        "coreutils_head",
        Host("/usr/bin/head"),
        &["-c", "100", "@/words"],
        Native,
    ),
    (
        "coreutils_tail",
        Host("/usr/bin/tail"),
        &["-n", "2", "@/numbers"],
        Native,
    ),
    (
        "coreutils_seq",
        Host("/usr/bin/seq"),
        &["-w", "8", "12"],
        Native,
    ),
    (
        "coreutils_factor",
        Host("/usr/bin/factor"),
        &["18446744073709551557", "1234567890"],
        Native,
    ),
    (
        "coreutils_dd",
        Host("/bin/dd"),
        &["if=@/binary", "bs=512", "count=9", "status=none"],
        Native,
    ),
    (
        "coreutils_stat",
        Host("/usr/bin/stat"),
        &["-c", "%n %s %a %F", "@/words"],
        Native,
    ),
    (
        "coreutils_cp",
        Host("/bin/cp"),
        &["-a", "-v", "@/tree", "/tmp/copy"],
        Words("/tmp/copy/inner/file"),
    ),
    (
        "coreutils_mkdir",
        Host("/bin/mkdir"),
        &["-pv", "/tmp/x/y"],
        Words("'/tmp/x/y'"),
    ),
    (
        "coreutils_rm",
        Host("/bin/rm"),
        &["-rv", "@/tree"],
        Words("removed directory"),
    ),
    (
        "coreutils_mv",
        Host("/bin/mv"),
        &["-v", "@/words", "/tmp/words"],
        Words("renamed"),
    ),
    (
        "coreutils_ln",
        Host("/bin/ln"),
        &["-v", "@/words", "@/hard"],
        Words("hard"),
    ),
    (
        "coreutils_date",
        Host("/bin/date"),
        &["-u", "-d", "@1000000000", "+%c"],
        Native,
    ),
    ("coreutils_uname", Host("/bin/uname"), &["-sm"], Native),
    ("coreutils_df", Host("/bin/df"), &["/"], Words(" /")),
    (
        "coreutils_du",
        Host("/usr/bin/du"),
        &["-s", "--apparent-size", "@/tree/inner"],
        Words("inner"),
    ),
    (
        "coreutils_tr_missing_operand",
        Host("/usr/bin/tr"),
        &[],
        Native,
    ),
    ("coreutils_false", Host("/bin/false"), &[], Native),
    (
        "coreutils_printenv",
        Host("/usr/bin/printenv"),
        &["PATH"],
        Native,
    ),
    (
        "coreutils_expr",
        Host("/usr/bin/expr"),
        &["length", "kiln"],
        Native,
    ),
    (
        "coreutils_od",
        Host("/usr/bin/od"),
        &["-c", "@/binary"],
        Native,
    ),
    (
        "coreutils_shuf",
        Host("/usr/bin/shuf"),
        &["-i", "1-10", "-n", "3"],
        Code(0),
    ),
    (
        "grep",
        Host("/bin/grep"),
        &["-rnE", "k[i]ln|9$", "@/words", "@/numbers"],
        Native,
    ),
    (
        "sed",
        Host("/bin/sed"),
        &["-E", "s/(.)(.)/\\2\\1/g", "@/words"],
        Native,
    ),
    (
        "find",
        Host("/usr/bin/find"),
        &["@/tree/inner", "-type", "f", "-size", "-1k"],
        Native,
    ),
    ("gzip", Host("/bin/gzip"), &["-dc", "@/numbers.gz"], Native),
    ("tar", Host("/bin/tar"), &["-tf", "@/tree.tar"], Native),
    (
        "diff",
        Host("/usr/bin/diff"),
        &["-u", "@/words", "@/words"],
        Native,
    ),
];
