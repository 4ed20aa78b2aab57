//! All that tests take from the network beyond what `tests/setup.sh` installs and cargo
//! fetches. `tests/run` calls the test `downloads` first, so that a network which is away
//! ends the run at once and by name, and what breaks later is not the network.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::cache_dir;
use super::image::{attempt, key, make, text};

/// How long a network that is away is waited for, and how long between two attempts.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_secs(10);

const PROCESSES: &str = "bash,busybox-static,coreutils,dash,diffutils,findutils,grep,gzip,sed,\
                        util-linux,gettext-base,gosu,tini,dumb-init,\
                        gcc,git,libc6-dev,make,nodejs,php8.2-fpm,python3.11,supervisor,\
                        mariadb-client-core,mariadb-server-core,nginx-light,postgresql-15,\
                        redis-server,\
                         apache2,gunicorn,openssh-server";
/// Half of the bytes, and none of the programs' work: documents, translations, a compiler
/// for PostgreSQL's expressions, gcc's own checkers.
const LEFT_OUT: [&str; 8] = [
    "/usr/share/doc/*",
    "/usr/share/i18n/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/lib/*/libLLVM*",
    "/usr/lib/*/lib?san.so*",
    "/usr/lib/postgresql/15/lib/bitcode/*",
    "/usr/lib/postgresql/15/lib/llvmjit*",
];

/// Debian 12 with programs that run unmodified (`tests/packages`).
pub fn debian_tar() -> PathBuf {
    let packages = "python3.11,perl,sqlite3,lua5.4,gawk,coreutils,busybox-static";
    packages_tar("debian", packages, &[])
}

/// Debian's Node.js (`tests/runtimes`).
pub fn node_tar() -> PathBuf {
    packages_tar("node", "nodejs", &[])
}

/// Servers and clients (`tests/servers`).
pub fn servers_tar() -> PathBuf {
    let packages = "redis-server,nginx-light,memcached,lighttpd,haproxy,curl,python3.11,nodejs";
    packages_tar("servers", packages, &[])
}

/// Shells, and programs of several processes (`tests/processes`).
pub fn processes_tar() -> PathBuf {
    packages_tar("processes", PROCESSES, &LEFT_OUT)
}

/// speedtest1.c as it comes with SQLite, from Debian's source package.
pub fn speedtest_source() -> PathBuf {
    make("speedtest1.c", |file| {
        fetch(&script("runtimes/sqlite_source.sh"), &[text(file)]);
    })
}

/// A directory with `kernel`, Debian's, which `tests/svm.sh` boots.
pub fn svm_machine() -> PathBuf {
    let machine = cache_dir("svm-machine");
    fetch(&script("svm_kernel.sh"), &[text(&machine)]);
    machine
}

/// What cargo compiles within a test: programs with lock files of their own.
pub fn crates() {
    for folder in ["runtimes/tokio", "servers/hyper"] {
        let manifest = script(&format!("{folder}/Cargo.toml"));
        let words = ["fetch", "--locked", "--quiet", "--manifest-path", &manifest];
        fetch(env!("CARGO"), &words);
    }
}

/// Packages and all that they depend on, but for files of these patterns, as the tar file
/// of a layer.
fn packages_tar(name: &str, packages: &str, patterns: &[&str]) -> PathBuf {
    let parts = [&[packages], patterns].concat();
    make(&format!("{name}-{}.tar", key(&parts)), |tar| {
        let options = patterns.iter();
        let options: Vec<String> = options
            .map(|pattern| format!("--dpkgopt=path-exclude={pattern}"))
            .collect();
        let mut words = vec!["--quiet", "--variant=extract", "--include", packages];
        words.extend(options.iter().map(String::as_str));
        words.extend(["bookworm", text(tar)]);
        fetch("mmdebstrap", &words);
    })
}

/// A tool that asks the network; it is run again while [`PATIENCE`] lasts.
pub fn fetch(program: &str, args: &[&str]) {
    let begin = Instant::now();
    while let Err(failure) = attempt(program, args) {
        assert!(
            begin.elapsed() < PATIENCE,
            "{failure}\nIs the network there? What came is kept below target/tmp; run again."
        );
        thread::sleep(PAUSE);
    }
}

fn script(path: &str) -> String {
    format!("{}/tests/{path}", env!("CARGO_MANIFEST_DIR"))
}
