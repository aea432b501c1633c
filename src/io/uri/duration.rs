//! Lengths of time, as people write them.

use std::time::Duration;

/// `20ms`, `1.5s`, `2m`, `1h`; a number alone is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration; write 20ms, 1.5s, 2m or 1h");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match &text[end..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = text[..end].parse().map_err(|_| wrong())?;
    Some(number * unit).filter(|s| *s < 1e8).map(Duration::from_secs_f64).ok_or_else(wrong)
}
