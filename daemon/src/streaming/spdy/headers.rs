//! Header blocks of SPDY/3: names and values, compressed by zlib with a dictionary that both
//! sides know; one stream of compression for all blocks of a direction.

use std::collections::HashMap;
use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::invalid;

/// Of one block, inflated.
const BLOCK_MAX_BYTES: usize = 64 << 10;
const STEP_BYTES: usize = 4 << 10;

/// Section 2.6.10.1 of the draft: words with their lengths before them, and a tail without.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding \
    accept-language accept-ranges age allow authorization cache-control connection content-base \
    content-encoding content-language content-length content-location content-md5 content-range \
    content-type date etag expect expires from host if-match if-modified-since if-none-match \
    if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate \
    proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url \
    public set-cookie keep-alive origin";
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417\
    502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 \
    Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service \
    UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, \
    Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,\
    application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,\
    sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in WORDS.split(' ') {
        let word = word.replace('_', " ");
        bytes.extend(u32::try_from(word.len()).unwrap_or_default().to_be_bytes());
        bytes.extend(word.as_bytes());
    }
    bytes.extend(TAIL.as_bytes());
    bytes
}

/// Reads the blocks of one direction, in their order.
pub(super) struct Decompressor {
    inflate: Decompress,
}

impl Decompressor {
    pub(super) fn new() -> Self {
        Self {
            inflate: Decompress::new(true),
        }
    }

    /// Names, which are lower case, with their values.
    pub(super) fn read(&mut self, block: &[u8]) -> io::Result<HashMap<String, String>> {
        parse(&self.inflate(block)?)
    }

    fn inflate(&mut self, mut block: &[u8]) -> io::Result<Vec<u8>> {
        let mut inflated = Vec::new();
        let mut step = vec![0; STEP_BYTES];
        loop {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let result = self
                .inflate
                .decompress(block, &mut step, FlushDecompress::Sync);
            let (read, written) = (
                self.inflate.total_in() - read,
                self.inflate.total_out() - written,
            );
            let (read, written) = (usize::try_from(read), usize::try_from(written));
            let read = read.map_err(|_| invalid("too much was read"))?;
            let written = written.map_err(|_| invalid("too much was written"))?;
            block = block.get(read..).unwrap_or_default();
            inflated.extend(step.get(..written).unwrap_or_default());
            if inflated.len() > BLOCK_MAX_BYTES {
                return Err(invalid("headers are too long"));
            }
            match result {
                Err(error) if error.needs_dictionary().is_some() => {
                    let set = self.inflate.set_dictionary(&dictionary());
                    set.map_err(|_| invalid("headers use another dictionary"))?;
                }
                Err(_) => return Err(invalid("headers are not compressed as they should be")),
                Ok(Status::StreamEnd) => {
                    return Err(invalid("the compression of headers was ended"));
                }
                // All that came is out.
                Ok(_) if block.is_empty() && written < STEP_BYTES => return Ok(inflated),
                Ok(_) if read == 0 && written == 0 => {
                    return Err(invalid("headers cannot be inflated"));
                }
                Ok(_) => {}
            }
        }
    }
}

fn parse(mut bytes: &[u8]) -> io::Result<HashMap<String, String>> {
    let bad = || invalid("headers are cut short or no text");
    let mut headers = HashMap::new();
    let count = take_length(&mut bytes).ok_or_else(bad)?;
    for _ in 0..count {
        let name = take_text(&mut bytes).ok_or_else(bad)?;
        let value = take_text(&mut bytes).ok_or_else(bad)?;
        headers.insert(name.to_ascii_lowercase(), value);
    }
    Ok(headers)
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    usize::try_from(u32::from_be_bytes(*length)).ok()
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = take_length(bytes)?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

/// Writes the blocks of one direction, in their order.
pub(super) struct Compressor {
    deflate: Compress,
    has_dictionary: bool,
}

impl Compressor {
    pub(super) fn new() -> Self {
        Self {
            deflate: Compress::new(Compression::fast(), true),
            has_dictionary: false,
        }
    }

    pub(super) fn write(&mut self, headers: &[(&str, &str)]) -> io::Result<Vec<u8>> {
        let failed = |_| invalid("headers cannot be compressed");
        if !self.has_dictionary {
            self.deflate.set_dictionary(&dictionary()).map_err(failed)?;
            self.has_dictionary = true;
        }
        let mut plain = length(headers.len())?.to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend(length(text.len())?);
            plain.extend(text.as_bytes());
        }
        // Room for what does not compress, and for the flush.
        let mut block = Vec::with_capacity(plain.len() + 128);
        self.deflate
            .compress_vec(&plain, &mut block, FlushCompress::Sync)
            .map_err(failed)?;
        Ok(block)
    }
}

fn length(len: usize) -> io::Result<[u8; 4]> {
    u32::try_from(len)
        .map(u32::to_be_bytes)
        .map_err(|_| invalid("a header is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_that_of_the_draft() {
        let dictionary = dictionary();
        assert_eq!(dictionary.len(), 1423);
        let (mut low, mut high) = (1_u32, 0_u32);
        for byte in &dictionary {
            low = (low + u32::from(*byte)) % 65521;
            high = (high + low) % 65521;
        }
        // The Adler-32 that every client sends with its first block.
        assert_eq!(high << 16 | low, 0xe3c6_a7c2);
    }

    #[test]
    fn blocks_of_one_direction_depend_on_each_other() {
        let (mut write, mut read) = (Compressor::new(), Decompressor::new());
        let headers = [("streamtype", "data"), ("port", "8080"), ("requestid", "0")];
        let first = write.write(&headers).unwrap();
        let second = write.write(&headers).unwrap();
        assert!(second.len() < first.len());
        for block in [&first, &second] {
            let found = read.read(block).unwrap();
            assert_eq!((found.len(), found["port"].as_str()), (3, "8080"));
        }
        assert!(read.read(&write.write(&[]).unwrap()).unwrap().is_empty());
        assert!(Decompressor::new().read(&second).is_err());
    }

    #[test]
    fn what_is_no_block_is_an_error() {
        assert!(Decompressor::new().read(b"plain text").is_err());
        assert!(Decompressor::new().read(&[]).is_err());
        let large = "x".repeat(BLOCK_MAX_BYTES);
        let block = Compressor::new().write(&[("large", &large[..64])]).unwrap();
        assert!(Decompressor::new().read(&block[..block.len() - 8]).is_err());
        for bytes in [
            &[0, 0, 0, 1][..],
            &[0, 0, 0, 1, 255, 255, 255, 255],
            &[0, 0, 0, 1, 0, 0, 0, 1, 255, 0, 0, 0, 0],
        ] {
            assert!(parse(bytes).is_err());
        }
        // A bomb: a block that is small, and large once it is inflated.
        let mut deflate = Compress::new(Compression::best(), true);
        let mut bomb = Vec::with_capacity(1 << 16);
        deflate
            .compress_vec(&vec![0; 8 << 20], &mut bomb, FlushCompress::Sync)
            .unwrap();
        assert!(
            Decompressor::new()
                .read(&bomb)
                .unwrap_err()
                .to_string()
                .contains("too long")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_headers_or_an_error(
            plain in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
            compressed in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
        ) {
            let _ = parse(&plain);
            let _ = Decompressor::new().read(&compressed);
            // With the head of a stream of compression, so that its insides are reached.
            let mut block = Compressor::new().write(&[]).unwrap();
            block.truncate(6);
            block.extend(compressed);
            let _ = Decompressor::new().read(&block);
        }
    }
}
