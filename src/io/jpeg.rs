//! JPEG files as cameras and cut transports leave them, put in order for a decoder or refused.
//!
//! Decoders make up what is missing and say nothing. The marker segments tell what is wrong: [`whole`] walks them.

use std::borrow::Cow;

/// The Huffman tables of Annex K of the standard (K.3 to K.6) as segments. Cameras leave them out of Motion JPEG.
const TABLES: &[u8] = include_bytes!("jpeg-tables.bin");

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DHT: u8 = 0xc4;
const DRI: u8 = 0xdd;

/// What the frame header says.
#[derive(Clone, Copy)]
struct Frame {
    baseline: bool,
    components: u8,
    /// Blocks of 8 x 8 that a restart interval counts, for a scan of all components.
    units: usize,
}

/// The JPEG without what follows its end, with the standard tables where it has none.
///
/// # Errors
///
/// What is wrong with it: cut short, or with restart markers that are missing or out of order, which means that data
/// between them was lost.
pub(super) fn whole(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if bytes.get(..2) != Some(&[0xff, SOI]) {
        return Err("not a JPEG".into());
    }
    let cut = || "the picture is cut short".to_string();
    let (mut at, mut tables, mut interval, mut frame) = (2, false, 0, None);
    loop {
        let Some(&[marker, kind]) = bytes.get(at..at + 2) else { return Err(cut()) };
        if marker != 0xff {
            // Not at a marker: damaged, which is for the decoder to say.
            return Ok(Cow::Borrowed(bytes));
        }
        if kind == 0xff {
            at += 1;
            continue;
        }
        if kind == EOI {
            break;
        }
        let length =
            bytes.get(at + 2..at + 4).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]]))).ok_or_else(cut)?;
        let segment = bytes.get(at + 4..at + 2 + length).ok_or_else(cut)?;
        at += 2 + length;
        match kind {
            DHT => tables = true,
            DRI => interval = segment.first_chunk().map_or(0, |b| usize::from(u16::from_be_bytes(*b))),
            0xc0..=0xc2 => frame = frame_of(kind, segment),
            SOS => {
                let restarts = scan(bytes, &mut at).ok_or_else(cut)?;
                // Scans of some components count other blocks; only those of all are checked.
                let of_all = |f: &Frame| f.baseline && segment.first() == Some(&f.components);
                if let Some(frame) = frame.filter(of_all).filter(|_| interval > 0) {
                    let due = frame.units.div_ceil(interval) - 1;
                    let ordered = restarts.iter().enumerate().all(|(i, number)| usize::from(*number) == i % 8);
                    if restarts.len() != due || !ordered {
                        let have = restarts.len();
                        return Err(format!(
                            "data is missing: it has {have} restart markers, where {due} are due in order"
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    let end = at + 2;
    if tables || frame.is_none_or(|f| !f.baseline) {
        return Ok(Cow::Borrowed(&bytes[..end]));
    }
    Ok(Cow::Owned([&bytes[..2], TABLES, &bytes[2..end]].concat()))
}

/// Pixels across and down to the unit that follows (1 inch, 2 centimetre, 0 none), as JFIF says it first of all.
pub(super) fn density(bytes: &[u8]) -> Option<(u16, u16, u8)> {
    let [0xff, SOI, 0xff, 0xe0, _, _, b'J', b'F', b'I', b'F', 0, _, _, unit, x1, x2, y1, y2, ..] = *bytes else {
        return None;
    };
    Some((u16::from_be_bytes([x1, x2]), u16::from_be_bytes([y1, y2]), unit))
}

/// Size and sampling of the frame; none of a damaged header.
fn frame_of(kind: u8, segment: &[u8]) -> Option<Frame> {
    let [_, h1, h2, w1, w2, count, components @ ..] = segment else { return None };
    let (height, width) = (u16::from_be_bytes([*h1, *h2]), u16::from_be_bytes([*w1, *w2]));
    let factors =
        components.chunks_exact(3).take(usize::from(*count)).map(|c| (usize::from(c[1] >> 4), usize::from(c[1] & 15)));
    let (mut across, mut down) = factors.fold((0, 0), |(a, d), (h, v)| (a.max(h), d.max(v)));
    if *count == 1 {
        (across, down) = (1, 1); // a scan of one component counts its own blocks
    }
    if across == 0 || down == 0 || width == 0 || height == 0 {
        return None;
    }
    let units = usize::from(width).div_ceil(8 * across) * usize::from(height).div_ceil(8 * down);
    Some(Frame { baseline: kind != 0xc2, components: *count, units })
}

/// Moves over the data of a scan to the marker that ends it, and gives the numbers of the restart markers in it.
fn scan(bytes: &[u8], at: &mut usize) -> Option<Vec<u8>> {
    let mut restarts = Vec::new();
    loop {
        *at += bytes.get(*at..)?.iter().position(|b| *b == 0xff)?;
        match bytes.get(*at + 1)? {
            // A byte of data that looks like a marker is followed by 0.
            0 => *at += 2,
            0xff => *at += 1,
            restart @ 0xd0..=0xd7 => {
                restarts.push(restart - 0xd0);
                *at += 2;
            }
            _ => return Some(restarts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = (0..3 * 64 * 48).map(|i| (i * 7 % 251) as u8).collect();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
        image::ImageEncoder::write_image(encoder, &pixels, 64, 48, image::ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    /// Without its segments of a kind.
    fn without(bytes: &[u8], kind: u8) -> Vec<u8> {
        let (mut at, mut left) = (2, bytes[..2].to_vec());
        while bytes[at + 1] != SOS {
            let length = 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            if bytes[at + 1] != kind {
                left.extend(&bytes[at..at + length]);
            }
            at += length;
        }
        left.extend(&bytes[at..]);
        left
    }

    #[test]
    fn tables_that_cameras_leave_out_are_the_standard_ones() {
        let file = picture();
        let bare = without(&file, DHT);
        assert!(bare.len() + TABLES.len() == file.len());
        let decode =
            |bytes: &[u8]| image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg).map(|i| i.into_rgb8());
        assert!(decode(&bare).is_err());
        assert_eq!(decode(&whole(&bare).unwrap()).unwrap(), decode(&file).unwrap());
    }

    #[test]
    fn what_follows_the_end_is_left_out_and_what_is_cut_is_told() {
        let file = picture();
        let mut longer = file.clone();
        longer.extend([0, 0, 0xff, 0xd9, 7]);
        assert_eq!(*whole(&longer).unwrap(), file);
        for end in [file.len() - 1, file.len() - 2, file.len() / 2, 30, 3] {
            assert!(whole(&file[..end]).unwrap_err().contains("cut short"), "{end}");
        }
        assert!(whole(b"GIF89a").is_err());
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end() {
        let thumbnail = [0xff, SOI, 0xff, 0xe1, 0, 4, 0xff, EOI];
        let scan = [0xff, SOS, 0, 2, 1, 2, 3];
        let cut = [&thumbnail[..], &scan].concat();
        assert!(whole(&cut).is_err() && whole(&thumbnail).is_err());
        assert!(whole(&[&cut[..], &[0xff, EOI]].concat()).is_ok());
    }

    #[test]
    fn restart_markers_are_counted() {
        // 64 x 48 without subsampling: 48 units, a marker after each sixteenth.
        let file = picture();
        let sos = file.windows(2).position(|w| w == [0xff, SOS]).unwrap();
        let dri = [0xff, DRI, 0, 4, 0, 16];
        let with = |markers: &[u8]| {
            let mut bytes = [&file[..sos], &dri, &file[sos..file.len() - 2]].concat();
            markers.iter().for_each(|n| bytes.extend([0xff, 0xd0 + n]));
            bytes.extend([0xff, EOI]);
            bytes
        };
        let frame = whole(&with(&[])).unwrap_err();
        let due: usize = frame.split("where ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let order: Vec<u8> = (0..due as u8).collect();
        whole(&with(&order)).unwrap();
        assert!(whole(&with(&order[1..])).is_err());
        assert!(whole(&with(&order.iter().rev().copied().collect::<Vec<_>>())).is_err());
    }
}
