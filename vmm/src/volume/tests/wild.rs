//! Messages of any bytes: replies or none, no panic, and nothing beside the volume changes.

use std::fs;

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{prop_assert, proptest};

use super::{MOST, ROOM, Volume, message};

/// Opcodes that there are, and others.
fn any_opcode() -> impl Strategy<Value = u32> {
    prop_oneof![0..60u32, any::<u32>()]
}

fn any_node() -> impl Strategy<Value = u64> {
    prop_oneof![1..6u64, any::<u64>()]
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        // Small fields and a name: what gets further.
        (proptest::collection::vec(0..4u8, 0..12), "[a-f./]{0,4}").prop_map(|(words, name)| {
            let mut body: Vec<u8> = words.into_iter().flat_map(|word| [word, 0, 0, 0]).collect();
            body.extend_from_slice(name.as_bytes());
            body.push(0);
            body
        }),
    ]
}

proptest! {
    #[test]
    fn wild_messages_never_panic_and_stay_inside(
        messages in proptest::collection::vec((any_opcode(), any_node(), any_body(), any::<bool>()), 1..30),
    ) {
        let volume = Volume::new(false);
        for (opcode, node, body, cut) in messages {
            let mut bytes = message(opcode, node, &[&body]);
            if cut {
                bytes.truncate(bytes.len() / 2);
            }
            let replies = volume.raw(&bytes);
            prop_assert!(replies.len() <= ROOM);
            prop_assert!(volume.limit.held() <= MOST);
        }
        let mut beside: Vec<_> = fs::read_dir(volume.top.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        beside.sort();
        prop_assert!(beside == ["secret", "volume"]);
        prop_assert!(fs::read(volume.top.path().join("secret")).unwrap() == b"secret");
    }
}
