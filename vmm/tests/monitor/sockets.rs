//! Guests with sockets: served to clients of this machine through published ports.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use unikiln_vmm::net::Mode;

use crate::assembled::{Guest, guest};

/// Opens a table, and a listener on 0.0.0.0:80 in %rbp. The table is at 0x4000 of the
/// scratch buffer.
const LISTEN: &str = "
    lea 0x4000(%r12), %rax
    ARG 0, %rax
    DO SOCKET_TABLE
    mov %rax, %rbp
    PRINT_WORD %rbp
    CALL SOCKET_OPEN, 2, 1
    mov %rax, %rbp
    movl $0x50000002, (%r13)
    movl $0, 4(%r13)
    movq $0, 8(%r13)
    ARG 0, %rbp
    ARG 1, %r12
    movq $16, 16(%r15)
    DO SOCKET_BIND
    mov %rax, %rbx
    PRINT_WORD %rbx
    ARG 0, %rbp
    movq $8, 8(%r15)
    DO SOCKET_LISTEN
    mov %rax, %rbx
    PRINT_WORD %rbx";
/// Takes a connection into %r10, or jumps to `\\else`.
const ACCEPT: &str = "
    ARG 0, %rbp
    lea 0x100(%r12), %rax
    ARG 1, %rax
    DO SOCKET_ACCEPT
    mov %rax, %r10
    test %rax, %rax";
const PATIENCE: Duration = Duration::from_secs(30);

/// A port of no range that kernels choose from, free just now.
fn free_port(offset: u16) -> u16 {
    let first = 30_000 + (std::process::id() as u16 % 200) * 10;
    let ports = [first + offset, first + offset + 1];
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    ports.into_iter().find(is_free).unwrap()
}

fn connect(port: u16) -> TcpStream {
    let until = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn echo() -> Guest {
    guest(&format!(
        "main: {LISTEN}
             movl $1, 0x4000(%r13)
         accept: {ACCEPT}
             jns receive
             CALL WAIT, -1, 8
             cmp $8, %rax
             je accept
             FINISH 3
         receive:
             ARG 0, %r10
             lea 0x200(%r12), %rax
             ARG 1, %rax
             movq $4096, 16(%r15)
             movq $0, 24(%r15)
             movq $0, 32(%r15)
             DO SOCKET_RECEIVE
             test %rax, %rax
             jg send
             jz end
             CALL WAIT, -1, 8
             jmp receive
         send:
             ARG 0, %r10
             lea 0x200(%r12), %rcx
             ARG 1, %rcx
             ARG 2, %rax
             movq $0, 24(%r15)
             movq $0, 32(%r15)
             DO SOCKET_SEND
             jmp receive
         end: FINISH 0"
    ))
}

#[test]
fn a_guest_serves_a_client_through_a_published_port() {
    let port = free_port(0);
    let client = std::thread::spawn(move || {
        let mut stream = connect(port);
        let mut answers = Vec::new();
        for _ in 0..3 {
            // It sleeps by now: it is woken by the change, or called by the I/O thread.
            std::thread::sleep(Duration::from_millis(30));
            stream.write_all(b"ping").unwrap();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).unwrap();
            answers.push(answer);
        }
        answers
    });
    let ran = echo()
        .run_with(|config| config.network.ports = vec![format!("{port}:80").parse().unwrap()])
        .exits(0);
    assert_eq!(client.join().unwrap(), [*b"ping"; 3]);
    assert_eq!(ran.words(), [0, 0, 0]);
    assert_eq!(ran.stderr, "");
    let sockets = ran.outcome.stats.sockets.unwrap();
    assert_eq!(
        (sockets.opened, sockets.received_bytes, sockets.sent_bytes),
        (2, 12, 12)
    );
    assert_eq!(ran.outcome.stats.exits["socket_send"], 3);
}

#[test]
fn a_connection_calls_a_vcpu_that_computes() {
    // It never waits: an upcall is how it learns of the client.
    let port = free_port(2);
    let client = std::thread::spawn(move || connect(port).read(&mut [0; 1]).unwrap());
    let ran = guest(&format!(
        "main: {LISTEN}
             xor %r8d, %r8d
             movl $1, 0x4000(%r13)
             movabs $compute, %rax
             jmp *%rax
         .section .program, \"ax\"
         compute: pause
             test %r8, %r8
             jz compute
             {ACCEPT}
             js failed
             movl 0x4000+96(%r13), %ebx
             PRINT_WORD %rbx
             FINISH 0
         failed: FINISH 3
         .text
         on_trap:
             inc %r8
             mov %gs:0, %rsp
             add $0xfd8, %rsp
             iretq"
    ))
    .run_with(|config| config.network.ports = vec![format!("{port}:80").parse().unwrap()])
    .exits(0);
    assert_eq!(client.join().unwrap(), 0);
    // The listener's bit of changes, and no other's.
    assert_eq!(ran.words(), [0, 0, 0, 1]);
}

#[test]
fn without_a_network_there_are_no_sockets() {
    let ran = guest(&format!("main: {LISTEN}\n FINISH 0"))
        .run_with(|config| config.network.mode = Mode::None)
        .exits(0);
    let error = |errno: i32| (-i64::from(errno)) as u64;
    assert_eq!(ran.words()[..2], [error(13), error(9)]);
    assert!(ran.stderr.contains("--network none"), "{}", ran.stderr);
    assert_eq!(ran.outcome.stats.sockets, None);
}

#[test]
fn a_port_of_the_host_that_is_taken_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let ran = guest(&format!("main: {LISTEN}\n FINISH 0"))
        .run_with(|config| config.network.ports = vec![format!("{port}:80").parse().unwrap()])
        .exits(0);
    let said = format!("port {port}/tcp (-p {port}:80/tcp) is in use");
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
}
