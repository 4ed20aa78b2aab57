//! Numbers that look like chance and come again with the same seed.

/// Marsaglia's xorshift64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The seed is `UNIKILN_CRI_SEED`, or always the same; `which` tells several apart.
    pub fn new(which: u64) -> Self {
        let seed = std::env::var("UNIKILN_CRI_SEED").ok();
        let seed = seed.map_or(1, |text| {
            text.parse().expect("a number in UNIKILN_CRI_SEED")
        });
        // Steps away from the seed, near seeds look alike at first.
        let mut random = Self(0x9e37_79b9_7f4a_7c15 ^ (seed << 20) ^ (which + 1));
        for _ in 0..20 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 0 to `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// How often something is done: `default`, or what the environment says.
pub fn count(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable}={text}"))
    })
}
