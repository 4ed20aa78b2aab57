//! Extended attributes of files in a volume, and the file system behind them.

use alloc::vec::Vec;

use unikiln_abi::volume::opcode;

use super::exchange::{Buffer, Question};
use super::inode::VolumeInode;
use crate::errno::Errno;
use crate::fs::node::Xattr;

/// Largest value of an extended attribute.
const XATTR_MAX_BYTES: usize = 64 << 10;

impl VolumeInode {
    /// One extended attribute.
    pub fn xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.get_xattrs(opcode::GETXATTR, &[name, &[0]])
    }

    /// Extended attributes: full names, without values.
    pub fn xattrs(&self) -> Result<Vec<Xattr>, Errno> {
        let names = match self.get_xattrs(opcode::LISTXATTR, &[]) {
            Err(Errno::EOPNOTSUPP) => return Ok(Vec::new()),
            other => other?,
        };
        let names = names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty());
        Ok(names.map(|name| (name.to_vec(), Vec::new())).collect())
    }

    fn get_xattrs(&self, opcode: u32, parts: &[&[u8]]) -> Result<Vec<u8>, Errno> {
        let buffer = Buffer::for_data(XATTR_MAX_BYTES)?;
        let size = (XATTR_MAX_BYTES as u32).to_le_bytes();
        let mut fields: Vec<&[u8]> = alloc::vec![&size, &[0; 4]];
        fields.extend_from_slice(parts);
        let question = Question {
            opcode,
            node: self.node,
            parts: &fields,
        };
        let got = self.volume.ask(&question, buffer.gpa(), |it| it.u32())?;
        let bytes = buffer.bytes().get(..got as usize).ok_or(Errno::EIO)?;
        Ok(bytes.to_vec())
    }

    /// Sets an extended attribute; `flags` are `XATTR_*`.
    pub fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        let mut buffer = Buffer::for_data(value.len())?;
        let place = buffer.bytes_mut().get_mut(..value.len());
        place.ok_or(Errno::E2BIG)?.copy_from_slice(value);
        let question = Question {
            opcode: opcode::SETXATTR,
            node: self.node,
            parts: &[
                &(value.len() as u32).to_le_bytes(),
                &flags.to_le_bytes(),
                name,
                &[0],
            ],
        };
        self.volume.ask(&question, buffer.gpa(), |_| Some(()))?;
        self.changed();
        super::watch::look();
        Ok(())
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        (self.volume).tell(opcode::REMOVEXATTR, self.node, &[name, &[0]])?;
        self.changed();
        super::watch::look();
        Ok(())
    }

    /// Blocks and files of the host's file system: `blocks, free, available, files,
    /// free`, bytes of a block.
    pub fn statfs(&self) -> Result<([u64; 5], u64), Errno> {
        self.ask(opcode::STATFS, &[], |fields| {
            let mut counts = [0; 5];
            for count in &mut counts {
                *count = fields.u64()?;
            }
            let block = fields.u32()?;
            fields.u32()?;
            let fragment = fields.u32()?;
            Some((
                counts,
                u64::from(if fragment > 0 { fragment } else { block }),
            ))
        })
    }
}
