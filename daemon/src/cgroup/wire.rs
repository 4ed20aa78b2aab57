//! D-Bus messages as bytes: the few types that systemd's manager is spoken to with.
//!
//! The D-Bus specification, "Message Protocol" and "Type System". Little-endian alone: both ends
//! are on one machine. Written here because the kept crates bring an async runtime and a macro
//! layer for what are six calls and one signal.

use super::bus::BusError;

/// Kinds of messages.
pub const CALL: u8 = 1;
/// A call's answer.
pub const REPLY: u8 = 2;
/// A call's refusal.
pub const ERROR: u8 = 3;
/// A broadcast.
pub const SIGNAL: u8 = 4;

/// Bytes before the header's fields.
pub const FIXED_BYTES: usize = 16;

/// A message as long as this is none of ours (the specification's bound is 128 MiB).
pub const MESSAGE_MAX_BYTES: usize = 1 << 20;

/// A property's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `t`
    U64(u64),
    /// `s`
    Text(String),
    /// `au`
    Numbers(Vec<u32>),
}

impl Value {
    const fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::U64(_) => "t",
            Self::Text(_) => "s",
            Self::Numbers(_) => "au",
        }
    }
}

/// A property of a unit.
pub type Property = (&'static str, Value);

/// Bytes being written; alignment counts from their start.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    /// `u`
    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    /// `t`
    pub fn u64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    /// `b`
    pub fn bool(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    /// `s` and `o`
    pub fn text(&mut self, text: &str) {
        self.u32(len_u32(text.len()));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// `g`
    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array whose elements are aligned to `to`.
    pub fn array(&mut self, to: usize, write: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.0.len() - 4;
        self.align(to);
        let start = self.0.len();
        write(self);
        let length = len_u32(self.0.len() - start);
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// `v`
    fn variant(&mut self, value: &Value) {
        self.signature(value.signature());
        match value {
            Value::Bool(value) => self.bool(*value),
            Value::U64(value) => self.u64(*value),
            Value::Text(text) => self.text(text),
            Value::Numbers(numbers) => self.array(4, |writer| {
                for number in numbers {
                    writer.u32(*number);
                }
            }),
        }
    }

    /// `a(sv)`
    pub fn properties(&mut self, properties: &[Property]) {
        self.array(8, |writer| {
            for (name, value) in properties {
                writer.align(8);
                writer.text(name);
                writer.variant(value);
            }
        });
    }

    /// A header field: `(yv)` of a string type.
    fn field(&mut self, code: u8, signature: &str, text: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(signature);
        if signature == "g" {
            self.signature(text);
        } else {
            self.text(text);
        }
    }
}

/// No message of ours is near 4 GiB; one that were would be refused by the other end.
fn len_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A method call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The service.
    pub destination: &'a str,
    /// The object.
    pub path: &'a str,
    /// Its interface.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
    /// The types of `body`; empty: none.
    pub signature: &'a str,
}

impl Call<'_> {
    /// The whole message.
    pub fn message(&self, serial: u32, body: &[u8]) -> Vec<u8> {
        let mut writer = Writer(vec![b'l', CALL, 0, 1]);
        writer.u32(len_u32(body.len()));
        writer.u32(serial);
        writer.array(8, |writer| {
            writer.field(1, "o", self.path);
            writer.field(2, "s", self.interface);
            writer.field(3, "s", self.member);
            writer.field(6, "s", self.destination);
            if !self.signature.is_empty() {
                writer.field(8, "g", self.signature);
            }
        });
        writer.align(8);
        let mut message = writer.into_bytes();
        message.extend(body);
        message
    }
}

/// A message that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// [`REPLY`], [`ERROR`], [`SIGNAL`] or [`CALL`].
    pub kind: u8,
    /// The sender's number of it.
    pub serial: u32,
    /// The call that it answers.
    pub reply_serial: Option<u32>,
    /// The method or signal.
    pub member: String,
    /// The name of an error.
    pub error: String,
    /// The types of the body.
    pub signature: String,
    /// The body.
    pub body: Vec<u8>,
}

/// How long a message is after its fixed part: the fields with their padding, and the body.
pub fn rest_bytes(fixed: &[u8; FIXED_BYTES]) -> Result<(usize, usize), BusError> {
    if fixed[0] != b'l' {
        return Err(BusError::Malformed("its byte order is not this machine's"));
    }
    if fixed[3] != 1 {
        return Err(BusError::Malformed("its protocol version is not 1"));
    }
    let length = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&fixed[at..at + 4]);
        usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
    };
    let (body, fields) = (length(4), length(12));
    if body > MESSAGE_MAX_BYTES || fields > MESSAGE_MAX_BYTES {
        return Err(BusError::Malformed("it is too long"));
    }
    Ok((fields.next_multiple_of(8), body))
}

impl Message {
    /// Reads one from its fixed part, its fields and its body.
    pub fn parse(
        fixed: &[u8; FIXED_BYTES],
        fields: &[u8],
        body: Vec<u8>,
    ) -> Result<Self, BusError> {
        let mut message = Self {
            kind: fixed[1],
            serial: Reader::new(&fixed[8..12]).u32()?,
            body,
            ..Self::default()
        };
        let length = Reader::new(&fixed[12..16]).u32()?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let fields = fields.get(..length).ok_or(TORN)?;
        let mut reader = Reader::new(fields);
        while !reader.is_done() {
            // Fields are aligned from the message's start, which is 16 bytes before them.
            reader.align(8)?;
            if reader.is_done() {
                break;
            }
            let code = reader.u8()?;
            match (code, reader.signature()?) {
                (3, "s") => message.member = reader.text()?.to_owned(),
                (4, "s") => message.error = reader.text()?.to_owned(),
                (5, "u") => message.reply_serial = Some(reader.u32()?),
                (8, "g") => message.signature = reader.signature()?.to_owned(),
                (_, "s" | "o") => {
                    reader.text()?;
                }
                (_, "g") => {
                    reader.signature()?;
                }
                (_, "u") => {
                    reader.u32()?;
                }
                _ => {
                    return Err(BusError::Malformed(
                        "a field of its header has another type",
                    ));
                }
            }
        }
        Ok(message)
    }
}

const TORN: BusError = BusError::Malformed("it ends too early");

/// Bytes being read.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the start, which is aligned.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], BusError> {
        let end = self.at.checked_add(length).ok_or(TORN)?;
        let taken = self.bytes.get(self.at..end).ok_or(TORN)?;
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> Result<(), BusError> {
        let padding = self.at.next_multiple_of(to) - self.at;
        self.take(padding).map(|_| ())
    }

    fn u8(&mut self) -> Result<u8, BusError> {
        Ok(self.take(1)?[0])
    }

    /// `u`
    pub fn u32(&mut self) -> Result<u32, BusError> {
        self.align(4)?;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    /// `s` and `o`
    pub fn text(&mut self) -> Result<&'a str, BusError> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        let text = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(text).map_err(|_| BusError::Malformed("a text in it is no UTF-8"))
    }

    fn signature(&mut self) -> Result<&'a str, BusError> {
        let length = usize::from(self.u8()?);
        let text = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(text).map_err(|_| BusError::Malformed("a signature is no UTF-8"))
    }
}

#[cfg(test)]
mod tests;
