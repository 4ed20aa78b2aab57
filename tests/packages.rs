//! Programs of Debian 12's packages run unmodified: single ones as `host:`
//! images, interpreters from an image of the packages. Where the answer does
//! not depend on the machine, it must be the one that the program gives natively.

mod common;

use std::path::PathBuf;
use std::sync::OnceLock;

use common::image::{IMAGE_TOOLS, debian_layout, make};
use common::skip::{Need, has_all};
use common::{Unikiln, cache_dir, native};
use libtest_mimic::{Arguments, Failed, Trial};

/// Where a case's program comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A program of this machine, with [`fixture`] included.
    Host(&'static str),
    /// This program of the Debian image.
    Debian(&'static str),
}

/// What its output must be.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// As on the host.
    Native,
    /// Exit code 0 and these words in standard output.
    Words(&'static str),
    /// This exit code.
    Code(i32),
}

use Source::{Debian, Host};
use Want::{Code, Native, Words};

type Case = (&'static str, Source, &'static [&'static str], Want);

const BUSYBOX: Source = Host("/bin/busybox");

/// `@` stands for the fixture's directory.
const CASES: &[Case] = &[
    (
        "busybox_ls",
        BUSYBOX,
        &["ls", "-l", "@/words", "@/numbers", "@/tree/link"],
        Native,
    ),
    ("busybox_ls_recursive", BUSYBOX, &["ls", "-R", "@"], Native),
    (
        "busybox_cat",
        BUSYBOX,
        &["cat", "@/words", "@/numbers"],
        Native,
    ),
    (
        "busybox_sha256sum",
        BUSYBOX,
        &["sha256sum", "@/words", "@/binary"],
        Native,
    ),
    ("busybox_md5sum", BUSYBOX, &["md5sum", "@/binary"], Native),
    (
        "busybox_sort",
        BUSYBOX,
        &["sort", "-n", "-r", "@/numbers"],
        Native,
    ),
    ("busybox_uniq", BUSYBOX, &["uniq", "-c", "@/words"], Native),
    (
        "busybox_awk",
        BUSYBOX,
        &["awk", "{ s += $1 } END { print s, NR }", "@/numbers"],
        Native,
    ),
    (
        "busybox_sed",
        BUSYBOX,
        &["sed", "-n", "s/o/0/gp", "@/words"],
        Native,
    ),
    (
        "busybox_sed_in_place",
        BUSYBOX,
        &["sed", "-i", "s/a/b/", "@/words"],
        Code(0),
    ),
    (
        "busybox_find",
        BUSYBOX,
        &["find", "@", "-name", "*f*", "-type", "f"],
        Native,
    ),
    (
        "busybox_grep",
        BUSYBOX,
        &["grep", "-rn", "-i", "KILN", "@/tree", "@/words"],
        Native,
    ),
    (
        "busybox_dd",
        BUSYBOX,
        &["dd", "if=@/binary", "bs=1000", "count=3", "skip=1"],
        Native,
    ),
    ("busybox_gzip", BUSYBOX, &["gzip", "-c", "@/binary"], Native),
    (
        "busybox_gunzip",
        BUSYBOX,
        &["gzip", "-dc", "@/numbers.gz"],
        Native,
    ),
    (
        "busybox_tar_list",
        BUSYBOX,
        &["tar", "-tvf", "@/tree.tar"],
        Native,
    ),
    (
        "busybox_tar_create",
        BUSYBOX,
        &["tar", "-C", "@", "-cf", "-", "tree/inner/file"],
        Native,
    ),
    (
        "busybox_tar_extract",
        BUSYBOX,
        &["tar", "-xvf", "@/tree.tar", "-C", "/tmp"],
        Words("tree/inner/file"),
    ),
    (
        "busybox_wc",
        BUSYBOX,
        &["wc", "@/words", "@/numbers"],
        Native,
    ),
    (
        "busybox_head",
        BUSYBOX,
        &["head", "-n", "3", "@/numbers"],
        Native,
    ),
    (
        "busybox_tail",
        BUSYBOX,
        &["tail", "-n", "3", "@/numbers"],
        Native,
    ),
    (
        "busybox_cut",
        BUSYBOX,
        &["cut", "-c", "2-4", "@/words"],
        Native,
    ),
    ("busybox_seq", BUSYBOX, &["seq", "1", "3", "20"], Native),
    (
        "busybox_date",
        BUSYBOX,
        &["date", "-u", "-d", "@1000000000", "+%F %T"],
        Native,
    ),
    ("busybox_uname", BUSYBOX, &["uname", "-sm"], Native),
    ("busybox_env", BUSYBOX, &["env"], Words("PATH=/")),
    (
        "busybox_printf",
        BUSYBOX,
        &["printf", "%05d %s\\n", "42", "words"],
        Native,
    ),
    ("busybox_expr", BUSYBOX, &["expr", "6", "*", "7"], Native),
    ("busybox_base64", BUSYBOX, &["base64", "@/binary"], Native),
    (
        "busybox_od",
        BUSYBOX,
        &["od", "-A", "x", "-t", "x1", "@/binary"],
        Native,
    ),
    (
        "busybox_hexdump",
        BUSYBOX,
        &["hexdump", "-C", "@/words"],
        Native,
    ),
    (
        "busybox_stat",
        BUSYBOX,
        &["stat", "-c", "%n %s %a %F", "@/words", "@/tree/link"],
        Native,
    ),
    ("busybox_du", BUSYBOX, &["du", "-s", "@"], Words("fixture")),
    ("busybox_df", BUSYBOX, &["df", "/"], Words(" /")),
    (
        "busybox_touch",
        BUSYBOX,
        &["touch", "/tmp/a", "@/tree/new"],
        Code(0),
    ),
    (
        "busybox_mkdir",
        BUSYBOX,
        &["mkdir", "-p", "/tmp/a/b/c"],
        Code(0),
    ),
    (
        "busybox_cp",
        BUSYBOX,
        &["cp", "-a", "@/tree", "/tmp/copy"],
        Code(0),
    ),
    (
        "busybox_mv",
        BUSYBOX,
        &["mv", "@/words", "@/tree/moved"],
        Code(0),
    ),
    ("busybox_rm", BUSYBOX, &["rm", "-r", "@/tree"], Code(0)),
    (
        "busybox_ln",
        BUSYBOX,
        &["ln", "-s", "@/words", "/tmp/link"],
        Code(0),
    ),
    (
        "busybox_readlink",
        BUSYBOX,
        &["readlink", "-f", "@/tree/link"],
        Native,
    ),
    (
        "busybox_diff_same",
        BUSYBOX,
        &["diff", "@/words", "@/words"],
        Native,
    ),
    (
        "busybox_diff",
        BUSYBOX,
        &["diff", "@/words", "@/numbers"],
        Native,
    ),
    (
        "busybox_cmp",
        BUSYBOX,
        &["cmp", "@/words", "@/numbers"],
        Native,
    ),
    ("busybox_sleep", BUSYBOX, &["sleep", "0.2"], Native),
    ("busybox_true", BUSYBOX, &["true"], Native),
    ("busybox_false", BUSYBOX, &["false"], Native),
    ("busybox_id", BUSYBOX, &["id", "-u"], Native),
    (
        "busybox_ash_builtins",
        BUSYBOX,
        &[
            "ash",
            "-c",
            "for i in 1 2 3; do echo $((i * i)) >> /tmp/squares; done; while read n; do echo got $n; done < /tmp/squares",
        ],
        Words("got 9"),
    ),
    ("busybox_free", BUSYBOX, &["free"], Words("Mem:")),
    ("busybox_ps", BUSYBOX, &["ps"], Words("busybox ps")),
    ("busybox_mount", BUSYBOX, &["mount"], Words(" on / type ")),
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
    ("coreutils_nproc", Host("/usr/bin/nproc"), &[], Words("1")),
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
    (
        "gawk",
        Host("/usr/bin/gawk"),
        &[
            "BEGIN { for (i = 1; i <= 5; i++) printf \"%d %.3f\\n\", i, sqrt(i); print toupper(\"kiln\") }",
        ],
        Native,
    ),
    (
        "gawk_file",
        Debian("/usr/bin/gawk"),
        &[
            "-F:",
            "{ n++ } END { print (n > 0) ? \"lines\" : \"none\" }",
            "/proc/self/status",
        ],
        Words("lines"),
    ),
    (
        "lua",
        Host("/usr/bin/lua5.4"),
        &[
            "-e",
            "local t = {} for i = 1, 10 do t[i] = i * i end print(table.concat(t, ' '), math.type(1), string.format('%q', 'x'))",
        ],
        Native,
    ),
    (
        "lua_files",
        Debian("/usr/bin/lua5.4"),
        &[
            "-e",
            "local f = assert(io.open('/tmp/x', 'w')) f:write('kiln\\n') f:close() for l in io.lines('/tmp/x') do print('read ' .. l) end",
        ],
        Words("read kiln"),
    ),
    (
        "perl",
        Host("/usr/bin/perl"),
        &[
            "-e",
            "my %h = map { $_ => $_ ** 2 } 1 .. 9; print join(',', map { \"$_=$h{$_}\" } sort keys %h), \"\\n\"; print scalar reverse('nlik'), \"\\n\"",
        ],
        Native,
    ),
    (
        "perl_modules",
        Debian("/usr/bin/perl"),
        &[
            "-MList::Util=sum",
            "-MPOSIX=floor",
            "-MData::Dumper",
            "-e",
            "$Data::Dumper::Indent = 0; print sum(1 .. 100), ' ', floor(3.7), ' ', Dumper([1, 'a']), \"\\n\"",
        ],
        Native,
    ),
    (
        "perl_files",
        Debian("/usr/bin/perl"),
        &[
            "-e",
            "open(F, '>', '/tmp/f') or die; print F \"$_\\n\" for 1 .. 1000; close F; open(F, '/tmp/f') or die; my $n = 0; $n += $_ while <F>; print \"$n\\n\"",
        ],
        Words("500500"),
    ),
    (
        "sqlite",
        Host("/usr/bin/sqlite3"),
        &[
            "/tmp/kiln.db",
            "create table t(id integer primary key, name text); insert into t(name) values ('clay'), ('glaze'), ('fire'); update t set name = upper(name) where id > 1; select * from t order by id desc; select count(*), sum(length(name)) from t;",
        ],
        Words("3|FIRE\n2|GLAZE\n1|clay\n3|13\n"),
    ),
    (
        "sqlite_journal",
        Debian("/usr/bin/sqlite3"),
        &[
            "/tmp/kiln.db",
            "pragma journal_mode; create table n(x); with recursive c(x) as (select 1 union all select x + 1 from c where x < 5000) insert into n select x from c; begin; delete from n where x % 2; rollback; create index i on n(x); select count(*), sum(x), max(x) from n where x > 100; pragma integrity_check;",
        ],
        Words("delete\n4900|12497450|5000\nok\n"),
    ),
    (
        "python",
        Debian("/usr/bin/python3.11"),
        &["-c", PYTHON],
        Native,
    ),
    (
        "python_files",
        Debian("/usr/bin/python3.11"),
        &["-c", PYTHON_FILES],
        Words("ok files"),
    ),
    (
        "python_traceback",
        Debian("/usr/bin/python3.11"),
        &["-c", "def f(n):\n    return 1 // n\nf(0)"],
        Code(1),
    ),
    (
        "python_exit",
        Debian("/usr/bin/python3.11"),
        &["-c", "import sys; sys.exit(33)"],
        Code(33),
    ),
    (
        "python_version",
        Debian("/usr/bin/python3.11"),
        &["--version"],
        Words("Python 3.11"),
    ),
];

/// The modules that the first milestone promises.
const PYTHON: &str = r#"
import json, re, hashlib, decimal, zlib, sqlite3, datetime, collections, itertools, math, struct, base64
print(json.dumps({"b": [1, 2.5, None], "a": "ä"}, sort_keys=True))
print(re.sub(r"(\w+)@(\w+)", r"\2 at \1", "kiln@home"), re.findall(r"\d+", "a1b22c333"))
print(hashlib.sha256(b"clay").hexdigest(), hashlib.md5(b"clay").hexdigest())
decimal.getcontext().prec = 50
print(decimal.Decimal(2).sqrt(), decimal.Decimal("0.1") + decimal.Decimal("0.2"))
packed = zlib.compress(b"glaze" * 10000)
print(len(packed), zlib.decompress(packed) == b"glaze" * 10000, zlib.crc32(b"fire"))
db = sqlite3.connect(":memory:")
db.execute("create table t(n integer, s text)")
db.executemany("insert into t values (?, ?)", [(i, str(i * i)) for i in range(1000)])
print(db.execute("select count(*), sum(n), max(s) from t").fetchone())
print(datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc) + datetime.timedelta(days=366))
print(collections.Counter("unikiln").most_common(2), list(itertools.permutations("abc"))[3])
print(math.factorial(30), struct.pack("<IQ", 1, 2).hex(), base64.b64encode(b"kiln"))
print(sum(i * i for i in range(300000)))
"#;

const PYTHON_FILES: &str = r#"
import os, sys, tempfile, sqlite3, time, io, random, shutil, pathlib, csv
with tempfile.TemporaryDirectory() as d:
    p = pathlib.Path(d, "f.txt")
    p.write_text("".join(f"line {i}\n" for i in range(5000)))
    assert sum(1 for _ in p.open()) == 5000
    shutil.copy(p, p.with_suffix(".copy"))
    assert sorted(os.listdir(d)) == ["f.copy", "f.txt"]
    os.rename(p, pathlib.Path(d, "g"))
    db = sqlite3.connect(os.path.join(d, "db"))
    db.execute("create table t(a)")
    db.executemany("insert into t values (?)", ((i,) for i in range(20000)))
    db.commit()
    assert db.execute("select count(*) from t").fetchone() == (20000,)
    db.close()
    assert os.stat(os.path.join(d, "db")).st_size > 100000
assert not os.path.exists(d)
start = time.monotonic(); time.sleep(0.05); assert time.monotonic() - start >= 0.05
assert time.time() > 1.7e9 and len(os.urandom(32)) == 32 and random.random() < 1
try:
    os.fork()
    raise SystemExit("fork worked")
except OSError:
    pass
blocks = [bytearray(1 << 20) for _ in range(40)]
del blocks
print("ok files", sys.version_info[:2], file=sys.stdout)
"#;

/// Files that the cases look at; the same ones in guest and host.
fn fixture() -> &'static str {
    static PLACE: OnceLock<String> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = make("fixture", |dir| {
            let write = |name: &str, bytes: &[u8]| {
                std::fs::write(dir.join(name), bytes).expect("target is writable")
            };
            std::fs::create_dir_all(dir.join("tree/inner")).expect("target is writable");
            write("words", b"clay\nkiln\nkiln\nglaze\nfire\nUNIKILN\nwood\n");
            let numbers: String = (0..2000_u32)
                .map(|n| format!("{}\n", n * 7919 % 10_007))
                .collect();
            write("numbers", numbers.as_bytes());
            let binary: Vec<u8> = (0..50_000_u32).map(|n| ((n * n) >> 5) as u8).collect();
            write("binary", &binary);
            write("tree/inner/file", b"in the kiln\n");
            write("tree/empty", b"");
            std::os::unix::fs::symlink("inner/file", dir.join("tree/link"))
                .expect("target is writable");
            let dir = dir.to_str().expect("UTF-8");
            common::image::tool("gzip", &["-k", &format!("{dir}/numbers")]);
            common::image::tool(
                "tar",
                &["-C", dir, "-cf", &format!("{dir}/tree.tar"), "tree"],
            );
        });
        place.to_str().expect("UTF-8").to_owned()
    })
}

/// The Debian image as a unikernel file, built once for all cases.
fn debian_unikernel() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let image = format!("oci:{}:debian", debian_layout().display());
        let file = cache_dir("images").join("debian.uk");
        let file_text = file.to_str().expect("UTF-8");
        Unikiln::command(["build", &image, "-o", file_text])
            .output()
            .assert_code(0);
        file
    })
}

fn check((name, source, args, want): Case) -> Result<(), Failed> {
    let (Host(program) | Debian(program)) = source;
    if !has_all(name, &[Need::Kvm, Need::File(program)]) {
        return Ok(());
    }
    let args: Vec<String> = args
        .iter()
        .map(|word| word.replace("@/", &format!("{}/", fixture())))
        .map(|word| {
            if word == "@" {
                fixture().to_owned()
            } else {
                word
            }
        })
        .collect();
    let unikiln = match source {
        Host(_) => Unikiln::run(format!("host:{program}")).options(["--include", fixture()]),
        Debian(_) => {
            if !has_all(name, &IMAGE_TOOLS) {
                return Ok(());
            }
            Unikiln::run(debian_unikernel()).options(["--entrypoint", program])
        }
    };
    let outcome = unikiln.args(&args).output();
    match want {
        Native => drop(outcome.assert_same(&native(program, &args, &[]))),
        Words(words) => drop(outcome.assert_code(0).assert_stdout_has(words)),
        Code(code) => drop(outcome.assert_code(code)),
    }
    Ok(())
}

fn main() {
    let trials = CASES
        .iter()
        .map(|case| Trial::test(case.0, || check(*case)))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
