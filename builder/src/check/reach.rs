//! What a program does of its own accord: the functions that its beginning
//! leads to by direct calls, through its libraries as well, and what they ask
//! of the system.
//!
//! ```text
//! entry ─► main ─► direct calls, jumps to other functions, symbols of libraries
//!                    └─► functions of the C library by name, `syscall` with its number
//! ```
//!
//! Calls through pointers are not followed: what a program does when it is told
//! to (a command of a server, a function of an interpreted language) is not what
//! it does to start. Such things are `present`, which weighs little.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use unikiln_abi::strace;

use super::calls;
use super::elf::{Mapped, Slots, u32_at};
use super::go;
use super::sweep::{Call, Site, Sweep, Target, sweep};

/// Code that is decoded for one program, nearest functions first.
const CODE_MAX_BYTES: usize = 8 << 20;
/// A `main` up to this size only passes on another function, as Rust's does.
const SMALL_MAIN_BYTES: usize = 96;
/// Functions between the entry and the one that calls `main`.
const START_DEPTH: usize = 3;
/// How many of them are looked at, side by side.
const START_WIDTH: usize = 32;
/// CLONE_THREAD.
const CLONE_THREAD: u64 = 0x1_0000;
const SYS_CLONE: u64 = 56;
const SYS_FORK: u64 = 57;
const SYS_VFORK: u64 = 58;
const SYS_SETSID: u64 = 112;
/// The key by which OpenSSL remembers that random numbers are there, on kernels
/// without getrandom; it does without.
const OPENSSL_SHM_KEY: u64 = 114;
/// Bytes before a `syscall` in which its number is looked for.
const NUMBER_DISTANCE: usize = 24;

/// A program or a library of it, not the C library.
pub(super) struct File<'a> {
    path: String,
    mapped: Mapped<'a>,
    slots: Slots<'a>,
    exports: HashMap<&'a [u8], u64>,
    beginnings: Vec<u64>,
    /// Of functions, as far as they are known.
    names: HashMap<u64, &'a [u8]>,
    is_go: bool,
}

impl<'a> File<'a> {
    pub(super) fn new(path: String, mapped: Mapped<'a>) -> Self {
        let go = go::functions(&mapped);
        let is_go = !go.is_empty();
        let symbols = if is_go { go } else { mapped.debug_symbols() };
        let mut beginnings = mapped.functions();
        beginnings.extend(symbols.iter().map(|symbol| symbol.0));
        let exports = mapped.exports();
        beginnings.extend(exports.values());
        beginnings.sort_unstable();
        beginnings.dedup();
        // Of several names the first, so that a file always gives the same verdict.
        let mut sorted: Vec<_> = exports.iter().map(|(name, at)| (*at, *name)).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let mut names: HashMap<_, _> = sorted.into_iter().collect();
        names.extend(symbols);
        Self {
            path,
            slots: mapped.slots(),
            exports,
            beginnings,
            names,
            is_go,
            mapped,
        }
    }

    fn sweep(&self, address: u64) -> Sweep {
        sweep(&self.mapped, &self.beginnings, address)
    }

    /// Whether the C library is part of it.
    fn is_static(&self) -> bool {
        self.slots.symbols.is_empty()
    }

    /// What a call leads to.
    fn callee(&self, target: Target) -> Option<Callee<'a>> {
        match target {
            Target::Address(address) => Some(match self.stub(address) {
                Some(name) => Callee::Symbol(name),
                None => Callee::Address(address),
            }),
            Target::Slot(slot) => {
                let name = self.slots.symbols.get(&slot).copied();
                let address = self.slots.addresses.get(&slot).copied();
                let address = || address.or_else(|| self.mapped.constant_at(slot));
                name.map(Callee::Symbol)
                    .or_else(|| address().map(Callee::Address))
            }
        }
    }

    /// The symbol to which the jump at `address` leads, in the procedure linkage table.
    fn stub(&self, address: u64) -> Option<&'a [u8]> {
        const JUMPS: [&[u8]; 2] = [&[0xff, 0x25], &[0xf2, 0xff, 0x25]];
        const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
        let bytes = self.mapped.at(address)?;
        let start = if bytes.starts_with(&ENDBR64) { 4 } else { 0 };
        let bytes = &bytes[start..];
        let jump = JUMPS.iter().find(|jump| bytes.starts_with(jump))?;
        let displacement = u32_at(bytes, jump.len())? as i32;
        let len = start + jump.len() + size_of::<u32>();
        let slot = address.wrapping_add(len as u64);
        let slot = slot.wrapping_add_signed(displacement.into());
        self.slots.symbols.get(&slot).copied()
    }

    fn function(&self, address: u64) -> String {
        match self.names.get(&address) {
            Some(name) => String::from_utf8_lossy(name).into_owned(),
            None => format!("{address:#x}"),
        }
    }
}

/// What a call leads to.
enum Callee<'a> {
    /// A function in some file, by its name.
    Symbol(&'a [u8]),
    /// One in the same file.
    Address(u64),
}

/// What was found, each with the function that does it.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Makes a process on its way.
    pub(super) fork: Option<String>,
    /// Calls by number, on its way.
    pub(super) calls: BTreeMap<u64, String>,
    /// Could make a process.
    pub(super) has_fork: bool,
    /// Calls that are there.
    pub(super) present: BTreeSet<u64>,
    /// Not all of the code was looked at.
    pub(super) is_cut: bool,
}

/// Follows the first of the files.
pub(super) fn reach(files: &[File<'_>]) -> Reach {
    let mut walk = Walk {
        files,
        seen: HashSet::new(),
        pending: VecDeque::new(),
        reach: Reach::default(),
    };
    for file in files {
        walk.see_present(file);
    }
    if let Some(program) = files.first() {
        for address in roots(program) {
            walk.push(0, address);
        }
    }
    let mut bytes = 0;
    while let Some((index, address)) = walk.pending.pop_front() {
        if bytes > CODE_MAX_BYTES {
            walk.reach.is_cut = true;
            break;
        }
        bytes += walk.function(index, address);
    }
    walk.reach
}

/// Where a program's own code begins.
fn roots(program: &File<'_>) -> Vec<u64> {
    if program.is_go {
        let names = program.names.iter();
        let roots = names.filter(|(_, name)| go::is_root(name));
        let mut roots: Vec<u64> = roots.map(|(address, _)| *address).collect();
        roots.sort_unstable();
        return roots;
    }
    let mut level = vec![program.mapped.entry];
    for _ in 0..START_DEPTH {
        let sweeps: Vec<Sweep> = level
            .iter()
            .map(|&address| program.sweep(address))
            .collect();
        let calls = sweeps.iter().flat_map(|sweep| &sweep.calls);
        // `main` is what the beginning of the C library is given first.
        let main = calls
            .clone()
            .filter_map(|call| call.rdi)
            .find(|&address| program.mapped.is_code(address));
        if let Some(main) = main {
            let mut roots = vec![main];
            let sweep = program.sweep(main);
            if sweep.bytes <= SMALL_MAIN_BYTES {
                roots.extend(sweep.taken);
            }
            return roots;
        }
        level = calls
            .filter_map(|call| match call.target {
                Target::Address(address) => Some(address),
                Target::Slot(_) => None,
            })
            .take(START_WIDTH)
            .collect();
    }
    vec![program.mapped.entry]
}

struct Walk<'a, 'b> {
    files: &'b [File<'a>],
    seen: HashSet<(usize, u64)>,
    pending: VecDeque<(usize, u64)>,
    reach: Reach,
}

/// What one function does itself.
#[derive(Default)]
struct Doings {
    fork: bool,
    setsid: bool,
    /// OpenSSL's use of shared memory.
    openssl: bool,
    calls: Vec<u64>,
}

impl<'a> Walk<'a, '_> {
    fn push(&mut self, index: usize, address: u64) {
        if self.seen.insert((index, address)) {
            self.pending.push_back((index, address));
        }
    }

    /// Follows one function; how many bytes it has.
    fn function(&mut self, index: usize, address: u64) -> usize {
        let files = self.files;
        let file = &files[index];
        let sweep = file.sweep(address);
        let mut doings = Doings::default();
        for site in &sweep.sites {
            doings.see_site(site);
        }
        for call in &sweep.calls {
            self.call(index, call, &mut doings);
        }
        if doings.openssl {
            let is_shared_memory = |number: &u64| calls::name(*number).starts_with("shm");
            doings.calls.retain(|number| !is_shared_memory(number));
        }
        let place = || format!("{} in {}", file.function(address), file.path);
        // A program that leaves its terminal was told to: in a container it is not.
        if doings.fork && !doings.setsid && self.reach.fork.is_none() {
            self.reach.fork = Some(place());
        }
        for number in doings.calls {
            self.reach.present.insert(number);
            self.reach.calls.entry(number).or_insert_with(place);
        }
        sweep.bytes
    }

    fn call(&mut self, index: usize, call: &Call, doings: &mut Doings) {
        let file = &self.files[index];
        let name = match file.callee(call.target) {
            Some(Callee::Symbol(name)) => name,
            Some(Callee::Address(address)) => {
                let has_all = file.is_go || file.is_static();
                let name = file.names.get(&address).filter(|_| has_all);
                if !name.is_some_and(|name| doings.see_own(file, name, call)) {
                    self.push(index, address);
                }
                return;
            }
            None => return,
        };
        let found = (self.files.iter().enumerate())
            .find_map(|(index, file)| Some((index, *file.exports.get(name)?)));
        match found {
            Some((index, address)) => self.push(index, address),
            None => doings.see_function(name, call),
        }
    }

    /// Notes what a file could do, whoever calls it.
    fn see_present(&mut self, file: &File<'a>) {
        let reach = &mut self.reach;
        for name in file.slots.symbols.values() {
            reach.has_fork |= calls::makes_process(name) || calls::runs_command(name);
            reach.present.extend(calls::of_function(name));
        }
        if file.is_go {
            reach.has_fork |= file.names.values().any(|name| go::makes_process(name));
        }
        for (_, code) in file.mapped.code() {
            for (at, pair) in code.windows(2).enumerate() {
                if *pair == [0x0f, 0x05]
                    && let Some(number) =
                        number_before(&code[at.saturating_sub(NUMBER_DISTANCE)..at])
                {
                    reach.has_fork |= [SYS_FORK, SYS_VFORK].contains(&number);
                    reach.present.insert(number);
                }
            }
        }
    }
}

/// The number of the last `mov $number, %eax` in these bytes.
fn number_before(bytes: &[u8]) -> Option<u64> {
    let load = bytes.windows(5).rev().find(|load| load[0] == 0xb8)?;
    let number = u32::from_le_bytes([load[1], load[2], load[3], load[4]]).into();
    // Bytes that look like one by chance have no name.
    strace::name(number).map(|_| number)
}

impl Doings {
    fn see_site(&mut self, site: &Site) {
        match site.number {
            SYS_FORK | SYS_VFORK => self.fork = true,
            SYS_CLONE => {
                self.fork |= site.rdi.is_some_and(|flags| flags & CLONE_THREAD == 0);
            }
            SYS_SETSID => self.setsid = true,
            number => self.calls.push(number),
        }
    }

    /// A function of the C library.
    fn see_function(&mut self, name: &[u8], call: &Call) {
        if calls::makes_process(name) {
            self.fork = true;
        } else if name == b"setsid" {
            self.setsid = true;
        } else if name == b"syscall" {
            if let Some(number) = call.rdi {
                let site = Site { number, rdi: None };
                self.see_site(&site);
            }
        } else if !calls::runs_command(name) {
            self.openssl |= name == b"shmget" && call.rdi == Some(OPENSSL_SHM_KEY);
            self.calls.extend(calls::of_function(name));
        }
    }

    /// A function of the file itself, which has all that it needs: whether its
    /// name alone says what it does.
    fn see_own(&mut self, file: &File<'_>, name: &[u8], call: &Call) -> bool {
        if !file.is_go {
            let is_known = calls::makes_process(name)
                || calls::runs_command(name)
                || [b"setsid".as_slice(), b"syscall"].contains(&name);
            if is_known {
                self.see_function(name, call);
            }
            return is_known;
        }
        if go::makes_process(name) {
            self.fork = true;
            return true;
        }
        if go::takes_number(name) {
            if let Some(number) = call.rax {
                self.see_site(&Site { number, rdi: None });
            }
            return true;
        }
        false
    }
}
