//! A map in a sorted list: for maps that are small or grow at their end. It takes a fraction
//! of the code of a tree, and there are many maps here.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;
use core::borrow::Borrow;

/// Keys and values, by key.
#[derive(Clone, Debug)]
pub struct SortedMap<K, V> {
    pairs: Vec<(K, V)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> SortedMap<K, V> {
    /// Nothing.
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// All, by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.pairs.iter().map(|(key, value)| (key, value))
    }

    /// All, by key.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.pairs.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.pairs.iter().map(|(key, _)| key)
    }

    /// All values, by key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.pairs.iter().map(|(_, value)| value)
    }

    /// The first.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// Makes room for more, so that adding them needs no memory.
    ///
    /// # Errors
    /// No memory.
    pub fn try_reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.pairs.try_reserve(more)
    }

    /// Keeps those whose values are to be kept.
    pub fn retain(&mut self, mut keeps: impl FnMut(&V) -> bool) {
        self.pairs.retain(|(_, value)| keeps(value));
    }

    /// Takes the first.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.is_empty()).then(|| self.pairs.remove(0))
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        // Most are added at the end.
        match self.pairs.last() {
            Some((last, _)) if last.borrow() < key => Err(self.pairs.len()),
            _ => self
                .pairs
                .binary_search_by(|(other, _)| other.borrow().cmp(key)),
        }
    }

    /// Whether there is one.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.pairs.get(at).map(|(_, value)| value)
    }

    /// The value of a key.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.pairs.get_mut(at).map(|(_, value)| value)
    }

    /// Adds one: the value that the key had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => {
                let (_, old) = self.pairs.get_mut(at)?;
                Some(core::mem::replace(old, value))
            }
            Err(at) => {
                self.pairs.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes one out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        Some(self.pairs.remove(at).1)
    }
}

/// Sorts a short list, or one that is nearly sorted; equal ones keep their order.
pub fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    for end in 1..list.len() {
        let mut at = end;
        while at > 0 && key(&list[at - 1]) > key(&list[at]) {
            list.swap(at - 1, at);
            at -= 1;
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::new();
        for (key, value) in pairs {
            map.insert(key, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_in_order() {
        let mut map = SortedMap::new();
        for key in [5, 1, 9, 3, 7] {
            assert_eq!(map.insert(key, key * 10), None);
        }
        assert_eq!(map.insert(3, 33), Some(30));
        assert!(map.keys().copied().eq([1, 3, 5, 7, 9]));
        assert_eq!((map.get(&3), map.get(&4)), (Some(&33), None));
        assert_eq!(map.remove(&5), Some(50));
        assert_eq!(map.remove(&5), None);
        *map.get_mut(&9).unwrap() = 1;
        assert!(map.values().copied().eq([10, 33, 70, 1]));
        assert_eq!(map.pop_first(), Some((1, 10)));
        assert_eq!(map.first(), Some((&3, &33)));
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn equal_ones_keep_their_order() {
        let mut list = [(3, 'a'), (1, 'b'), (3, 'c'), (2, 'd'), (1, 'e')];
        sort_by_key(&mut list, |(key, _)| *key);
        assert_eq!(list, [(1, 'b'), (1, 'e'), (2, 'd'), (3, 'a'), (3, 'c')]);
        sort_by_key(&mut list[..0], |(key, _)| *key);
    }
}
