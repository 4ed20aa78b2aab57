//! Single sites, one shape each.

use iced_x86::{Code, Register};

use super::super::object::Object;
use super::super::report::{LeftFile, LeftSite};
use super::super::unwind;
use super::{bound, compile, follow, instructions, left, program, rewrite};

fn entry(file: &[u8]) -> u64 {
    Object::parse(file).unwrap().header.e_entry
}

#[test]
fn a_number_and_a_call_make_room() {
    let file = program("mov $39, %eax\nsyscall\ncmp $-4095, %rax");
    let start = entry(&file);
    let new = bound(&file, 1);
    let way = follow(&new, start).unwrap();
    assert_eq!(way.next, start + 7);
    assert_eq!(way.moved.len(), 1);
    assert_eq!(way.moved[0].code(), Code::Mov_r32_imm32);
    assert_eq!(way.moved[0].immediate(1), 39);
    // The instruction itself stays, for calls that start again.
    assert_eq!(instructions(&new, start + 5, 1)[0].code(), Code::Syscall);
}

#[test]
fn operands_relative_to_rip_name_the_same_place() {
    let file = program(
        "mov value(%rip), %edi\nxor %eax, %eax\nsyscall\ntest %eax, %eax\n.data\nvalue: .long 1\n.text",
    );
    let start = entry(&file);
    let before = instructions(&file, start, 1)[0].ip_rel_memory_address();
    let way = follow(&bound(&file, 1), start).unwrap();
    assert_eq!(way.moved[0].ip_rel_memory_address(), before);
}

#[test]
fn a_branch_moves_and_leads_to_the_same_place() {
    let file = program("test %edi, %edi\nje 1f\nxor %eax, %eax\nsyscall\n1: test %eax, %eax");
    let start = entry(&file);
    let branch = instructions(&file, start, 2)[1];
    let way = follow(&bound(&file, 1), start).unwrap();
    assert_eq!(way.moved[1].condition_code(), branch.condition_code());
    assert_eq!(
        way.moved[1].near_branch_target(),
        branch.near_branch_target()
    );
}

#[test]
fn a_jump_to_the_call_itself_forbids_nothing() {
    let file = program("test %edi, %edi\nje 1f\nmov $39, %eax\n1: syscall\ntest %eax, %eax");
    let start = entry(&file) + 4;
    assert!(follow(&bound(&file, 1), start).is_some());
}

#[test]
fn what_something_jumps_to_begins_the_room() {
    // Only the last two bytes before the site are safe: a short jump, to padding.
    let file = program(
        "1: mov $1, %edi\nje 2f\nmov $39, %eax\n2: mov %edi, %eax\nsyscall\ntest %eax, %eax",
    );
    let start = entry(&file) + 12;
    let new = bound(&file, 1);
    let jump = instructions(&new, start, 1)[0];
    assert_eq!(jump.code(), Code::Jmp_rel8_64);
    let way = follow(&new, start).unwrap();
    assert_eq!((way.moved.len(), way.next), (1, start + 4));
}

#[test]
fn a_jump_into_an_instruction_keeps_it_from_moving() {
    let file = program("test %edi, %edi\nje . + 4\nmov $39, %eax\nsyscall\ntest %eax, %eax");
    assert_eq!(left(&file), LeftSite::JumpTarget);
}

#[test]
fn addresses_in_data_count_as_jumped_to() {
    for entries in [".quad 2b", ".long 2b - table"] {
        let file = program(&format!(
            "lea table(%rip), %rdx\nmov %edx, %edi\nadd $1, %edi\n2: mov %edx, %edi\nmov %edi, %eax\nsyscall\n\
             test %eax, %eax\n.section .rodata\n.balign 8\ntable: {entries}\n.text"
        ));
        let start = entry(&file) + 12;
        let new = rewrite(&file).unwrap().bytes.unwrap();
        // Four bytes are left from the target on, and two are taken.
        assert_eq!(
            instructions(&new, start, 1)[0].op0_register(),
            Register::EDI,
            "{entries}"
        );
        assert!(follow(&new, start + 2).is_some(), "{entries}");
    }
}

#[test]
fn sites_whose_flags_are_used_are_left() {
    assert_eq!(
        left(&program(
            "cmp $1, %edi\nmov $39, %eax\nsyscall\nje 1f\nnop\n1: nop"
        )),
        LeftSite::FlagsUsed
    );
    assert_eq!(
        left(&program("mov $39, %eax\nsyscall\npushf\npop %rax")),
        LeftSite::FlagsUsed
    );
    // A second call in between changes nothing about that.
    let file = program("mov $39, %eax\nsyscall\nmov $40, %eax\nsyscall\njc 1f\nnop\n1: nop");
    assert_eq!(left(&file), LeftSite::FlagsUsed);
}

#[test]
fn signal_returns_are_left() {
    assert_eq!(
        left(&program("mov $15, %rax\nsyscall")),
        LeftSite::SignalReturn
    );
    assert_eq!(
        left(&program("mov $15, %eax\nsyscall")),
        LeftSite::SignalReturn
    );
}

#[test]
fn data_in_code_is_left() {
    // 0x06 is no instruction in 64-bit code.
    let file = program("jmp 1f\n.byte 0x06\nmov $39, %eax\nsyscall\n1: nop");
    assert_eq!(left(&file), LeftSite::UnclearCode);
}

#[test]
fn a_call_without_anything_before_it_is_left() {
    assert_eq!(
        left(&program("syscall\ntest %eax, %eax")),
        LeftSite::Neighbours
    );
    assert_eq!(
        left(&program("call after\nsyscall\ntest %eax, %eax")),
        LeftSite::Neighbours
    );
}

#[test]
fn without_sections_or_with_more_behind_it_a_file_is_left() {
    let file = program("mov $39, %eax\nsyscall\ntest %eax, %eax");
    let mut more = file.clone();
    more.extend_from_slice(b"PK\x05\x06");
    assert_eq!(rewrite(&more).err().unwrap(), LeftFile::TrailingData);
    let mut bare = file.clone();
    bare[40..48].fill(0);
    bare[58..64].fill(0);
    assert_eq!(rewrite(&bare).err().unwrap(), LeftFile::NoSections);
    assert_eq!(rewrite(&file[..80]).err().unwrap(), LeftFile::Malformed);
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    let file = program("mov $39, %eax\nsyscall\ntest %eax, %eax");
    assert_eq!(rewrite(&file).unwrap().bytes, rewrite(&file).unwrap().bytes);
    // And what is bound is not bound again.
    let new = bound(&file, 1);
    assert_eq!(
        rewrite(&new).map(|again| again.counts.bound).unwrap_or(0),
        0
    );
}

/// Sites enough that no padding holds their trampolines.
fn many_sites() -> String {
    let site = "mov $39, %eax\nsyscall\ntest %eax, %eax\n";
    format!(
        ".globl _start\n.type _start, @function\n_start:\n.cfi_startproc\n{}ret\n.cfi_endproc\n.bss\n.skip 5000\n",
        site.repeat(300)
    )
}

#[test]
fn a_segment_is_added_in_every_kind_of_file() {
    // Without a header to give up the table moves, as in musl's C library.
    let kinds = ["-static", "-static-pie", "-pie", "-shared"];
    let kinds = kinds
        .iter()
        .flat_map(|kind| [(kind, "yes", false), (kind, "no", true)]);
    for (kind, note, moves) in kinds {
        let note = format!("-Wa,-mx86-used-note={note}");
        let flags = [kind, &*note];
        let file = compile("assembler", &many_sites(), &flags);
        let new = bound(&file, 300);
        let (old, object) = (Object::parse(&file).unwrap(), Object::parse(&new).unwrap());
        assert_eq!(
            old.header.e_phoff != object.header.e_phoff,
            moves,
            "{flags:?}"
        );
        assert_eq!(object.loads().len(), old.loads().len() + 1);
        let last = object.loads().pop().unwrap();
        assert_eq!(last.p_vaddr % 4096, last.p_offset % 4096);
        if moves {
            assert_eq!(object.header.e_phoff, last.p_offset);
            let first = &object.loads()[0];
            let distance = first.p_vaddr - first.p_offset;
            assert_eq!(last.p_vaddr - last.p_offset, distance);
        }
        readelf_is_content(&new);
    }
}

fn readelf_is_content(file: &[u8]) {
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), file).unwrap();
    let output = std::process::Command::new("readelf")
        .args(["-aW", "--unwind"])
        .arg(path.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn landing_pads_are_found() {
    let text = "void g(); struct S { ~S(); }; void f() { S s; g(); }";
    let flags = [
        "-shared",
        "-fPIC",
        "-fexceptions",
        "-Wl,--unresolved-symbols=ignore-all",
    ];
    let file = compile("c++", text, &flags);
    let object = Object::parse(&file).unwrap();
    let mut pads = Vec::new();
    for function in unwind::functions(&object) {
        unwind::landing_pads(&object, &function, |pad| pads.push(pad)).unwrap();
    }
    assert!(!pads.is_empty());
    assert!(pads.iter().all(|pad| object.is_code(*pad)));
}
