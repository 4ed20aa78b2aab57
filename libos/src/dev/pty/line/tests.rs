//! Typing at a line discipline.

use linux_raw_sys::general::{ECHO, ICANON, OPOST, SIGINT, VMIN, VTIME};

use super::*;

fn typed(line: &mut Line, bytes: &[u8]) -> Vec<u32> {
    bytes
        .iter()
        .filter_map(|byte| line.receive(*byte))
        .collect()
}

fn shown(line: &mut Line) -> Vec<u8> {
    line.take_output(usize::MAX).unwrap_or_default()
}

fn with_local(clear: u32) -> Line {
    let mut line = Line::new();
    let mut settings = *line.settings();
    settings.local &= !clear;
    line.set(settings);
    line
}

#[test]
fn lines_come_whole_and_echo() {
    let mut line = Line::new();
    typed(&mut line, b"ab");
    assert_eq!(line.take_input(10, 1), None);
    assert!(!line.is_readable());
    typed(&mut line, b"c\rnext\n");
    assert!(line.is_readable());
    assert_eq!(line.take_input(2, 1).as_deref(), Some(&b"ab"[..]));
    assert_eq!(line.take_input(10, 1).as_deref(), Some(&b"c\n"[..]));
    assert_eq!(line.take_input(10, 1).as_deref(), Some(&b"next\n"[..]));
    assert_eq!(shown(&mut line), b"abc\r\nnext\r\n");
}

#[test]
fn an_end_of_file_is_an_empty_line() {
    let mut line = Line::new();
    typed(&mut line, b"x\x04\x04");
    assert_eq!(line.take_input(10, 1).as_deref(), Some(&b"x"[..]));
    assert_eq!(line.take_input(10, 1).as_deref(), Some(&b""[..]));
    assert_eq!(line.take_input(10, 1), None);
    assert_eq!(shown(&mut line), b"x");
}

#[test]
fn editing_takes_back_what_was_shown() {
    let mut line = Line::new();
    typed(&mut line, b"ab\x7f\x01\x7f\n");
    assert_eq!(shown(&mut line), b"ab\x08 \x08^A\x08 \x08\x08 \x08\r\n");
    typed(&mut line, b"\x7fone two_3  \x17\x17x\n");
    assert_eq!(line.take_input(10, 1).as_deref(), Some(&b"a\n"[..]));
    assert_eq!(line.take_input(10, 1).as_deref(), Some(&b"x\n"[..]));
    shown(&mut line);
    typed(&mut line, b"gone\x15kept\x16\x03\n");
    assert_eq!(line.take_input(10, 1).as_deref(), Some(&b"kept\x03\n"[..]));
}

#[test]
fn a_tab_is_taken_back_to_its_stop() {
    let mut line = Line::new();
    typed(&mut line, b"abc\t\x7f");
    assert_eq!(shown(&mut line), b"abc\t\x08\x08\x08\x08\x08");
}

#[test]
fn an_interrupt_drops_what_was_typed() {
    let mut line = Line::new();
    assert_eq!(typed(&mut line, b"abc\x03"), [SIGINT]);
    assert_eq!(shown(&mut line), b"^C");
    typed(&mut line, b"d\n");
    assert_eq!(line.take_input(10, 1).as_deref(), Some(&b"d\n"[..]));
}

#[test]
fn a_raw_terminal_changes_nothing() {
    let mut line = with_local(ICANON | ECHO | ISIG);
    let mut settings = *line.settings();
    (settings.input, settings.output) = (0, settings.output & !OPOST);
    line.set(settings);
    assert_eq!(typed(&mut line, b"\x03\r\x7f\x04"), []);
    assert_eq!(
        line.take_input(10, 1).as_deref(),
        Some(&b"\x03\r\x7f\x04"[..])
    );
    assert_eq!(line.write(b"a\nb"), 3);
    assert_eq!(shown(&mut line), b"a\nb");
}

#[test]
fn what_was_typed_outlives_a_change_of_mode() {
    let mut line = Line::new();
    typed(&mut line, b"line\npart");
    let mut settings = *line.settings();
    settings.local &= !ICANON;
    line.set(settings);
    assert_eq!(line.pace(), Some((1, 0)));
    assert_eq!(line.take_input(5, 1).as_deref(), Some(&b"line\n"[..]));
    settings.local |= ICANON;
    line.set(settings);
    assert_eq!(line.take_input(10, 1).as_deref(), Some(&b"part"[..]));
}

#[test]
fn stopped_output_waits() {
    let mut line = Line::new();
    typed(&mut line, b"\x13");
    assert_eq!(line.write(b"x"), 0);
    typed(&mut line, b"\x11");
    assert_eq!(line.write(b"x"), 1);
}

#[test]
fn output_stops_at_its_room_and_long_lines_are_cut() {
    let mut line = Line::new();
    let written = line.write(&[b'x'; 100_000]);
    assert!(written > 4096 && written < 100_000, "{written}");
    typed(&mut line, &[b'y'; 10_000]);
    typed(&mut line, b"\n");
    let got = line.take_input(100_000, 1).expect("a line");
    assert_eq!(got.len(), LINE_BYTES);
    assert_eq!(got.last(), Some(&b'\n'));
}

#[test]
fn poll_counts_what_a_raw_read_asks_for() {
    let mut line = with_local(ICANON);
    let mut raw = line.settings().to_bytes();
    raw[17 + VMIN as usize] = 3;
    let settings = line.settings().changed_by(&raw);
    line.set(settings);
    typed(&mut line, b"ab");
    assert!(!line.is_readable());
    raw[17 + VTIME as usize] = 1;
    let settings = line.settings().changed_by(&raw);
    line.set(settings);
    assert!(line.is_readable());
    assert_eq!(line.take_input(10, 3), None);
    assert_eq!(line.take_input(10, 2).map(|bytes| bytes.len()), Some(2));
}
