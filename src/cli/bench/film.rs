//! Frames of a file to measure with.

use std::path::Path;

use crate::cli::failure::{Code, Failure};
use crate::frame::{Conversion, Layout, PixelFormat, luma_row};
use crate::geom::Size;
use crate::io::{Arrival, SourceUri, whole_limit};

/// The most frames that are held.
const MOST: u64 = 300;

/// The first frames of a Y4M file, as many as may be held, one after the other.
pub(super) fn read(path: &Path, format: PixelFormat) -> Result<(Size, Vec<u8>), Failure> {
    let name = path.display().to_string();
    let wrong = |reason: &str| Failure::usage(format!("--scene {name}: {reason}"));
    let uri: SourceUri = name.parse()?;
    let mut source = uri.open()?;
    let clip = *source.clip();
    if clip.live {
        return Err(wrong("frames of a file are measured, not those of a live source"));
    }
    let size = clip.format.size;
    let each = (size.area() * format.channels()) as u64;
    let most = (whole_limit() / each.max(1)).min(MOST);
    if most == 0 {
        return Err(Failure::new(Code::Budget, format!("--scene {name}: no frame of {size} can be held here")));
    }
    let conversion = Conversion::to_rgb(clip.format.matrix, clip.format.range);
    let (across, down) = clip.format.layout.subsampling();
    let chroma = clip.format.chroma();
    let mut frame = vec![0; clip.format.bytes()];
    let mut film = Vec::new();
    for _ in 0..most {
        match source.read(&mut frame)? {
            Arrival::Frame(_) => {}
            _ => break,
        }
        let [first, cb, cr] = clip.format.planes(&frame);
        match (clip.format.layout, format) {
            (Layout::Rgb, PixelFormat::Gray8) => {
                let at = film.len();
                film.resize(at + size.area(), 0);
                luma_row(PixelFormat::Rgb8, first, &mut film[at..]);
            }
            (Layout::Rgb, _) | (_, PixelFormat::Gray8) => film.extend_from_slice(first),
            (Layout::Gray, _) => film.extend(first.iter().flat_map(|luma| [*luma; 3])),
            _ => film.extend(first.iter().enumerate().flat_map(|(at, luma)| {
                let (x, y) = (at % size.width / across, at / size.width / down);
                conversion.pixel([*luma, cb[y * chroma.width + x], cr[y * chroma.width + x]])
            })),
        }
    }
    if film.is_empty() { Err(wrong("it holds no frame")) } else { Ok((size, film)) }
}
