//! `/proc/cpuinfo`: one block for each processor, as Linux words it.

use alloc::vec::Vec;

use super::item::{Numbers, out};
use super::processor::{caches, processor};
use crate::errno::Errno;
use crate::{boot, sched};

/// `/proc/cpuinfo`.
pub(super) fn cpuinfo(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let processor = processor();
    let flags = processor.flags.join(" ");
    let khz = boot::info().map_or(0, |info| info.tsc_khz);
    let count = sched::cpu_count();
    let largest = caches().iter().map(|cache| cache.bytes()).max();
    for number in 0..count {
        out!(
            content,
            "processor\t: {number}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\nstepping\t: {}\n",
            processor.vendor,
            processor.family,
            processor.model,
            processor.model_name,
            processor.stepping
        );
        out!(content, "cpu MHz\t\t: {}.{:03}\n", khz / 1000, khz % 1000);
        if let Some(bytes) = largest {
            out!(content, "cache size\t: {} KB\n", bytes / 1024);
        }
        out!(
            content,
            "physical id\t: 0\nsiblings\t: {count}\ncore id\t\t: {number}\ncpu cores\t: {count}\napicid\t\t: {number}\ninitial apicid\t: {number}\n"
        );
        out!(
            content,
            "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: yes\nflags\t\t: {flags}\nbugs\t\t:\n",
            processor.level
        );
        out!(content, "bogomips\t: {}.{:02}\n", khz / 500, khz / 5 % 100);
        out!(
            content,
            "clflush size\t: {0}\ncache_alignment\t: {0}\n",
            processor.cache_line_bytes
        );
        out!(
            content,
            "address sizes\t: {} bits physical, {} bits virtual\npower management:\n\n",
            processor.physical_bits,
            processor.virtual_bits
        );
    }
    Ok(())
}
