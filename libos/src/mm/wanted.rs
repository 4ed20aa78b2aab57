//! Pages that are wanted soon after a fork, learned from the forks before: a server's children
//! all write the same ones, and so does the server, and they read the same parts of files. fork
//! itself copies and maps what is learned, which costs less than a fault on each side.
//!
//! What is no longer wanted is forgotten: in turn, pages are taken off the list and come back
//! with the next fault. One in [`TURNS`] is, at each fork.

use alloc::vec::Vec;

use super::space::Space;
use super::vma::Backing;
use super::{PAGE, fault};

/// Pages of a list: what is copied in vain is bounded.
const PAGES_MAX: usize = 512;
/// Forks until all pages of a list were taken off it once.
const TURNS: usize = 64;

/// Page addresses of a program, lowest first.
pub(super) struct Wanted {
    pages: Vec<u64>,
    /// Taken off next.
    next: usize,
    /// Parts of a page that are due.
    due: usize,
}

impl Wanted {
    pub(super) const fn new() -> Wanted {
        Wanted {
            pages: Vec::new(),
            next: 0,
            due: 0,
        }
    }

    /// Another program.
    pub(super) fn clear(&mut self) {
        self.pages.clear();
    }

    /// A page was wanted. One that finds no room, or no memory, is learned another time.
    pub(super) fn note(&mut self, page: u64) {
        let missing = PAGES_MAX - self.pages.len();
        if missing > 0
            && let Err(place) = self.pages.binary_search(&page)
            && self.pages.try_reserve_exact(missing).is_ok()
        {
            self.pages.insert(place, page);
        }
    }

    /// Whether a page is on the list.
    pub(super) fn has(&self, page: u64) -> bool {
        self.pages.binary_search(&page).is_ok()
    }

    /// What the list would take to copy.
    pub(super) fn bytes(&self) -> u64 {
        self.pages.len() as u64 * PAGE
    }

    /// Takes off what is to show again that it is wanted.
    pub(super) fn forget_some(&mut self) {
        self.due += self.pages.len();
        while self.due >= TURNS && !self.pages.is_empty() {
            self.due -= TURNS;
            self.next = (self.next + 1) % self.pages.len();
            self.pages.remove(self.next);
        }
    }
}

impl Space {
    /// Those that it was forked with, and their children, will want the page, too.
    pub(super) fn note_for_family(&self, page: u64) {
        if let Some(mut wanted) = self.family.and_then(|it| it.wanted.try_lock()) {
            wanted.note(page);
        }
    }

    /// Maps what of files the family is known to want, for the next child to have it.
    pub(super) fn map_wanted(&mut self, wanted: &Wanted) {
        for page in &wanted.pages {
            if let Some(area) = self.areas.find(*page).cloned()
                && let Backing::File { file, offset } = &area.backing
                && area.protection != 0
                && self.root.lookup(*page).0.is_empty()
            {
                fault::populate_around(self, &area, file, *offset, *page);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_still_stays_known() {
        let mut wanted = Wanted::new();
        let pages: Vec<u64> = (0..200).map(|page| page * 3 * PAGE).collect();
        for page in pages.iter().rev() {
            wanted.note(*page);
            wanted.note(*page);
        }
        assert_eq!(wanted.bytes(), 200 * PAGE);
        let mut missed = 0;
        for _ in 0..10 * TURNS {
            wanted.forget_some();
            for page in &pages {
                missed += usize::from(!wanted.has(*page));
                wanted.note(*page);
            }
        }
        // Each page once in all turns.
        assert!((1900..=2100).contains(&missed), "{missed}");
    }

    #[test]
    fn what_is_wanted_no_more_is_forgotten() {
        let mut wanted = Wanted::new();
        for page in 0..2 * PAGES_MAX as u64 {
            wanted.note(page * PAGE);
        }
        assert_eq!(wanted.bytes(), PAGES_MAX as u64 * PAGE);
        for _ in 0..8 * TURNS {
            wanted.forget_some();
        }
        assert!(wanted.bytes() < 64 * PAGE, "{}", wanted.bytes());
        wanted.clear();
        assert!(!wanted.has(0));
    }
}
