//! All files that the dynamic linker opens to start a program, searched in its
//! own order (ld.so(8)): RPATH of the file and its loaders, LD_LIBRARY_PATH,
//! RUNPATH, the cache, the standard directories. musl's loader differs in its
//! standard directories, which a file may name, and in being the C library itself.

use std::collections::BTreeSet;

use super::{Files, Linkage, join, ldcache};

/// Where glibc looks last, Debian's multiarch directories first.
const GLIBC_DIRECTORIES: [&[u8]; 6] = [
    b"/lib/x86_64-linux-gnu",
    b"/usr/lib/x86_64-linux-gnu",
    b"/lib64",
    b"/usr/lib64",
    b"/lib",
    b"/usr/lib",
];
/// Where musl looks last.
const MUSL_DIRECTORIES: [&[u8]; 5] = [
    b"/lib",
    b"/usr/local/lib",
    b"/usr/lib",
    b"/lib/x86_64-linux-musl",
    b"/usr/lib/x86_64-linux-musl",
];
/// Names that musl's loader answers itself.
const MUSL_OWN: [&[u8]; 7] = [
    b"libc.",
    b"libpthread.",
    b"librt.",
    b"libm.",
    b"libdl.",
    b"libutil.",
    b"libxnet.",
];
/// glibc's list of libraries.
pub(crate) const LD_CACHE: &[u8] = b"/etc/ld.so.cache";
const LD_CACHE_MAX_BYTES: u64 = 64 << 20;
/// Where musl looks last, if it is there.
const MUSL_PATH_FILE: &[u8] = b"/etc/ld-musl-x86_64.path";
const MUSL_PATH_MAX_BYTES: u64 = 64 << 10;

/// What a program needs.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    /// The program, its interpreter and libraries, as the loader will open them.
    pub(crate) paths: Vec<Vec<u8>>,
    /// Whether glibc's loader is among them.
    pub(crate) uses_ld_cache: bool,
    /// The dynamic linker that the program names.
    pub(crate) interpreter: Option<Vec<u8>>,
    /// Whether it is musl's.
    pub(crate) is_musl: bool,
    /// Libraries that were not found, with the file that needs them.
    pub(crate) missing: Vec<(Vec<u8>, Vec<u8>)>,
    /// Memory of all writable segments.
    pub(crate) writable_bytes: u64,
}

/// One loaded file and the RPATHs that hold for what it loads.
struct Loaded {
    path: Vec<u8>,
    linkage: Linkage,
    rpaths: Vec<Vec<u8>>,
}

/// Finds the closure of the ELF file at `program`; `None` where it is none.
/// `library_path` is the value of LD_LIBRARY_PATH.
pub(crate) fn closure(files: &dyn Files, program: &[u8], library_path: &[u8]) -> Option<Closure> {
    let linkage = Linkage::read(files, program)?;
    let mut search = Search {
        files,
        library_path,
        is_musl: false,
        musl_directories: Vec::new(),
        cache: None,
        closure: Closure::default(),
    };
    let interpreter = linkage.interpreter.clone();
    search.is_musl = interpreter
        .as_ref()
        .is_some_and(|path| contains(path, b"ld-musl"));
    if search.is_musl {
        search.musl_directories = musl_directories(files);
    }
    search.closure.interpreter.clone_from(&interpreter);
    search.closure.is_musl = search.is_musl;
    search.add(program.to_vec(), &linkage);
    let mut seen = BTreeSet::new();
    if let Some(path) = interpreter {
        search.closure.uses_ld_cache = !search.is_musl;
        match Linkage::read(files, &path) {
            Some(linkage) => search.add(path.clone(), &linkage),
            None => search
                .closure
                .missing
                .push((path.clone(), program.to_vec())),
        }
        // The C library names the loader as needed; it is there already.
        seen.extend(path.rsplit(|&byte| byte == b'/').next().map(<[u8]>::to_vec));
    } else {
        // A library by itself, which some glibc program will load.
        search.closure.uses_ld_cache = !linkage.needed.is_empty();
    }

    let rpaths = search.rpaths(program, &linkage, &[]);
    let mut pending = vec![Loaded {
        path: program.to_vec(),
        linkage,
        rpaths,
    }];
    let mut next = 0;
    while next < pending.len() {
        for name in std::mem::take(&mut pending[next].linkage.needed) {
            let is_musl_own = search.is_musl && MUSL_OWN.iter().any(|own| name.starts_with(own));
            if is_musl_own || !seen.insert(name.clone()) {
                continue;
            }
            let by = &pending[next];
            match search.find(&name, by) {
                Some((path, linkage)) => {
                    search.add(path.clone(), &linkage);
                    let rpaths = search.rpaths(&path, &linkage, &by.rpaths);
                    pending.push(Loaded {
                        path,
                        linkage,
                        rpaths,
                    });
                }
                None => search.closure.missing.push((name, by.path.clone())),
            }
        }
        next += 1;
    }
    Some(search.closure)
}

struct Search<'a> {
    files: &'a dyn Files,
    library_path: &'a [u8],
    is_musl: bool,
    musl_directories: Vec<Vec<u8>>,
    cache: Option<Vec<u8>>,
    closure: Closure,
}

impl Search<'_> {
    fn add(&mut self, path: Vec<u8>, linkage: &Linkage) {
        self.closure.writable_bytes = self
            .closure
            .writable_bytes
            .saturating_add(linkage.writable_bytes);
        self.closure.paths.push(path);
    }

    /// RPATHs that hold for what the file loads: its own, then its loaders'.
    fn rpaths(&self, path: &[u8], linkage: &Linkage, loaders: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let own = if linkage.runpath.is_empty() {
            linkage.rpath.as_slice()
        } else {
            &[]
        };
        own.iter()
            .map(|entry| expand(entry, path))
            .chain(loaders.iter().cloned())
            .collect()
    }

    fn find(&mut self, name: &[u8], by: &Loaded) -> Option<(Vec<u8>, Linkage)> {
        if name.contains(&b'/') {
            return self.open(expand(name, &by.path));
        }
        let rpaths = if by.linkage.runpath.is_empty() {
            by.rpaths.as_slice()
        } else {
            &[]
        };
        let runpaths = by
            .linkage
            .runpath
            .iter()
            .map(|entry| expand(entry, &by.path));
        let separator = |byte: &u8| *byte == b':' || *byte == b';';
        let variable = (self.library_path.split(separator))
            .filter(|entry| !entry.is_empty())
            .map(|entry| expand(entry, &by.path));
        let mut candidates: Vec<_> = rpaths
            .iter()
            .cloned()
            .chain(variable)
            .chain(runpaths)
            .map(|entry| join(&entry, name))
            .collect();
        if self.is_musl {
            let directories = self.musl_directories.iter();
            candidates.extend(directories.map(|directory| join(directory, name)));
        } else {
            candidates.extend(ldcache::lookup(self.cache(), name));
            candidates.extend(
                GLIBC_DIRECTORIES
                    .iter()
                    .map(|directory| join(directory, name)),
            );
        }
        candidates.into_iter().find_map(|path| self.open(path))
    }

    /// A file of another kind under the right name is passed over, as ld.so does.
    fn open(&self, path: Vec<u8>) -> Option<(Vec<u8>, Linkage)> {
        Linkage::read(self.files, &path).map(|linkage| (path, linkage))
    }

    fn cache(&mut self) -> &[u8] {
        let files = self.files;
        self.cache
            .get_or_insert_with(|| read(files, LD_CACHE, LD_CACHE_MAX_BYTES).unwrap_or_default())
    }
}

/// A whole file of at most `limit_bytes`.
fn read(files: &dyn Files, path: &[u8], limit_bytes: u64) -> Option<Vec<u8>> {
    let len = files.len_bytes(path).filter(|&len| len <= limit_bytes)?;
    let mut bytes = vec![0; len as usize];
    files.read_exact_at(path, &mut bytes, 0)?;
    Some(bytes)
}

/// Where musl looks last: what its file says, else its own list.
fn musl_directories(files: &dyn Files) -> Vec<Vec<u8>> {
    let Some(text) = read(files, MUSL_PATH_FILE, MUSL_PATH_MAX_BYTES) else {
        return MUSL_DIRECTORIES.map(<[u8]>::to_vec).to_vec();
    };
    text.split(|byte| *byte == b':' || *byte == b'\n')
        .filter(|entry| !entry.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

/// Replaces `$ORIGIN` by the directory of the file at `path`.
fn expand(entry: &[u8], path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    let origin = &path[..end];
    let mut expanded = Vec::new();
    let mut rest = entry;
    while let Some(&byte) = rest.first() {
        let after = rest
            .strip_prefix(b"$ORIGIN")
            .or_else(|| rest.strip_prefix(b"${ORIGIN}"));
        if let Some(after) = after {
            expanded.extend_from_slice(origin);
            rest = after;
        } else {
            expanded.push(byte);
            rest = &rest[1..];
        }
    }
    expanded
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
