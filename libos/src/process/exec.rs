//! execve and the first start: find the program, follow `#!`, check, load, go.
//!
//! Until the new program is sure to load, the old one is untouched; after that
//! a failure ends the process, as on Linux.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::general::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, O_CLOEXEC, O_RDONLY};
use unikiln_abi::boot::FLAG_ROOT_READ_ONLY;
use unikiln_abi::exit;
use unikiln_abi::layout::APP_END;

use super::elf::{self, FLAG_EXECUTE, GNU_STACK};
use super::end::{self, Status};
use super::load::{self, Object, Placed};
use super::{Process, current, stack, table, thread, threads};
use crate::arch::{self, Registers};
use crate::errno::{Errno, SysResult};
use crate::fs::attributes::ROOT_DEVICE;
use crate::fs::{self, OpenFile};
use crate::mm::map::Request;
use crate::mm::space::AddressSpace;
use crate::mm::spaces::{self, For};
use crate::mm::vma::{PROT_EXEC, PROT_READ, PROT_WRITE};
use crate::mm::{PAGE, arena, round_down};
use crate::{boot, dev, hypercall, signal, stats, strace, time};

/// `#!` lines followed before ELOOP.
const SCRIPTS_MAX: usize = 4;
/// What ends a child whose new program cannot be loaded.
const SIGKILL: u32 = 9;
/// Bytes of a script or program that are looked at first.
const START_BYTES: usize = 256;
/// Where lookups go without PATH in the environment.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Room that the mmap area leaves below the top for the stack.
const STACK_GAP_BYTES: u64 = 128 << 20;

/// Pages by which the heap is moved at random (32 MiB, as in Linux).
const BREAK_RANDOM_PAGES: u64 = 8192;

/// A program ready to be loaded.
struct Program {
    object: Object,
    interpreter: Option<Object>,
    arguments: Vec<Vec<u8>>,
    name: Vec<u8>,
}

/// Why the program cannot run: what execve returns, and words for the log.
struct Refused {
    errno: Errno,
    why: String,
}

impl Refused {
    fn new(errno: Errno, why: impl Into<String>) -> Refused {
        Refused {
            errno,
            why: why.into(),
        }
    }
}

fn text(bytes: &[u8]) -> alloc::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Starts the first program, or ends the guest with 126 or 127 as a shell would.
pub fn start(directory: &[u8], arguments: Vec<Vec<u8>>, environment: Vec<Vec<u8>>) -> ! {
    if let Err(errno) = fs::enter_or_make_directory(directory) {
        refuse(
            126,
            &alloc::format!("working directory {}: {}", text(directory), describe(errno)),
        );
    }
    if boot::has_flag(FLAG_ROOT_READ_ONLY) {
        // What had to be made in it is there by now.
        fs::make_root_read_only();
    }
    let Some(name) = arguments.first().cloned() else {
        refuse(
            127,
            "the image names no program: give one after the image, or with --entrypoint",
        );
    };
    let found = match find(&name, &environment) {
        Ok(path) => path,
        Err(errno) => {
            let code = if errno == Errno::ENOENT { 127 } else { 126 };
            refuse(
                code,
                &alloc::format!("{}: {}", text(&name), describe(errno)),
            );
        }
    };
    match prepare(&found, arguments) {
        Ok(program) => enter(program, environment, hypercall::started),
        Err(refused) => {
            let code = if refused.errno == Errno::ENOENT {
                127
            } else {
                126
            };
            refuse(code, &alloc::format!("{}: {}", text(&found), refused.why));
        }
    }
}

/// execve(2). Returns only errors.
pub fn replace(path: &[u8], arguments: Vec<Vec<u8>>, environment: Vec<Vec<u8>>) -> SysResult {
    let program = prepare(path, arguments).map_err(|refused| refused.errno)?;
    // Who runs in memory of another process gets some of its own, and may not fail later. A
    // copy of another's goes to the next copy.
    let old = current().space();
    let new = match (old.is_shared(), old.is_forked()) {
        (true, _) => Some(spaces::make(For::Program)?),
        (false, true) => spaces::make(For::Program).ok(),
        (false, false) => None,
    };
    threads::stop_others();
    let closed = current().files.lock().close_on_exec();
    closed.into_iter().for_each(fs::close);
    current().signals.lock().reset_for_exec();
    thread().signals.lock().reset_for_exec();
    signal::timer::reset_for_exec();
    let process = current();
    process.settings.program_changed();
    process.renew_space(new);
    let has_program = |kin: &mut table::Kin| {
        kin.has_program = true;
        kin.exit_signal = end::SIGCHLD;
        Ok(())
    };
    let _ = table::change(process.pid(), has_program);
    end::give_back(process);
    enter(program, environment, || {})
}

fn refuse(code: u64, why: &str) -> ! {
    let line = alloc::format!("unikiln: cannot start {why}\n");
    hypercall::log_line(&line);
    end_child();
    hypercall::exit(exit::EXEC_FAILED, code)
}

/// A child that has lost its program and got no other is killed, as in Linux.
fn end_child() {
    if !current().is_init() {
        end::end_current(Status::signaled(SIGKILL, false));
    }
}

impl Process {
    /// Takes the old program's memory away: gives it back, or leaves it to whom it belongs
    /// and goes on in `new`.
    fn renew_space(&self, new: Option<&'static AddressSpace>) {
        match new {
            Some(new) => {
                let old = self.space();
                self.set_space(new);
                crate::sched::enter_space();
                old.leave();
            }
            None => self.space().renew(),
        }
    }
}

fn describe(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => "no such file in the image",
        Errno::EACCES => "permission denied (not executable for this user, or not a file)",
        Errno::ENOTDIR => "not a directory",
        Errno::ELOOP => "too many levels of symbolic links",
        other => other.name(),
    }
}

/// Looks a name without a slash up in PATH.
fn find(name: &[u8], environment: &[Vec<u8>]) -> Result<Vec<u8>, Errno> {
    if name.is_empty() {
        return Err(Errno::ENOENT);
    }
    if name.contains(&b'/') {
        return Ok(name.to_vec());
    }
    let path = environment
        .iter()
        .find_map(|entry| entry.strip_prefix(b"PATH="));
    let mut denied = None;
    for directory in path.unwrap_or(DEFAULT_PATH).split(|b| *b == b':') {
        let mut full = if directory.is_empty() {
            b".".to_vec()
        } else {
            directory.to_vec()
        };
        full.push(b'/');
        full.extend_from_slice(name);
        match fs::execute_check(&full) {
            Ok(()) => return Ok(full),
            Err(Errno::EACCES) => denied = Some(Errno::EACCES),
            Err(_) => {}
        }
    }
    Err(denied.unwrap_or(Errno::ENOENT))
}

fn open(path: &[u8]) -> Result<Arc<OpenFile>, Refused> {
    let opened = fs::execute_check(path).and_then(|()| fs::open(path, O_RDONLY | O_CLOEXEC, 0));
    opened.map_err(|errno| Refused::new(errno, describe(errno)))
}

/// Opens and checks everything that the program needs before anything changes.
fn prepare(path: &[u8], mut arguments: Vec<Vec<u8>>) -> Result<Program, Refused> {
    let mut path = path.to_vec();
    for _ in 0..=SCRIPTS_MAX {
        let file = open(&path)?;
        let mut start = [0; START_BYTES];
        let got = read_start(&file, &mut start)?;
        if let Some((program, argument)) = elf::parse_script(&start[..got]) {
            let mut replaced = alloc::vec![program.clone()];
            replaced.extend(argument);
            replaced.push(path);
            replaced.extend(arguments.into_iter().skip(1));
            arguments = replaced;
            path = program;
            continue;
        }
        let object = read_object(file, &start[..got])?;
        let interpreter = read_interpreter(&object)?;
        return Ok(Program {
            object,
            interpreter,
            arguments,
            name: path,
        });
    }
    Err(Refused::new(
        Errno::ELOOP,
        "more than four #! lines lead to each other",
    ))
}

fn read_start(file: &OpenFile, start: &mut [u8]) -> Result<usize, Refused> {
    file.read_at(0, start)
        .map_err(|errno| Refused::new(errno, describe(errno)))
}

fn read_object(file: Arc<OpenFile>, start: &[u8]) -> Result<Object, Refused> {
    let refuse = |refusal: elf::Refusal| Refused::new(refusal.errno(), alloc::format!("{refusal}"));
    let header = elf::parse_header(start).map_err(refuse)?;
    let mut table = alloc::vec![0; usize::from(header.segments) * 56];
    let got = file
        .read_at(header.segments_offset, &mut table)
        .unwrap_or(0);
    if got < table.len() {
        return Err(refuse(elf::Refusal::Malformed(
            "program headers past the end of the file",
        )));
    }
    let segments = elf::parse_segments(&table).map_err(refuse)?;
    Ok(Object {
        file,
        header,
        segments,
    })
}

fn read_interpreter(object: &Object) -> Result<Option<Object>, Refused> {
    let malformed = |errno| Refused::new(errno, "a malformed ELF file: its interpreter path");
    let Some(path) = object.interpreter().map_err(malformed)? else {
        return Ok(None);
    };
    let describe_it = |refused: Refused| {
        let why = alloc::format!("its interpreter {}: {}", text(&path), refused.why);
        Refused::new(refused.errno, why)
    };
    let file = open(&path).map_err(describe_it)?;
    let mut start = [0; START_BYTES];
    let got = read_start(&file, &mut start).map_err(describe_it)?;
    read_object(file, &start[..got])
        .map_err(describe_it)
        .map(Some)
}

/// Loads the program, says so by `tell`, and goes there. The old one, if any, is gone already.
fn enter(program: Program, environment: Vec<Vec<u8>>, tell: fn()) -> ! {
    match load(&program, &environment) {
        Ok(regs) => {
            arch::set_fs_base(0);
            thread().clear_tid.store(0, Ordering::Relaxed);
            thread().robust_list.store(0, Ordering::Relaxed);
            arch::reset_floating_point();
            stats::set_program(arch::rdtsc());
            strace::program_starts(&program.name);
            // Nobody comes back here to free them.
            drop(program);
            drop(environment);
            tell();
            arch::switch_to_program(&regs)
        }
        Err(Errno::ENOMEM) => {
            let line = alloc::format!(
                "unikiln: {} does not fit into the memory limit of {} bytes\n",
                text(&program.name),
                arena::limit_bytes()
            );
            hypercall::log_line(&line);
            end_child();
            hypercall::exit(exit::MEMORY_TOO_SMALL, 125)
        }
        Err(errno) => refuse(
            126,
            &alloc::format!(
                "{}: it cannot be loaded: {}",
                text(&program.name),
                errno.name()
            ),
        ),
    }
}

fn load(program: &Program, environment: &[Vec<u8>]) -> Result<Registers, Errno> {
    let process = current();
    let stack_bytes = process.limits.lock().0[3]
        .0
        .clamp(128 << 10, STACK_GAP_BYTES / 2);
    let chance = process.space().chance();
    let moved = chance.mappings % load::RANDOM_PAGES * PAGE;
    process.space().lock().mmap_top = APP_END - STACK_GAP_BYTES - moved;
    let placed = program.object.map(process.space(), false)?;
    let interpreter = match &program.interpreter {
        Some(object) => Some(object.map(process.space(), true)?),
        None => None,
    };
    {
        let mut space = process.space().lock();
        // A page between .bss and the heap, so that the two never look like one.
        let start = placed.end + PAGE + chance.heap % BREAK_RANDOM_PAGES * PAGE;
        (space.brk_start, space.brk) = (start, start);
    }
    let executable_stack = (program.object.segments.iter())
        .find(|s| s.kind == GNU_STACK)
        .is_some_and(|s| s.flags & FLAG_EXECUTE != 0);
    let extra = if executable_stack { PROT_EXEC } else { 0 };
    process.space().map(Request {
        address: APP_END - round_down(stack_bytes, PAGE),
        bytes: round_down(stack_bytes, PAGE),
        protection: PROT_READ | PROT_WRITE | extra,
        flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
        file: None,
        offset: 0,
        name: "[stack]",
    })?;
    // A set-ID program runs as its owner, where the file system honours that.
    let file = program.object.file.attributes()?;
    let honours = file.device == ROOT_DEVICE && process.settings.no_new_privileges.get() == 0;
    let secure = (process.credentials.lock()).program_changed(&file, honours);
    let layout = build_stack(
        program,
        environment,
        stack_bytes,
        secure,
        &placed,
        interpreter.as_ref(),
    )?;
    set_image(program, &layout);
    let entry = interpreter.map_or(placed.entry, |interpreter| interpreter.entry);
    Ok(Registers {
        rip: entry,
        rsp: layout.pointer,
        cs: u64::from(unikiln_abi::layout::USER_CODE_SELECTOR),
        ss: u64::from(unikiln_abi::layout::USER_DATA_SELECTOR),
        rflags: 0x202,
        ..Registers::default()
    })
}

fn build_stack(
    program: &Program,
    environment: &[Vec<u8>],
    stack_bytes: u64,
    secure: bool,
    placed: &Placed,
    interpreter: Option<&Placed>,
) -> Result<stack::Layout, Errno> {
    let credentials = current().credentials.lock().clone();
    let hwcap = boot::info().map_or(0, |info| u64::from(info.hwcap));
    let mut random = [0; 16];
    dev::random::fill(&mut random);
    let auxv = [
        (33, time::vdso_address()),                       // AT_SYSINFO_EHDR
        (16, hwcap),                                      // AT_HWCAP
        (6, PAGE),                                        // AT_PAGESZ
        (17, 100),                                        // AT_CLKTCK
        (3, placed.headers),                              // AT_PHDR
        (4, 56),                                          // AT_PHENT
        (5, u64::from(program.object.header.segments)),   // AT_PHNUM
        (7, interpreter.map_or(0, |placed| placed.bias)), // AT_BASE
        (8, 0),                                           // AT_FLAGS
        (9, placed.entry),                                // AT_ENTRY
        (11, u64::from(credentials.uid)),                 // AT_UID
        (12, u64::from(credentials.euid)),                // AT_EUID
        (13, u64::from(credentials.gid)),                 // AT_GID
        (14, u64::from(credentials.egid)),                // AT_EGID
        (23, u64::from(secure)),                          // AT_SECURE
        // AT_HWCAP2: no FSGSBASE, because GS belongs to the libOS.
        (26, 0),
        (51, signal::frame_bytes()), // AT_MINSIGSTKSZ
    ];
    let contents = stack::Contents {
        execfn: &program.name,
        arguments: &program.arguments,
        environment,
        auxv: &auxv,
        random,
    };
    stack::build(APP_END, stack_bytes, &contents)
}

fn set_image(program: &Program, layout: &stack::Layout) {
    let base = program
        .name
        .rsplit(|b| *b == b'/')
        .next()
        .unwrap_or(&program.name);
    let mut comm = [0; 16];
    for (to, from) in comm.iter_mut().take(15).zip(base) {
        *to = *from;
    }
    *thread().comm.lock() = comm;
    let mut image = current().image.lock();
    image.exe = program.object.file.path();
    image.file = Some(program.object.file.clone());
    image.exe_id = program.object.file.inode_id();
    image.comm = comm;
    image.arguments = layout.arguments;
    image.environment = layout.environment;
    image.auxv = layout.auxv.clone();
    if image.start_ns == 0 {
        // The first one; the others were made by fork, and keep that time.
        image.start_ns = time::now(time::Clock::Boottime);
    }
    image.stack_start = layout.pointer;
}
