//! Entrypoint scripts as common images have them: they give files away, change the user,
//! fill in templates, make a database with a server of their own, and run the real server
//! in place, which clients of this machine then reach.

use std::io::Read;
use std::net::Ipv4Addr;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::common::outcome;
use crate::common::server::{Server, client, curl};
use crate::image::{OPTIONS, can_run, debian, guest};

const BIN: &str = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin";
const PASSWORD: &str = "glaze";

/// One for each image.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("entrypoints::redis", redis),
        Trial::test("entrypoints::nginx", nginx),
        Trial::test("entrypoints::postgres", postgres),
        Trial::test("entrypoints::mysql", mysql),
    ]
}

/// The server of port `port` that `NAME-entrypoint.sh ARGS` runs at last.
fn start(name: &'static str, port: u16, options: &[&str], args: &[&str]) -> (Server, String) {
    let script = format!("/usr/local/bin/{name}-entrypoint.sh");
    let always = ["--entrypoint", &script, "-e", BIN];
    let options = [&OPTIONS[..], &always, options].concat();
    let (server, port) = Server::publish(name, port, &options, debian(), args);
    (server, port.to_string())
}

fn redis() -> Result<(), Failed> {
    if can_run("redis_entrypoint", &["redis-cli"]) {
        let options = ["--workdir", "/var/lib/redis"];
        let args = ["--save", "", "--protected-mode", "no"];
        let (server, port) = start("redis", 6379, &options, &args);
        let ask = |words: &[&str]| client("redis-cli", [&["-p", &port], words].concat()).out();
        assert_eq!(ask(&["SET", "kiln", "hot"]), "OK\n");
        assert_eq!(ask(&["GET", "kiln"]), "hot\n");
        // The script became the server: it is process 1, as the user redis.
        assert!(ask(&["INFO", "server"]).contains("process_id:1\r"));
        server
            .ends(0)
            .assert_stdout_has("Redis is now ready to exit");
        let id = guest("/usr/local/bin/redis-entrypoint.sh")
            .args(["sh", "-c", "umask; exit 3"])
            .output();
        id.assert_code(3).assert_stdout("0077\n");
    }
    Ok(())
}

fn nginx() -> Result<(), Failed> {
    if can_run("nginx_entrypoint", &["curl"]) {
        let options = ["-e", "SITE_PORT=8080", "-e", "GREETING=greetings"];
        let options = [&options[..], &["--hostname", "kiln"]].concat();
        let args = ["nginx", "-g", "daemon off;"];
        let (server, port) = start("nginx", 8080, &options, &args);
        let page = curl(&[], &format!("http://127.0.0.1:{port}/some/where"));
        assert_eq!(page, "greetings from kiln at /some/where\n");
        server
            .ends(0)
            .assert_stdout_has("entrypoint: /srv/nginx/entrypoint.d/20-templates.sh\n")
            .assert_stdout_has("worker_processes 2;\n")
            .assert_stdout_has("entrypoint: ignoring /srv/nginx/entrypoint.d/README\n");
    }
    Ok(())
}

/// A cluster is made, filled by scripts, and served; pgbench changes it by several clients
/// at once, each with a process of its own in the guest.
fn postgres() -> Result<(), Failed> {
    if !can_run("postgres_entrypoint", &["psql"]) {
        return Ok(());
    }
    let password = format!("POSTGRES_PASSWORD={PASSWORD}");
    let options = [
        ["-e", "PGDATA=/var/lib/postgresql/data"],
        ["-e", "POSTGRES_USER=potter"],
        ["-e", "POSTGRES_DB=kilns"],
        ["-e", &password],
    ];
    let args = ["postgres", "-c", "listen_addresses=*"];
    let (mut server, port) = start("postgres", 5432, &options.concat(), &args);
    server.says("entrypoint: the cluster is made");
    let place = ["-h", "127.0.0.1", "-p", &port, "-U", "potter"];
    let psql = |words: &[&str]| {
        let mut command = Command::new("psql");
        command.args(place).args(["-d", "kilns", "-X"]).args(words);
        command.env("PGPASSWORD", PASSWORD);
        outcome::run(command, None)
    };
    let sql = |text: &str| {
        let outcome = psql(&["-A", "-t", "-c", text]);
        outcome.assert_code(0);
        outcome.out()
    };
    // In a guest of its own, as only the servers' package has it.
    let pgbench = |words: &[&str]| {
        let outcome = guest("/usr/lib/postgresql/15/bin/pgbench")
            .env(&format!("PGPASSWORD={PASSWORD}"))
            .args(place)
            .args(words)
            .args(["kilns"])
            .output();
        outcome.assert_code(0);
        outcome
    };
    // It listens before it takes clients.
    while psql(&["-c", ""]).code != 0 {
        server.waits_for("PostgreSQL");
    }
    assert_eq!(sql("SELECT count(*), max(glaze) FROM kiln"), "4|packed\n");
    let parallel = "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; \
                    SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; \
                    CREATE TABLE many AS SELECT generate_series(1, 200000) AS n; \
                    SELECT sum(n) FROM many";
    assert!(sql(parallel).ends_with("20000100000\n"));
    pgbench(&["-i", "-q", "-s", "1"]);
    pgbench(&["-c", "4", "-j", "2", "-t", "50"])
        .assert_stdout_has("number of transactions actually processed: 200/200");
    assert_eq!(sql("SELECT count(*) FROM pgbench_history"), "200\n");
    psql(&["-c", "SELECT 1 / 0"])
        .assert_code(1)
        .assert_stderr_has("division by zero");
    server
        .ends(0)
        .assert_stdout_has("server stopped")
        .assert_stderr_has("database system is shut down");
    Ok(())
}

/// MariaDB, which Debian has in MySQL's place: its first packet names it.
fn mysql() -> Result<(), Failed> {
    if can_run("mysql_entrypoint", &[]) {
        let args = ["mariadbd", "--innodb-buffer-pool-size=16M"];
        let (mut server, port) = start("mysql", 3306, &[], &args);
        server.says("entrypoint: glazes: 2\nentrypoint: ready\n");
        let at = (Ipv4Addr::LOCALHOST, port.parse()?).into();
        let mut greeting = [0; 64];
        while server.connect(at).read_exact(&mut greeting).is_err() {
            server.waits_for("MariaDB");
        }
        assert!(greeting.windows(7).any(|part| part == b"MariaDB"));
        server
            .ends(0)
            .assert_stderr_has("mariadbd: Shutdown complete");
    }
    Ok(())
}
