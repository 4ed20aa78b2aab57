//! Random numbers, and mutation of bytes and of JSON documents.

use serde_json::{Map, Value, json};

/// A small generator: the same seed gives the same numbers.
pub struct Random(u64);

impl Random {
    /// Starts at `seed`.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed ^ 0x9e37_79b9_7f4a_7c15);
        random.number();
        random
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        // splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// Whether something of this chance in a hundred happens.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn one<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// Numbers at the edges of fields.
const EDGES: [u64; 16] = [
    0,
    1,
    7,
    63,
    255,
    256,
    4095,
    4096,
    65_535,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 47,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Changes some bytes: flips, edges, copies, cuts.
pub fn bytes(data: &mut Vec<u8>, max_bytes: usize, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        if data.is_empty() {
            data.push(random.number() as u8);
            continue;
        }
        let at = random.below(data.len());
        match random.below(7) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.number() as u8,
            2 => {
                let edge = random.one(&EDGES).to_le_bytes();
                let len = (*random.one(&[1, 2, 4, 8])).min(data.len() - at);
                data[at..at + len].copy_from_slice(&edge[..len]);
            }
            3 => {
                let len = random.below(data.len() - at).min(600);
                let to = random.below(data.len() - len);
                data.copy_within(at..at + len, to);
            }
            4 => {
                let len = random.below(data.len() - at).min(600);
                data.drain(at..at + len);
            }
            5 => {
                let len = random.below(data.len() - at).min(600);
                let copy = data[at..at + len].to_vec();
                let to = random.below(data.len());
                data.splice(to..to, copy);
            }
            _ => data.truncate(at.max(data.len() / 2)),
        }
    }
    data.truncate(max_bytes);
}

/// Texts that have led other programs astray.
const TEXTS: [&str; 14] = [
    "",
    "/",
    "..",
    "../../../etc/passwd",
    "a\0b",
    "sha256:",
    "sha256:../../../../etc",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "linux",
    "amd64",
    "v3",
    "\u{202e}\u{feff}",
];

/// Changes a JSON document at one of its values; leaves what is none.
pub fn json(data: &mut Vec<u8>, random: &mut Random) {
    let Ok(mut value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let mut left = random.below(count(&value));
    change(&mut value, &mut left, random);
    *data = value.to_string().into_bytes();
    if random.chance(5) {
        // A key twice, which values cannot have.
        let text = String::from_utf8_lossy(data).into_owned();
        if let Some(at) = text.find('{') {
            let key = *random.one(&["config", "layers", "manifests", "mediaType", "os"]);
            *data = format!("{}\"{key}\":[],{}", &text[..=at], &text[at + 1..]).into_bytes();
        }
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

fn change(value: &mut Value, left: &mut usize, random: &mut Random) {
    if *left == 0 {
        *left = usize::MAX;
        *value = changed(value.take(), random);
        return;
    }
    *left -= 1;
    let below: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => Vec::new(),
    };
    for value in below {
        if *left != usize::MAX {
            change(value, left, random);
        }
    }
}

fn changed(value: Value, random: &mut Random) -> Value {
    match (value, random.below(8)) {
        (_, 0) => Value::Null,
        (_, 1) => json!(*random.one(&EDGES)),
        (_, 2) => json!(*random.one(&TEXTS)),
        (_, 3) => json!([]),
        (Value::Array(mut items), choice) if !items.is_empty() => {
            let at = random.below(items.len());
            if choice.is_multiple_of(2) {
                items.remove(at);
            } else {
                items.push(items[at].clone());
            }
            Value::Array(items)
        }
        (Value::Object(fields), choice) => Value::Object(changed_fields(fields, choice, random)),
        (Value::String(text), choice) => json!(match choice {
            4 => text.repeat(2),
            5 => text.to_uppercase(),
            6 => text.chars().rev().collect(),
            _ => format!("{text}/{}", random.one(&TEXTS)),
        }),
        (Value::Number(number), _) => json!(-number.as_i64().unwrap_or(1)),
        (value, _) => json!([value]),
    }
}

fn changed_fields(
    mut fields: Map<String, Value>,
    choice: usize,
    random: &mut Random,
) -> Map<String, Value> {
    let keys: Vec<_> = fields.keys().cloned().collect();
    if !keys.is_empty() && choice.is_multiple_of(2) {
        fields.remove(random.one(&keys));
    } else {
        let key = *random.one(&["layers", "config", "manifests", "platform", "variant"]);
        let value = keys.first().and_then(|key| fields.get(key)).cloned();
        fields.insert(key.to_owned(), value.unwrap_or(Value::Null));
    }
    fields
}
