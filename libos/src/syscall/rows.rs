// The rows of the system-call table, by Linux number. Included by `table.rs`.
table! {
    { 9 mmap 6 super::memory::mmap, Partial("no huge pages; shared file mappings of memory files only") }
    { 10 mprotect 3 super::memory::mprotect, Full }
    { 11 munmap 2 super::memory::munmap, Full }
    { 12 brk 1 super::memory::brk, Full }
    { 25 mremap 5 super::memory::mremap, Partial("no MREMAP_DONTUNMAP") }
    { 26 msync 3 super::memory::msync, Full }
    { 27 mincore 3 super::memory::mincore, Full }
    { 28 madvise 3 super::memory::madvise, Partial("FREE acts at once; hints are accepted") }
    { 59 execve 3 super::process::execve, Full }
    { 60 exit 1 super::process::exit, Full }
    { 149 mlock 2 super::memory::mlock, Full }
    { 150 munlock 2 super::memory::munlock, Full }
    { 151 mlockall 1 super::memory::mlockall, Full }
    { 152 munlockall 0 super::memory::munlockall, Full }
    { 231 exit_group 1 super::process::exit_group, Full }
    { 325 mlock2 3 super::memory::mlock, Full }
    { 329 pkey_mprotect 4 super::memory::pkey_mprotect, Partial("no protection keys") }
}
