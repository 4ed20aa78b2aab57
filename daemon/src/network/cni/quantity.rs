//! Kubernetes' quantities: `10M`, `1.5Gi`, `3e6`.

/// What a number may have before its exponent; more cannot be of use.
const DIGITS_MAX: usize = 30;

/// Reads a quantity, rounded up to a whole number. None: it is none, negative, or too large.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text
        .find(|char: char| !char.is_ascii_digit() && char != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > DIGITS_MAX || fraction.contains('.') {
        return None;
    }
    let mantissa: u128 = digits.parse().ok()?;
    let (multiplier, exponent) = scale(suffix)?;
    let exponent = exponent - i32::try_from(fraction.len()).ok()?;
    let power = 10_u128.checked_pow(exponent.unsigned_abs());
    let value = mantissa.checked_mul(multiplier)?;
    let value = match power {
        Some(power) if exponent < 0 => value.div_ceil(power),
        // Less than any whole number.
        None if exponent < 0 => u128::from(value > 0),
        Some(power) => value.checked_mul(power)?,
        None => return None,
    };
    u64::try_from(value).ok()
}

/// A suffix as a factor and a power of ten.
fn scale(suffix: &str) -> Option<(u128, i32)> {
    if let Some(exponent) = suffix
        .strip_prefix(['e', 'E'])
        .filter(|rest| !rest.is_empty() && *rest != "i")
    {
        let exponent: i32 = exponent.parse().ok()?;
        return (-100..=100).contains(&exponent).then_some((1, exponent));
    }
    Some(match suffix {
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "" => (1, 0),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_kubernetes() {
        let cases = [
            ("10M", 10_000_000),
            ("1.5k", 1500),
            ("1.5Ki", 1536),
            ("3e6", 3_000_000),
            ("3E6", 3_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("1Ei", 1 << 60),
            ("100m", 1),
            ("1001m", 2),
            ("+7", 7),
            (".5k", 500),
            ("5.", 5),
            ("1e-90", 1),
            ("0", 0),
        ];
        for (text, value) in cases {
            assert_eq!(parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn others_are_none() {
        for text in [
            "", ".", "-1", "M", "1.2.3", "1K", "1 M", "1e", "1e400", "99E", "1ee3", "ß", "1iM",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"9".repeat(31)), None);
    }
}
