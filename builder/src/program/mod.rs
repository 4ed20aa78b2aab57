//! What a program needs before its first instruction: the files that the
//! kernel and the dynamic linker will open, found without running anything.
//!
//! `host:` images take these files along; for any image they are the hot files,
//! whose data goes to the front of the root file system.
//!
//! | module | what it owns |
//! |---|---|
//! | [`elf`] | interpreter, needed libraries and search paths of one ELF file |
//! | [`closure`] | all libraries, as the dynamic linker searches them |
//! | [`ldcache`] | `/etc/ld.so.cache` |
//! | [`tree_files`] | an image's tree as the place where they are |

pub(crate) mod closure;
mod elf;
mod ldcache;
pub(crate) mod tree_files;

use elf::Linkage;

/// Where programs are looked up when the image does not say.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What Linux reads of a script's first line (`BINPRM_BUF_SIZE`).
const SCRIPT_LINE_MAX_BYTES: usize = 256;
/// Scripts that name scripts as their interpreter, as in Linux.
const SCRIPT_DEPTH_MAX: usize = 5;

/// The files among which a program is looked for. Paths are absolute.
pub(crate) trait Files {
    /// Whether an executable regular file is there.
    fn is_executable(&self, path: &[u8]) -> bool;
    /// Fills `buffer` from `offset`; `None` where there is no such range.
    fn read_exact_at(&self, path: &[u8], buffer: &mut [u8], offset: u64) -> Option<()>;
    /// Bytes of the file; `None` where no regular file is there.
    fn len_bytes(&self, path: &[u8]) -> Option<u64>;
}

/// Looks a program up as `execvpe` does: by `search` (the value of `PATH`)
/// unless it has a slash.
pub(crate) fn find(
    files: &dyn Files,
    name: &[u8],
    search: &[u8],
    directory: &[u8],
) -> Option<Vec<u8>> {
    if name.contains(&b'/') {
        let path = join(directory, name);
        return files.is_executable(&path).then_some(path);
    }
    search
        .split(|&byte| byte == b':')
        .map(|entry| join(&join(directory, entry), name))
        .find(|path| files.is_executable(path))
}

/// The program itself, then its chain of `#!` interpreters. `/usr/bin/env NAME`
/// stands for two: `env` and what it will look up.
pub(crate) fn script_chain(files: &dyn Files, program: &[u8], search: &[u8]) -> Vec<Vec<u8>> {
    let mut chain = vec![program.to_vec()];
    for _ in 0..SCRIPT_DEPTH_MAX {
        let Some(path) = chain.last() else { break };
        let Some((interpreter, argument)) = script_line(files, path) else {
            break;
        };
        let is_env = interpreter.ends_with(b"/env");
        chain.push(interpreter);
        if is_env && let Some(found) = find(files, &argument, search, b"/") {
            chain.push(found);
        }
    }
    chain
}

/// Interpreter and the first word after it, of a script's first line.
fn script_line(files: &dyn Files, path: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let len = files.len_bytes(path)?.min(SCRIPT_LINE_MAX_BYTES as u64) as usize;
    let mut start = vec![0; len];
    files.read_exact_at(path, &mut start, 0)?;
    let line = start
        .strip_prefix(b"#!")?
        .split(|&byte| byte == b'\n')
        .next()?;
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    let interpreter = words.next()?.to_vec();
    // `env -S prog`: options of env come before the name.
    let argument = words
        .find(|word| !word.starts_with(b"-"))
        .unwrap_or_default()
        .to_vec();
    interpreter
        .starts_with(b"/")
        .then_some((interpreter, argument))
}

/// The value of a variable of an image.
pub(crate) fn variable<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    let value = |entry: &'a String| entry.strip_prefix(name)?.strip_prefix('=');
    env.iter().find_map(value)
}

/// `name` below `directory`, unless it is absolute.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if name.starts_with(b"/") {
        return name.to_vec();
    }
    let mut path = directory.strip_suffix(b"/").unwrap_or(directory).to_vec();
    path.push(b'/');
    path.extend_from_slice(name);
    path
}
