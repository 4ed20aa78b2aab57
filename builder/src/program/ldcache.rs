//! `/etc/ld.so.cache` in the format of glibc 2.2 and later
//! (`struct cache_file_new`): which path a library name stands for.

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER_BYTES: usize = 48;
const ENTRY_BYTES: usize = 24;
/// `FLAG_X8664_LIB64 | FLAG_ELF_LIBC6`.
const FLAGS_X86_64: u32 = 0x303;

/// Paths for the library `name`, the cache's order; those for a special
/// hardware level are left out.
pub(super) fn lookup(cache: &[u8], name: &[u8]) -> Vec<Vec<u8>> {
    if !cache.starts_with(MAGIC) {
        return Vec::new();
    }
    let Some(count) = u32_at(cache, MAGIC.len()) else {
        return Vec::new();
    };
    let entries = cache
        .get(HEADER_BYTES..)
        .unwrap_or_default()
        .chunks_exact(ENTRY_BYTES);
    entries
        .take(count as usize)
        .filter_map(|entry| {
            let is_plain = u32_at(entry, 0)? == FLAGS_X86_64 && entry[16..24] == [0; 8];
            let matches = is_plain && string_at(cache, u32_at(entry, 4)?)? == name;
            matches.then(|| string_at(cache, u32_at(entry, 8)?).map(<[u8]>::to_vec))?
        })
        .collect()
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(offset..offset + 4)?.try_into().ok()?,
    ))
}

fn string_at(bytes: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = bytes.get(offset as usize..)?;
    Some(&rest[..rest.iter().position(|&byte| byte == 0)?])
}

#[cfg(test)]
mod tests {
    use super::lookup;

    #[test]
    fn finds_plain_entries_and_survives_garbage() {
        let mut cache = b"glibc-ld.so.cache1.1".to_vec();
        cache.extend_from_slice(&2u32.to_le_bytes());
        cache.resize(48, 0);
        let strings = 48 + 2 * 24;
        for hwcap in [1u64, 0] {
            for word in [0x303, strings, strings + 8, 0] {
                cache.extend_from_slice(&(word as u32).to_le_bytes());
            }
            cache.extend_from_slice(&hwcap.to_le_bytes());
        }
        cache.extend_from_slice(b"liba.so\0/lib/liba.so\0");
        assert_eq!(lookup(&cache, b"liba.so"), [b"/lib/liba.so".to_vec()]);
        assert!(lookup(&cache, b"libb.so").is_empty());
        for end in 0..cache.len() {
            lookup(&cache[..end], b"liba.so");
        }
    }
}
