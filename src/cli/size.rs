//! Sizes as docker writes them: a number and one of b, k, m, g (powers of 1024).

/// Reads `256M`, `1g`, `65536`; for clap, so the error is the end of a sentence.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits
        .parse()
        .map_err(|_| "write a number and b, k, m or g, such as 256M".to_owned())?;
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" | "ki" => 10,
        "m" | "mb" | "mib" | "mi" => 20,
        "g" | "gb" | "gib" | "gi" => 30,
        unit => {
            return Err(format!(
                "no unit {unit:?}: write b, k, m or g, such as 256M"
            ));
        }
    };
    number
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "must be above zero and fit 64 bits".to_owned())
}

/// Bytes for people: `41.2 MiB`.
pub(crate) fn display(bytes: u64) -> String {
    const STEP: f64 = 1024.0;
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / STEP;
    for unit in ["KiB", "MiB", "GiB"] {
        // What would be rounded to 1024.0 is 1.0 of the next unit.
        if value < STEP - 0.05 {
            return format!("{value:.1} {unit}");
        }
        value /= STEP;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::{display, parse};

    #[test]
    fn shows_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (43_201_332, "41.2 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (3 << 40, "3.0 TiB"),
        ] {
            assert_eq!(display(bytes), text);
        }
    }

    #[test]
    fn reads_what_docker_reads() {
        assert_eq!(parse("256M"), Ok(256 << 20));
        assert_eq!(parse("1g"), Ok(1 << 30));
        assert_eq!(parse("64Ki"), Ok(64 << 10));
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("10b"), Ok(10));
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "M",
            "-1",
            "1.5G",
            "12x",
            "0",
            "99999999999999999999",
            "17179869184G",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
