//! Files that tell the program who and where it is, put over those of the image as
//! every container gets them: `/etc/resolv.conf`, `/etc/hosts`, `/etc/hostname`.

use linux_raw_sys::general::{O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY};

use super::access::Caller;
use super::context::resolve;
use super::open;
use super::tree::{self, NewFile};
use crate::errno::Errno;

/// The directory of all of them.
const DIRECTORY: &[u8] = b"/etc";

/// Writes each text that is not empty, as the current process.
///
/// # Errors
/// What making the files came to.
pub fn put(files: &[(&[u8], &[u8])]) -> Result<(), Errno> {
    let caller = Caller::current();
    for (path, text) in files.iter().filter(|(_, text)| !text.is_empty()) {
        let file = match create(path) {
            Err(Errno::ENOENT) => {
                let place = resolve(&caller, None, DIRECTORY, true)?;
                tree::create(&caller, &place, &NewFile::Directory, 0o755)?;
                create(path)?
            }
            Err(Errno::ELOOP) => {
                // A symlink, such as to a resolver that runs elsewhere.
                tree::unlink(&caller, resolve(&caller, None, path, false)?)?;
                create(path)?
            }
            outcome => outcome?,
        };
        file.write_at(0, text)?;
    }
    Ok(())
}

fn create(path: &[u8]) -> Result<alloc::sync::Arc<super::OpenFile>, Errno> {
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW;
    open(path, flags, 0o644)
}
