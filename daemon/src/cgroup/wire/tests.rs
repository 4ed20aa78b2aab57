//! Messages against bytes that another implementation (jeepney) made.

use super::*;

const START: &str = "\
6c010001b000000005000000b600000001016f00190000002f6f72672f667265656465736b746f702f73797374656d64\
310000000000000002017300200000006f72672e667265656465736b746f702e73797374656d64312e4d616e61676572\
0000000000000000030173001200000053746172745472616e7369656e74556e69740000000000000601730018000000\
6f72672e667265656465736b746f702e73797374656d6431000000000000000008016700107373612873762961287361\
287376292900000010000000756e696b696c6e2d61622e73636f706500000000070000007265706c6163650080000000\
0800000044656c6567617465000162000100000000000000040000005049447300026175000000000800000007000000\
ffffffff0000000005000000536c696365000173000000000d000000756e696b696c6e2e736c69636500000000000000\
090000004d656d6f72794d6178000174000000000000000000000000000100000000000000000000";

const JOB_REMOVED: &str = "\
6c0400014d000000090000008a00000001016f00190000002f6f72672f667265656465736b746f702f73797374656d64\
310000000000000002017300200000006f72672e667265656465736b746f702e73797374656d64312e4d616e61676572\
0000000000000000030173000a0000004a6f6252656d6f76656400000000000007017300040000003a312e3100000000\
0801670004756f7373000000000000002a000000200000002f6f72672f667265656465736b746f702f73797374656d64\
312f6a6f622f34320000000010000000756e696b696c6e2d61622e73636f70650000000004000000646f6e6500";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().collect();
    let pairs = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn parse(message: &[u8]) -> Result<Message, BusError> {
    let mut fixed = [0; FIXED_BYTES];
    fixed.copy_from_slice(message.get(..FIXED_BYTES).ok_or(TORN)?);
    let (fields, body) = rest_bytes(&fixed)?;
    let rest = &message[FIXED_BYTES..];
    let fields = rest.get(..fields).ok_or(TORN)?;
    let body = rest.get(fields.len()..fields.len() + body).ok_or(TORN)?;
    Message::parse(&fixed, fields, body.to_vec())
}

#[test]
fn a_call_is_what_another_implementation_writes() {
    let call = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "StartTransientUnit",
        signature: "ssa(sv)a(sa(sv))",
    };
    let mut body = Writer::default();
    body.text("unikiln-ab.scope");
    body.text("replace");
    body.properties(&[
        ("Delegate", Value::Bool(true)),
        ("PIDs", Value::Numbers(vec![7, u32::MAX])),
        ("Slice", Value::Text("unikiln.slice".to_owned())),
        ("MemoryMax", Value::U64(1 << 40)),
    ]);
    body.array(8, |_| {});
    let message = call.message(5, &body.into_bytes());
    assert_eq!(message, bytes(START));
    let back = parse(&message).unwrap();
    assert_eq!((back.kind, back.serial), (CALL, 5));
    assert_eq!(back.member, "StartTransientUnit");
    assert_eq!(back.signature, "ssa(sv)a(sa(sv))");
}

#[test]
fn a_signal_of_another_implementation_is_read() {
    let message = parse(&bytes(JOB_REMOVED)).unwrap();
    assert_eq!((message.kind, message.serial), (SIGNAL, 9));
    assert_eq!(message.member, "JobRemoved");
    assert_eq!(message.signature, "uoss");
    let mut body = Reader::new(&message.body);
    assert_eq!(body.u32().unwrap(), 42);
    assert_eq!(body.text().unwrap(), "/org/freedesktop/systemd1/job/42");
    assert_eq!(body.text().unwrap(), "unikiln-ab.scope");
    assert_eq!(body.text().unwrap(), "done");
    assert!(body.u32().is_err(), "nothing is left");
}

#[test]
fn damaged_messages_are_errors() {
    let whole = bytes(JOB_REMOVED);
    for length in 0..whole.len() {
        assert!(parse(&whole[..length]).is_err(), "{length} bytes");
    }
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            // Whatever it says, it is an answer and no panic.
            if let Ok(message) = parse(&damaged) {
                let mut body = Reader::new(&message.body);
                while body.text().is_ok() {}
            }
        }
    }
    let mut long = whole.clone();
    long[4..8].fill(0xff);
    assert!(parse(&long).unwrap_err().to_string().contains("too long"));
    let mut big_endian = whole;
    big_endian[0] = b'B';
    assert!(
        parse(&big_endian)
            .unwrap_err()
            .to_string()
            .contains("byte order")
    );
}
