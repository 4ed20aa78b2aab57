//! Padding that nothing reaches, as springboards: a site with room for a jump of
//! two bytes only jumps to a `jmp rel32` there.
//!
//! Padding consists of `nop` and `int3`, and lies behind a jump or a return in code
//! that was decoded (`sites.rs`), or between the end of one function of the unwind
//! table and the beginning of the next.

use std::collections::BTreeSet;

use iced_x86::{Decoder, DecoderOptions, Mnemonic};

use super::object::Object;
use super::sites::{Found, JUMP_BYTES, SHORT_JUMP_BYTES, Site};
use super::unwind::Function;

/// Reach of a short jump, either way.
const REACH_BYTES: u64 = 128;

#[derive(Debug)]
struct Gap {
    next: u64,
    end: u64,
}

/// Gaps near sites, by address.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<Gap>);

impl Gaps {
    /// Finds those that sites may need; functions and sites are sorted.
    pub(super) fn near(object: &Object<'_>, functions: &[Function], found: &Found) -> Self {
        // One instruction with room for a jump is always enough.
        let may_need = |site: &&Site| site.moved.len() > 1 || site.room_bytes() < JUMP_BYTES;
        let sites: Vec<&Site> = found.sites.iter().filter(may_need).collect();
        let mut gaps: Vec<Gap> = found
            .padding
            .iter()
            .map(|&(next, end)| Gap { next, end })
            .collect();
        let mut end = 0;
        for function in functions {
            let gap = Gap {
                next: end,
                end: function.start,
            };
            let bytes = gap.end.saturating_sub(gap.next);
            let is_short = (JUMP_BYTES as u64..REACH_BYTES).contains(&bytes);
            if end != 0 && is_short && is_near(&gap, &sites) && is_padding(object, &gap) {
                gaps.push(gap);
            }
            end = end.max(function.end);
        }
        gaps.retain(|gap| is_near(gap, &sites));
        gaps.sort_by_key(|gap| gap.next);
        // The end of a function's padding may have been found both ways.
        gaps.dedup_by(|later, earlier| {
            let meets = later.next <= earlier.end;
            if meets {
                earlier.end = earlier.end.max(later.end);
            }
            meets
        });
        Self(gaps)
    }

    /// All their addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|gap| gap.next..gap.end)
    }

    /// Takes room for a jump that a short jump at `from` reaches, where nothing else jumps to.
    pub(super) fn take(&mut self, from: u64, hit: &BTreeSet<u64>) -> Option<u64> {
        let base = from + SHORT_JUMP_BYTES as u64;
        let gap = self.0.iter_mut().find(|gap| {
            i8::try_from(gap.next.wrapping_sub(base) as i64).is_ok()
                && gap.end - gap.next >= JUMP_BYTES as u64
                && hit.range(gap.next..gap.end).next().is_none()
        })?;
        let taken = gap.next;
        gap.next += JUMP_BYTES as u64;
        Some(taken)
    }
}

fn is_near(gap: &Gap, sites: &[&Site]) -> bool {
    let from = gap.next.saturating_sub(REACH_BYTES);
    let first = sites.partition_point(|site| site.address < from);
    sites
        .get(first)
        .is_some_and(|site| site.address <= gap.end + REACH_BYTES)
}

fn is_padding(object: &Object<'_>, gap: &Gap) -> bool {
    let Some(code) = object.code_at(gap.next) else {
        return false;
    };
    if gap.end > code.end() {
        return false;
    }
    let from = (gap.next - code.address) as usize;
    let to = (gap.end - code.address) as usize;
    let bytes = &code.bytes[from..to];
    let decoder = Decoder::with_ip(64, bytes, gap.next, DecoderOptions::NONE);
    decoder
        .into_iter()
        .all(|instruction| matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3))
}
