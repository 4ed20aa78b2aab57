//! Programs of this machine as unikernel files, built once for all trials of a
//! runtime: packing python's or the JDK's files for each would take longer
//! than the trials themselves.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::common::{Unikiln, cache_dir};

/// Where the programs of the trials lie, here and in the guests.
pub(crate) const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runtimes");

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Image {
    name: &'static str,
    program: &'static str,
    includes: &'static [&'static str],
    file: OnceLock<PathBuf>,
}

impl Image {
    /// `program` with `includes`, and the folder `name` of [`PROGRAMS`].
    pub(crate) const fn new(
        name: &'static str,
        program: &'static str,
        includes: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            program,
            includes,
            file: OnceLock::new(),
        }
    }

    /// The path of the program, here and in the guest.
    pub(crate) fn program(&self) -> &'static str {
        self.program
    }

    /// The unikernel file.
    pub(crate) fn file(&self) -> &Path {
        self.file.get_or_init(|| {
            let folder = format!("{PROGRAMS}/{}", self.name);
            let folder = Path::new(&folder).exists().then_some(folder);
            let includes = self.includes.iter().copied().chain(folder.as_deref());
            build(self.name, self.program, includes)
        })
    }
}

/// Builds `NAME.uk` of a program and other files of this machine.
pub(crate) fn build<'a>(
    name: &str,
    program: &str,
    includes: impl IntoIterator<Item = &'a str>,
) -> PathBuf {
    let file = cache_dir("runtimes").join(format!("{name}.uk"));
    let image = format!("host:{program}");
    let mut command = Unikiln::command(["build", &image, "-o"]).options([&file]);
    for include in includes {
        command = command.options(["--include", include]);
    }
    command.output().assert_code(0);
    file
}
