//! Reads all of an image, for tests: whatever its bytes are, this ends.

use super::Image;
use crate::fs::attributes::FileType;

/// Reads everything that can be reached, down to a limit.
pub(in crate::fs) fn read_everything(image: &Image) {
    let mut queue = alloc::vec![image.root_nid()];
    let mut budget = 300;
    while let Some(nid) = queue.pop() {
        budget -= 1;
        if budget == 0 {
            return;
        }
        let Ok(inode) = image.inode(nid) else {
            continue;
        };
        let _ = inode.xattrs(image);
        let _ = inode.whole_page_gpa(image, 0);
        let _ = inode.data(image, 0, inode.size.min(1 << 16));
        let _ = inode.data(image, inode.size.saturating_sub(5), 100);
        let _ = inode.link_target(image);
        if FileType::from_mode(u32::from(inode.mode)) == FileType::Directory {
            let mut entries = 0;
            let _ = inode.list(image, |entry| {
                entries += 1;
                queue.push(entry.nid);
                entries < 100
            });
            for name in [&b"a"[..], b"..", b"zzz", b"", &[255; 255]] {
                let _ = inode.find(image, name);
            }
        }
    }
}
