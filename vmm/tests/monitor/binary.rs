//! The binary: signals from outside, exit codes, messages for what a user gets wrong.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::assembled::{Guest, guest};

const VMM: &str = env!("CARGO_BIN_EXE_unikiln-vmm");

/// A guest whose `program` part lies behind the libOS text, and whose upcall
/// entry takes the signals and exits with 128 + the lowest.
fn signalled(program: &str, libos: &str) -> Guest {
    guest(&format!(
        "main:   movabs $program, %rax
                 jmp *%rax
         {libos}
         on_trap:
                 cmp $32, %r11d
                 jne wrong
         take:   movabs $DIRECT, %rbx
                 add 80(%r14), %rbx
                 xor %eax, %eax
                 xchg %rax, 48(%rbx)
                 bsf %rax, %rax
                 jz wrong
                 add $129, %rax
                 movq $0, 0(%r15)
                 ARG 1, %rax
                 movq $0, 16(%r15)
                 movq $0, 24(%r15)
                 DO EXIT
         wrong:  FINISH 1
                 .section .program, \"ax\"
         program: PRINT ready, 6
         {program}
         ready:  .ascii \"ready\\n\""
    ))
}

/// Starts a guest with signals as they are by default: whoever runs the tests may
/// ignore some, and what is ignored stays so.
fn start(file: &Path) -> Child {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(VMM).arg(file);
    start_command(command)
}

/// Starts a guest and waits until it is ready.
fn start_command(mut command: Command) -> Child {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 6];
    let stdout = child.stdout.as_mut().unwrap();
    std::io::Read::read_exact(stdout, &mut line).unwrap();
    assert_eq!(&line, b"ready\n");
    std::thread::sleep(Duration::from_millis(20));
    child
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the child is ours and was not waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

fn ends_with(mut child: Child, code: i32) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(code), "{status:?}");
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("the guest did not take the signal");
}

#[test]
fn a_signal_interrupts_a_computing_program() {
    let guest = signalled("spin: inc %rax\n jmp spin", "");
    for number in [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1] {
        let child = start(&guest.write());
        signal(&child, number);
        ends_with(child, 128 + number);
    }
}

#[test]
fn a_signal_inside_the_libos_waits_for_the_program() {
    // The libOS part computes for a while; the signal must not divert it.
    let guest = signalled(
        "movabs $busy, %rax
         jmp *%rax
         spin: jmp spin",
        "busy:   mov $1000000000, %rcx
         1:      dec %rcx
                 jnz 1b
                 PRINT done, 5
                 movabs $spin, %rax
                 jmp *%rax
         done:   .ascii \"done\\n\"",
    );
    let mut child = start(&guest.write());
    signal(&child, libc::SIGTERM);
    let mut line = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!(&line, b"done\n");
    ends_with(child, 143);
}

#[test]
fn a_signal_ends_a_wait() {
    let guest = signalled(
        "movabs $sleep, %rax
         jmp *%rax",
        "sleep:  CALL WAIT, 0xffffffffffffffff, 2
                 cmp $2, %rax
                 je take
                 FINISH 2",
    );
    let child = start(&guest.write());
    signal(&child, libc::SIGHUP);
    ends_with(child, 129);
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let guest = signalled("spin: inc %rax\n jmp spin", "");
    let mut command = Command::new("nohup");
    command.arg(VMM).arg(guest.write());
    let child = start_command(command);
    signal(&child, libc::SIGHUP);
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, libc::SIGTERM);
    ends_with(child, 143);
}

#[test]
fn a_signal_ends_a_read_of_standard_input() {
    let guest = signalled(
        "movabs $read, %rax
         jmp *%rax",
        "read:   ARG 0, %r12
                 movq $1, 8(%r15)
                 movq $0, 16(%r15)
                 DO STDIN_READ
                 cmp $-4, %rax
                 je take
                 FINISH 2",
    );
    let mut command = Command::new(VMM);
    command.arg("-i").arg(guest.write()).stdin(Stdio::piped());
    let child = start_command(command);
    signal(&child, libc::SIGUSR2);
    ends_with(child, 128 + libc::SIGUSR2);
}

#[test]
fn a_wait_sees_standard_input() {
    let guest = guest(
        "main:   PRINT ready, 6
                 CALL WAIT, 0xffffffffffffffff, 1
                 mov %rax, %rbp
                 ARG 0, %r12
                 movq $9, 8(%r15)
                 movq $1, 16(%r15)
                 DO STDIN_READ
                 lea (%rax, %rbp), %rax
                 movq $0, 0(%r15)
                 ARG 1, %rax
                 movq $0, 16(%r15)
                 movq $0, 24(%r15)
                 DO EXIT
         ready:  .ascii \"ready\\n\"",
    );
    let mut command = Command::new(VMM);
    command.arg("-i").arg(guest.write()).stdin(Stdio::piped());
    let mut child = start_command(command);
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"typed").unwrap();
    // One event bit and five bytes.
    ends_with(child, 6);
}

#[test]
fn a_missing_or_forbidden_kvm_is_explained() {
    let guest = guest("main: FINISH 0");
    let file = guest.write();
    let file = file.to_str().unwrap();
    // Where an unprivileged user can run it. A copy made by this process could still be
    // open for writing in a child that another test is just starting: ETXTBSY.
    let program = Path::new(file).with_file_name("unikiln-vmm");
    let copied = Command::new("cp").arg(VMM).arg(&program).status().unwrap();
    assert!(copied.success());
    let program = program.to_str().unwrap();
    // SAFETY: geteuid has no conditions.
    if unsafe { libc::geteuid() } != 0 {
        println!("SKIPPED: only root can hide /dev/kvm");
        return;
    }
    let hidden = format!("mount -t tmpfs none /dev && exec {VMM} {file} ");
    let forbidden = "chmod 755 $(dirname $0); exec setpriv --reuid 65534 --clear-groups $1 $0";
    for (command, words) in [
        (
            Command::new("unshare")
                .args(["-m", "sh", "-c", &hidden])
                .output(),
            "there is no /dev/kvm",
        ),
        (
            Command::new("sh")
                .args(["-c", forbidden, file, program])
                .output(),
            "no permission to open /dev/kvm",
        ),
    ] {
        let output = command.unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains(words), "{text}");
        assert_eq!(output.status.code(), Some(125), "{text}");
    }
}

fn run(args: &[&str]) -> Output {
    Command::new(VMM).args(args).output().unwrap()
}

#[test]
fn what_a_user_gets_wrong_is_explained() {
    let guest = guest("main: FINISH 0").manifest(|manifest| {
        manifest.minimum_memory_bytes = 48 << 20;
    });
    let file = guest.write();
    let file = file.to_str().unwrap();
    for (args, words) in [
        (vec![], "no unikernel file given"),
        (vec!["--nope", file], "--nope"),
        (vec!["-m", "lots", file], "is no memory size"),
        (vec!["-m", "16M", file], "give it at least 48 MiB"),
        (vec!["--strace=opnat", file], "did you mean openat"),
        (vec!["/nonexistent.uk"], "cannot open /nonexistent.uk"),
        (vec![VMM], "is not a unikernel file"),
        (vec!["--entrypoint", "", file], "names no program"),
        (vec!["-e", "=x", file], "is not KEY=VALUE"),
        (vec!["-w", "tmp", file], "is not absolute"),
        (
            vec!["--log-file", "/nonexistent/log", file],
            "cannot open the log file",
        ),
        (vec!["-m", "9000000G", file], "do not fit"),
    ] {
        let output = run(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    assert_eq!(run(&[file]).status.code(), Some(0));
    assert!(run(&["--help"]).status.success());
}

#[test]
fn statistics_as_json() {
    let guest = guest("main: PRINT text, 3\n FINISH 5\n text: .ascii \"hi\\n\"");
    let file = guest.write();
    let output = run(&["--stats=json", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(5));
    let stats: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(stats["exits"]["log"], 1);
    assert_eq!(stats["log_bytes"], 3);
    let phases: Vec<&str> = stats["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["name"].as_str().unwrap())
        .collect();
    assert_eq!(phases.first(), Some(&"config"));
    assert_eq!(phases.last(), Some(&"exit"));
}
