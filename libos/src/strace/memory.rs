//! What the program's pointers point at, read so that nothing faults: an
//! address that cannot be read is shown as a number.

use super::number;
use super::output::Output;
use crate::mm::user;

/// Elements of a list that are shown.
pub const LIST_MAX: u64 = 32;

/// Bytes of a structure in program memory.
pub struct Raw<const N: usize>([u8; N]);

impl<const N: usize> Raw<N> {
    /// Copies it; none where it cannot be read, as at address 0.
    pub fn read(address: u64) -> Option<Self> {
        let mut bytes = [0; N];
        fetch(address, &mut bytes).then_some(Raw(bytes))
    }

    /// The bytes from `at` on.
    pub fn bytes(&self, at: usize) -> &[u8] {
        self.0.get(at..).unwrap_or_default()
    }

    fn word<const W: usize>(&self, at: usize) -> [u8; W] {
        let mut word = [0; W];
        for (to, from) in word.iter_mut().zip(self.bytes(at)) {
            *to = *from;
        }
        word
    }

    /// A field of 16 bits.
    pub fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.word(at))
    }
    /// A field of 32 bits.
    pub fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.word(at))
    }
    /// A signed field of 32 bits.
    pub fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.word(at))
    }
    /// A field of 64 bits.
    pub fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.word(at))
    }
    /// A signed field of 64 bits.
    pub fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.word(at))
    }
}

/// Shows the structure at an address, or the address.
pub fn pointee<const N: usize>(
    out: &mut Output,
    address: u64,
    show: impl FnOnce(&mut Output, &Raw<N>),
) {
    match Raw::read(address) {
        Some(raw) => show(out, &raw),
        None => number::address(out, address),
    }
}

/// Shows a value of 32 bits at an address as `[value]`.
#[inline(never)]
pub fn boxed_int(out: &mut Output, address: u64) {
    list(out, address, 1, |out, raw: &Raw<4>| {
        number::signed(out, raw.i32(0).into())
    });
}

/// Shows a list of structures that lie one after the other.
pub fn list<const N: usize>(
    out: &mut Output,
    address: u64,
    count: u64,
    show: impl FnMut(&mut Output, &Raw<N>),
) {
    sparse_list(out, address, count, |_| true, show);
}

/// The same, without those that `keep` refuses.
pub fn sparse_list<const N: usize>(
    out: &mut Output,
    address: u64,
    count: u64,
    mut keep: impl FnMut(&Raw<N>) -> bool,
    mut show: impl FnMut(&mut Output, &Raw<N>),
) {
    let readable = count == 0 || Raw::<N>::read(address).is_some();
    if address == 0 || !readable {
        return number::address(out, address);
    }
    walk(
        out,
        address,
        count,
        N as u64,
        &mut |out, place, room| match Raw::read(place) {
            Some(raw) if !keep(&raw) => Element::Skipped,
            Some(raw) if room => {
                out.separate();
                show(out, &raw);
                Element::Shown
            }
            _ => Element::Last,
        },
    );
}

/// What became of one element.
enum Element {
    Shown,
    Skipped,
    /// It cannot be shown, nor can those after it.
    Last,
}

/// Walks a list of elements of `stride` bytes; `show` is told whether there is
/// room for another.
fn walk(
    out: &mut Output,
    address: u64,
    count: u64,
    stride: u64,
    show: &mut dyn FnMut(&mut Output, u64, bool) -> Element,
) {
    out.push('[');
    let mut shown = 0;
    for at in 0..count {
        let place = address.wrapping_add(at.wrapping_mul(stride));
        match show(out, place, shown < LIST_MAX) {
            Element::Shown => shown += 1,
            Element::Skipped => {}
            Element::Last => {
                out.separate();
                out.push_str("...");
                break;
            }
        }
    }
    out.push(']');
}

/// Copies bytes of the program: whether it could be done. Never inlined, since
/// every structure begins with it.
#[inline(never)]
fn fetch(address: u64, bytes: &mut [u8]) -> bool {
    address != 0 && user::copy_in(address, bytes).is_ok()
}
