//! Names of the instructions that a program may not execute, by their bytes.
//!
//! A general protection fault tells no address; most often it is one of these.

/// Longest instruction.
pub(super) const MAX_BYTES: usize = 15;

/// What a privileged instruction is called; nothing for any other one.
pub(super) fn privileged(code: &[u8]) -> Option<&'static str> {
    // Legacy prefixes and REX change nothing about who may execute it.
    let skip = code.iter().position(|byte| {
        !matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3)
    })?;
    match *code.get(skip..)? {
        [0xf4, ..] => Some("hlt"),
        [0xfa, ..] => Some("cli"),
        [0xfb, ..] => Some("sti"),
        [0xe4 | 0xe5 | 0xec | 0xed | 0x6c | 0x6d, ..] => Some("in"),
        [0xe6 | 0xe7 | 0xee | 0xef | 0x6e | 0x6f, ..] => Some("out"),
        [0xcd, ..] => Some("int"),
        [0x0f, 0x30, ..] => Some("wrmsr"),
        [0x0f, 0x32, ..] => Some("rdmsr"),
        [0x0f, 0x33, ..] => Some("rdpmc"),
        [0x0f, 0x06, ..] => Some("clts"),
        [0x0f, 0x07, ..] => Some("sysret"),
        [0x0f, 0x08 | 0x09, ..] => Some("invd"),
        [0x0f, 0x20 | 0x22, ..] => Some("mov of a control register"),
        [0x0f, 0x21 | 0x23, ..] => Some("mov of a debug register"),
        [0x0f, 0x35, ..] => Some("sysexit"),
        [0x0f, 0x00, modrm, ..] if modrm & 0x30 == 0x10 => Some("lldt or ltr"),
        [0x0f, 0x01, 0xd1, ..] => Some("xsetbv"),
        [0x0f, 0x01, 0xf8, ..] => Some("swapgs"),
        [0x0f, 0x01, modrm, ..] if modrm & 0xf0 == 0x10 => Some("lgdt or lidt"),
        [0x0f, 0x01, modrm, ..] if modrm & 0x38 == 0x30 => Some("lmsw"),
        [0x0f, 0x01, modrm, ..] if modrm & 0x38 == 0x38 => Some("invlpg"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::privileged;

    #[test]
    fn privileged_instructions_are_named() {
        assert_eq!(privileged(&[0xf4]), Some("hlt"));
        assert_eq!(privileged(&[0x66, 0xef]), Some("out"));
        assert_eq!(privileged(&[0x0f, 0x32]), Some("rdmsr"));
        assert_eq!(
            privileged(&[0x44, 0x0f, 0x22, 0xc0]),
            Some("mov of a control register")
        );
        assert_eq!(privileged(&[0x0f, 0x01, 0x38]), Some("invlpg"));
        assert_eq!(privileged(&[0x48, 0x8b, 0x07]), None);
        assert_eq!(privileged(&[]), None);
        assert_eq!(privileged(&[0x66; 15]), None);
    }
}
