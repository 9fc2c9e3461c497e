//! Numbers for people: sizes as they are typed, counts and sizes as they are shown.

pub use esker_rows::number::{count, counted, counted_as};

/// A size in bytes, as it is typed: `1048576`, `64KiB`, `256M`, `1.5GiB`. K, M and G are powers of 1024.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = (digits.trim_end(), &text[digits.len()..]);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(format!("'{unit}' is no unit of size; use KiB, MiB or GiB")),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or_else(|| "the size is beyond 64 bits".to_owned());
    }
    parse_fraction(number, scale)
        .ok_or_else(|| "a size is a number with an optional unit, such as 64MiB".to_owned())
}

/// A number with a point, times `scale`; what is left of a byte is cut off.
fn parse_fraction(number: &str, scale: u64) -> Option<u64> {
    let is_plain = number.contains('.') && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let size = number.parse::<f64>().ok()? * scale as f64;
    (is_plain && size < u64::MAX as f64).then_some(size as u64)
}

/// A size for people: `17 B`, `4.2 KiB`, `1.3 GiB`.
pub fn bytes(number: u64) -> String {
    indicatif::BinaryBytes(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, size) in
            [("0", 0), ("4096", 4096), ("64KiB", 65_536), ("256M", 268_435_456), ("1.5 GiB", 1_610_612_736)]
        {
            assert_eq!(parse_bytes(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "1 parsec",
            "99999999999999999999G",
            "18446744073709551615K",
            "infM",
            "1e3",
            "1..5M",
            "99999999999999999999.5G",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
