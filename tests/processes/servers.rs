//! Servers that are several processes, and a parent that starts them again.

use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::common::outcome;
use crate::common::server::{PATIENCE, Server, client, curl, free_port, wrk};
use crate::image::{OPTIONS, can_run, debian, guest};

/// Keys of the database that is saved in the background.
const KEYS: u32 = 20_000;

/// What `reload.bash` prints.
const RELOADED: &str = "\
HTTP/1.1 200 OK\r
HTTP/1.1 200 OK\r
the same master
ended
nobody listens
";

/// One for each server.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("servers::nginx_workers", nginx_workers),
        Trial::test("servers::nginx_reload", nginx_reload),
        Trial::test("servers::redis_in_background", redis_in_background),
        Trial::test("servers::supervisord", supervisord),
        Trial::test("servers::apache_prefork", apache_prefork),
        Trial::test("servers::gunicorn", gunicorn),
        Trial::test("servers::sshd", sshd),
    ]
}

fn publish(name: &'static str, port: u16, program: &str, args: &[&str]) -> (Server, u16) {
    let options = [&OPTIONS[..], &["--entrypoint", program]].concat();
    Server::publish(name, port, &options, debian(), args)
}

/// A master and a worker for each CPU, all of which accept.
fn nginx_workers() -> Result<(), Failed> {
    if can_run("nginx_workers", &["curl", "wrk"]) {
        let (server, port) = publish("nginx", 80, "/usr/sbin/nginx", &["-g", "daemon off;"]);
        let url = format!("http://127.0.0.1:{port}/");
        assert_eq!(curl(&[], &url), "<p>fired in a kiln</p>\n");
        wrk(16, &url);
        assert_eq!(curl(&[], &url), "<p>fired in a kiln</p>\n");
        server.ends(0);
    }
    Ok(())
}

/// A process for each connection.
fn apache_prefork() -> Result<(), Failed> {
    if can_run("apache_prefork", &["curl", "wrk"]) {
        let (server, port) = publish("apache", 80, "/bin/dash", &["/srv/apache/start.sh"]);
        let url = format!("http://127.0.0.1:{port}/index.html");
        assert_eq!(curl(&[], &url), "<p>forked in a kiln</p>\n");
        wrk(16, &url);
        assert_eq!(curl(&[], &url), "<p>forked in a kiln</p>\n");
        server.ends(0);
    }
    Ok(())
}

/// Python's: a parent whose workers accept from the socket that it made.
fn gunicorn() -> Result<(), Failed> {
    if can_run("gunicorn", &["curl", "wrk"]) {
        let args = [
            "--chdir",
            "/srv/gunicorn",
            "-w",
            "3",
            "-b",
            "0.0.0.0:80",
            "app:app",
        ];
        let (server, port) = publish("gunicorn", 80, "/usr/bin/gunicorn", &args);
        let url = format!("http://127.0.0.1:{port}/");
        assert_eq!(curl(&[], &url), "a worker of 1\n");
        wrk(16, &url);
        assert_eq!(curl(&[], &url), "a worker of 1\n");
        server.ends(0);
    }
    Ok(())
}

/// sshd executes itself for each connection, gives up its rights in one of two processes,
/// and starts shells, with a terminal and without.
fn sshd() -> Result<(), Failed> {
    if can_run("sshd", &["ssh", "ssh-keygen"]) {
        let keys = tempfile::tempdir()?;
        let key = keys.path().join("id").display().to_string();
        client("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", &key]).assert_code(0);
        let volume = format!("{}:/keys:ro", keys.path().display());
        let options = ["--entrypoint", "/bin/dash", "-v", &volume];
        let options = [&OPTIONS[..], &options].concat();
        let (mut server, port) =
            Server::publish("sshd", 22, &options, debian(), &["/srv/ssh/start.sh"]);
        drop(server.connect((Ipv4Addr::LOCALHOST, port).into()));
        let port = port.to_string();
        let enter = |terminal: &str, command: &str| {
            let known = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"];
            let known = known.map(|option| format!("-o{option}"));
            let words = [
                "-q", terminal, &known[0], &known[1], "-i", &key, "-p", &port,
            ];
            let mut ssh = Command::new("ssh");
            ssh.args(words).args(["root@127.0.0.1", command]);
            outcome::run(ssh, Some(Vec::new()))
        };
        enter("-T", "echo $HOME; cat | tr a-z A-Z; exit 3")
            .assert_code(3)
            .assert_stdout("/root\n");
        enter("-tt", "tty; test -t 0 && echo a terminal")
            .assert_code(0)
            .assert_stdout("/dev/pts/0\r\na terminal\r\n");
        server.ends(0);
    }
    Ok(())
}

fn nginx_reload() -> Result<(), Failed> {
    if can_run("nginx_reload", &[]) {
        guest("/bin/bash")
            .args(["/srv/nginx/reload.bash"])
            .output()
            .assert_code(0)
            .assert_stdout(RELOADED);
    }
    Ok(())
}

/// One answer of redis.
fn ask(port: &str, words: &[&str]) -> String {
    let outcome = client("redis-cli", [&["-p", port], words].concat());
    outcome.out().trim_end().to_owned()
}

/// Waits until redis says that of itself.
fn wait_for(port: &str, words: &str) {
    let end = Instant::now() + PATIENCE;
    while !ask(port, &["INFO", "persistence"]).contains(words) {
        assert!(Instant::now() < end, "redis does not say {words:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn start_redis(volume: &str) -> (Server, String) {
    let port = free_port();
    let mapping = format!("127.0.0.1:{port}:6379");
    let options = ["--entrypoint", "/usr/bin/redis-server", "-p", &mapping];
    let options = [&options[..], &OPTIONS, &["-v", volume]].concat();
    let args = ["--dir", "/data", "--appendonly", "yes", "--save", ""];
    let mut server = Server::start("redis", options, debian(), &args);
    drop(server.connect((Ipv4Addr::LOCALHOST, port).into()));
    let port = port.to_string();
    wait_for(&port, "\nloading:0");
    (server, port)
}

/// A child writes what the parent had when it was made, while the parent changes it; what
/// both wrote is what another server reads.
fn redis_in_background() -> Result<(), Failed> {
    if can_run("redis_in_background", &["redis-cli"]) {
        let folder = tempfile::tempdir()?;
        let volume = format!("{}:/data", folder.path().display());
        let (server, port) = start_redis(&volume);
        let fill = |value: &str| {
            let script = "for i = 1, ARGV[1] do redis.call('SET', 'key' .. i, ARGV[2]) end";
            let keys = KEYS.to_string();
            assert_eq!(ask(&port, &["EVAL", script, "0", &keys, value]), "");
        };
        fill(&"before".repeat(20));
        assert_eq!(ask(&port, &["BGSAVE"]), "Background saving started");
        fill(&"after".repeat(20));
        wait_for(&port, "rdb_bgsave_in_progress:0");
        wait_for(&port, "rdb_last_bgsave_status:ok");
        let saved = std::fs::read(folder.path().join("dump.rdb"))?;
        let has = |words: &[u8]| saved.windows(words.len()).any(|part| part == words);
        assert!(has(b"key1") && has(b"before") && !has(b"after"));

        let started = "Background append only file rewriting started";
        assert_eq!(ask(&port, &["BGREWRITEAOF"]), started);
        fill("last");
        wait_for(&port, "aof_rewrite_in_progress:0");
        wait_for(&port, "aof_last_bgrewrite_status:ok");
        server.ends(0);

        let (server, port) = start_redis(&volume);
        assert_eq!(ask(&port, &["DBSIZE"]), KEYS.to_string());
        assert_eq!(ask(&port, &["GET", "key77"]), "last");
        server.ends(0);
    }
    Ok(())
}

/// supervisord above nginx, php-fpm and redis: a page that a worker of php-fpm makes with
/// the help of a shell, and a redis that comes back.
fn supervisord() -> Result<(), Failed> {
    if can_run("supervisord", &["curl", "redis-cli"]) {
        let redis = free_port().to_string();
        let mapping = format!("127.0.0.1:{redis}:6379");
        let options = ["--entrypoint", "/usr/bin/supervisord", "-p", &mapping];
        let options = [&OPTIONS[..], &options].concat();
        let args = ["-c", "/etc/supervisor/kiln.conf"];
        let (mut server, port) = Server::publish("supervisord", 80, &options, debian(), &args);
        server.says("success: php entered RUNNING");
        let page = curl(&[], &format!("http://127.0.0.1:{port}/who.php"));
        assert_eq!(page, "fpm-fcgi child www-data\nfrom a shell of php\n");
        server.says("exited: brief (exit status 3; not expected)");
        server.says("success: redis entered RUNNING");
        assert_eq!(ask(&redis, &["SHUTDOWN"]), "");
        server.says("exited: redis (exit status 0; expected)");
        server.says_times("success: redis entered RUNNING", 2);
        assert_eq!(ask(&redis, &["PING"]), "PONG");
        server
            .ends(0)
            .assert_stdout_has("stopped: redis (exit status 0)");
    }
    Ok(())
}
