//! gawk, lua, perl, sqlite and python: from this machine where they are one
//! file, from the image of packages where they bring modules.

use super::Case;
use super::Source::{Debian, Host};
use super::Want::{Code, Native, Words};

/// One program in each language, and more where files and errors matter.
pub(super) const CASES: &[Case] = &[
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
        "python_pty",
        Debian("/usr/bin/python3.11"),
        &["-c", PYTHON_PTY],
        Words("ok pty"),
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
child = os.fork()
if child == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
blocks = [bytearray(1 << 20) for _ in range(40)]
del blocks
print("ok files", sys.version_info[:2], file=sys.stdout)
"#;

/// Pseudo-terminals as the standard modules use them.
const PYTHON_PTY: &str = r#"
import os, pty, tty, termios, fcntl, struct, select, signal
m, s = pty.openpty()
assert os.isatty(m) and os.isatty(s) and os.ttyname(s).startswith("/dev/pts/"), os.ttyname(s)
assert os.get_terminal_size(s) == (0, 0)
termios.tcsetwinsize(s, (30, 90)); assert termios.tcgetwinsize(m) == (30, 90)
os.write(m, b"clay\n"); assert os.read(s, 100) == b"clay\n" and os.read(m, 100) == b"clay\r\n"
mode = termios.tcgetattr(s); tty.setraw(s); assert termios.tcgetattr(s)[3] & termios.ECHO == 0
os.write(m, b"\x03\x04"); assert os.read(s, 100) == b"\x03\x04"
termios.tcsetattr(s, termios.TCSADRAIN, mode); assert termios.tcgetattr(s) == mode
with open(os.ttyname(s), "w") as f: print("glaze", file=f)
assert select.select([m], [], [], 10)[0] and os.read(m, 100) == b"glaze\r\n"
os.close(s)
try: os.read(m, 1); raise SystemExit("read of a master without a slave")
except OSError as e: assert e.errno == 5
print("ok pty")
"#;
