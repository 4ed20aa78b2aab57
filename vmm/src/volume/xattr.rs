//! Messages about extended attributes. Their values are in the data range.

use std::sync::Arc;

use rustix::fs::{FileType, XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;

use super::node::Node;
use super::server::{Message, Server, path_of};

/// Largest value and largest list of names, as Linux has them.
const BYTES_MAX: usize = 64 << 10;

impl Server {
    /// A path to the message's node, and the node, which keeps it.
    fn path_for_xattrs(&self, message: &Message<'_>) -> Result<(Arc<Node>, String), Errno> {
        let node = self.node(message.header.node)?;
        match node.kind {
            FileType::RegularFile | FileType::Directory => {
                let path = path_of(&node.fd);
                Ok((node, path))
            }
            // A symlink's own, and those of devices: nobody but the host's root has any.
            _ => Err(Errno::OPNOTSUPP),
        }
    }

    pub(super) fn get_xattr(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let size = message.u32()?;
        message.u32()?;
        let name = message.text()?;
        let (_node, path) = self.path_for_xattrs(message)?;
        let mut value = vec![0; BYTES_MAX];
        let len = getxattr(&path, name, value.as_mut_slice())?;
        answer(message, value.get(..len).unwrap_or_default(), size, out)
    }

    pub(super) fn list_xattrs(
        &self,
        message: &mut Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let size = message.u32()?;
        message.u32()?;
        let (_node, path) = self.path_for_xattrs(message)?;
        let mut names = vec![0; BYTES_MAX];
        let len = listxattr(&path, names.as_mut_slice())?;
        answer(message, names.get(..len).unwrap_or_default(), size, out)
    }

    pub(super) fn set_xattr(&self, message: &mut Message<'_>) -> Result<(), Errno> {
        let (size, flags) = (message.u32()?, message.u32()?);
        let name = message.text()?;
        if size as usize > BYTES_MAX {
            return Err(Errno::TOOBIG);
        }
        let mut value = vec![0; size as usize];
        message.data(size)?.copy_to(value.as_mut_slice());
        let (_node, path) = self.path_for_xattrs(message)?;
        setxattr(&path, name, &value, XattrFlags::from_bits_retain(flags))
    }

    pub(super) fn remove_xattr(&self, message: &mut Message<'_>) -> Result<(), Errno> {
        let name = message.text()?;
        let (_node, path) = self.path_for_xattrs(message)?;
        removexattr(path, name)
    }
}

/// Puts bytes into the data range and their number into the reply; size 0 asks for
/// the number alone.
fn answer(message: &Message<'_>, bytes: &[u8], size: u32, out: &mut Vec<u8>) -> Result<(), Errno> {
    if size > 0 {
        if bytes.len() > size as usize {
            return Err(Errno::RANGE);
        }
        message.data(size)?.copy_from(bytes);
    }
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    Ok(())
}
