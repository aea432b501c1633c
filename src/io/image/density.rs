//! How many pixels there are to an inch of the print: written down by PNG, JPEG, TIFF and EXIF, each in its own way. An
//! upscaled picture keeps its size on paper, so there are more of them. Of TIFF's directory, the ICC profile too.

use std::io::{Cursor, Read, Seek, SeekFrom};

/// Pixels to a unit of length, across and down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Density {
    across: f64,
    down: f64,
    unit: Unit,
}

/// A unit of length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Inch,
    Centimetre,
    Metre,
    /// None: only the ratio of both counts.
    Ratio,
}

impl Unit {
    fn metres(self) -> f64 {
        match self {
            Self::Inch => 0.0254,
            Self::Centimetre => 0.01,
            Self::Metre | Self::Ratio => 1.0,
        }
    }
}

impl Density {
    /// `None` of numbers that say nothing.
    pub(super) fn new(across: f64, down: f64, unit: Unit) -> Option<Self> {
        let sound = |value: f64| value.is_finite() && value > 0.0;
        (sound(across) && sound(down)).then_some(Self { across, down, unit })
    }

    /// That of a picture `scale` times as wide and high.
    pub(super) fn scaled(self, scale: usize) -> Self {
        match self.unit {
            Unit::Ratio => self,
            _ => Self { across: self.across * scale as f64, down: self.down * scale as f64, ..self },
        }
    }

    /// The unit that a format writes, of those that it knows, and whole numbers of it.
    pub(super) fn whole(self, known: &[Unit], most: f64) -> (Unit, [u32; 2]) {
        let unit = if known.contains(&self.unit) || self.unit == Unit::Ratio { self.unit } else { known[0] };
        let factor = if unit == self.unit { 1.0 } else { unit.metres() / self.unit.metres() };
        (unit, [self.across, self.down].map(|value| (value * factor).round().clamp(1.0, most) as u32))
    }
}

/// Tags of a TIFF directory.
const ACROSS: u16 = 282;
const DOWN: u16 = 283;
const UNIT: u16 = 296;
const PROFILE: u16 = 34_675;
/// Longest profile that is kept.
const MOST_PROFILE: u64 = 4 << 20;
/// No honest first directory has more entries.
const MOST_ENTRIES: u16 = 1000;

/// What stands in the first directory of a TIFF file or an EXIF block.
#[derive(Default)]
struct Directory {
    little: bool,
    /// Where the numerators of both densities lie.
    fractions: [Option<u64>; 2],
    unit: Option<u16>,
    /// Where the ICC profile lies, and how long it is.
    profile: Option<(u64, u64)>,
    /// Values of the entry that has most.
    most_values: u64,
}

impl Directory {
    fn number(&self, bytes: &[u8]) -> u64 {
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
    }

    fn read(file: &mut (impl Read + Seek)) -> Option<Self> {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_exact(&mut head[..8]).ok()?;
        let mut found = Self { little: head[..2] == *b"II", ..Self::default() };
        if !(found.little || head[..2] == *b"MM") {
            return None;
        }
        // BigTIFF has 8 bytes where TIFF has 4, and for the number of entries.
        let (wide, wide_count, begin) = match found.number(&head[2..4]) {
            42 => (4, 2, 4..8),
            43 => (8, 8, 8..16),
            _ => return None,
        };
        file.read_exact(&mut head[8..begin.end.max(8)]).ok()?;
        let mut place = found.number(&head[begin]);
        file.seek(SeekFrom::Start(place)).ok()?;
        let mut count = [0; 8];
        file.read_exact(&mut count[..wide_count]).ok()?;
        place += wide_count as u64;
        for _ in 0..found.number(&count[..wide_count]).min(MOST_ENTRIES.into()) {
            let mut entry = [0; 20];
            file.read_exact(&mut entry[..4 + 2 * wide]).ok()?;
            let (tag, kind) = (found.number(&entry[..2]) as u16, found.number(&entry[2..4]));
            let (values, value) = (found.number(&entry[4..4 + wide]), &entry[4 + wide..4 + 2 * wide]);
            found.most_values = found.most_values.max(values);
            // What fits stands in the entry itself.
            let fraction = if wide == 8 { place + 12 } else { found.number(value) };
            match (tag, kind, values) {
                (ACROSS, 5, 1) => found.fractions[0] = Some(fraction),
                (DOWN, 5, 1) => found.fractions[1] = Some(fraction),
                (PROFILE, 1 | 7, 9..=MOST_PROFILE) => found.profile = Some((found.number(value), values)),
                (UNIT, 3, 1) => found.unit = Some(found.number(&value[..2]) as u16),
                _ => {}
            }
            place += 4 + 2 * wide as u64;
        }
        Some(found)
    }

    fn fraction(&self, file: &mut (impl Read + Seek), at: u64) -> Option<[u64; 2]> {
        let mut bytes = [0; 8];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        Some([self.number(&bytes[..4]), self.number(&bytes[4..])])
    }
}

/// The density in a TIFF file or an EXIF block.
pub(super) fn of_tiff(file: &mut (impl Read + Seek)) -> Option<Density> {
    let found = Directory::read(file)?;
    let mut value = |which: usize| -> Option<f64> {
        let [numerator, denominator] = found.fraction(file, found.fractions[which]?)?;
        Some(numerator as f64 / denominator as f64)
    };
    let (across, down) = (value(0)?, value(1)?);
    let unit = match found.unit {
        Some(1) => Unit::Ratio,
        Some(3) => Unit::Centimetre,
        _ => Unit::Inch,
    };
    Density::new(across, down, unit)
}

/// The ICC profile of a TIFF file, as any type of bytes.
pub(super) fn profile_of_tiff(file: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    let (at, length) = Directory::read(file)?.profile?;
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut profile = Vec::new();
    file.take(length).read_to_end(&mut profile).ok()?;
    (profile.len() as u64 == length).then_some(profile)
}

/// Has an entry of a TIFF file more values than the file has bytes? The decoder would make room for them.
pub(super) fn is_impossible_tiff(file: &mut (impl Read + Seek)) -> bool {
    let length = file.seek(SeekFrom::End(0)).unwrap_or(u64::MAX);
    Directory::read(file).is_some_and(|found| found.most_values > length)
}

/// Makes the density in an EXIF block that of a picture `scale` times as wide and high.
pub(super) fn scale_exif(exif: &mut [u8], scale: usize) {
    let mut file = Cursor::new(&*exif);
    let Some(found) = Directory::read(&mut file).filter(|found| found.unit != Some(1)) else { return };
    // Both may lie in one place.
    let mut places: Vec<u64> = found.fractions.into_iter().flatten().collect();
    places.dedup();
    let new: Vec<(u64, u32)> = (places.into_iter())
        .filter_map(|at| Some((at, u32::try_from(found.fraction(&mut file, at)?[0].checked_mul(scale as u64)?).ok()?)))
        .collect();
    for (at, numerator) in new {
        let bytes = if found.little { numerator.to_le_bytes() } else { numerator.to_be_bytes() };
        exif[at as usize..][..4].copy_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(little: bool) -> Vec<u8> {
        let two = |v: u16| if little { v.to_le_bytes() } else { v.to_be_bytes() };
        let four = |v: u32| if little { v.to_le_bytes() } else { v.to_be_bytes() };
        let mut bytes = if little { b"II".to_vec() } else { b"MM".to_vec() };
        bytes.extend(two(42));
        bytes.extend(four(8));
        bytes.extend(two(3));
        for (tag, kind, value) in [(ACROSS, 5, four(50)), (DOWN, 5, four(58))] {
            bytes.extend([&two(tag)[..], &two(kind), &four(1), &value].concat());
        }
        bytes.extend([&two(UNIT)[..], &two(3), &four(1), &two(2), &two(0), &four(0)].concat());
        [300, 1, 7201, 100].iter().for_each(|v| bytes.extend(four(*v)));
        bytes
    }

    #[test]
    fn directories_are_read_and_scaled() {
        for little in [true, false] {
            let mut exif = block(little);
            assert_eq!(of_tiff(&mut Cursor::new(&exif)), Density::new(300.0, 72.01, Unit::Inch));
            scale_exif(&mut exif, 3);
            assert_eq!(of_tiff(&mut Cursor::new(&exif)), Density::new(900.0, 216.03, Unit::Inch));
            for end in 0..exif.len() {
                let mut cut = exif[..end].to_vec();
                let _ = of_tiff(&mut Cursor::new(&cut));
                scale_exif(&mut cut, 3);
            }
        }
    }

    #[test]
    fn units_are_changed_only_where_they_must_be() {
        let metre = Density::new(11_811.0, 11_811.0, Unit::Metre).unwrap().scaled(2);
        assert_eq!(metre.whole(&[Unit::Metre], 1e9), (Unit::Metre, [23_622; 2]));
        assert_eq!(metre.whole(&[Unit::Inch, Unit::Centimetre], 65_535.0), (Unit::Inch, [600; 2]));
        let ratio = Density::new(4.0, 3.0, Unit::Ratio).unwrap().scaled(2);
        assert_eq!(ratio.whole(&[Unit::Metre], 1e9), (Unit::Ratio, [4, 3]));
        assert_eq!(Density::new(0.0, 1.0, Unit::Inch), None);
    }
}
