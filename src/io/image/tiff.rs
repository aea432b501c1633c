//! TIFF out: what the `image` crate's encoder has no words for, resolution above all.

use std::io::{Seek, Write};

use ::tiff::TiffResult;
use ::tiff::encoder::colortype::{ColorType, Gray8, Gray16, RGB8, RGB16, RGBA8, RGBA16};
use ::tiff::encoder::{Rational, TiffEncoder, TiffValue};
use ::tiff::tags::{ResolutionUnit, Tag};

use super::Metadata;
use super::density::Unit;
use super::picture::Samples;
use crate::geom::Size;

/// Writes pixels of grey, RGB or RGBA.
pub(super) fn write(
    file: impl Write + Seek,
    size: Size,
    channels: usize,
    samples: &Samples,
    metadata: &Metadata,
) -> TiffResult<()> {
    match (channels, samples) {
        (1, Samples::Eight(samples)) => image::<Gray8>(file, size, samples, metadata),
        (1, Samples::Sixteen(samples)) => image::<Gray16>(file, size, samples, metadata),
        (3, Samples::Eight(samples)) => image::<RGB8>(file, size, samples, metadata),
        (3, Samples::Sixteen(samples)) => image::<RGB16>(file, size, samples, metadata),
        (_, Samples::Eight(samples)) => image::<RGBA8>(file, size, samples, metadata),
        (_, Samples::Sixteen(samples)) => image::<RGBA16>(file, size, samples, metadata),
    }
}

fn image<C: ColorType>(file: impl Write + Seek, size: Size, samples: &[C::Inner], metadata: &Metadata) -> TiffResult<()>
where
    [C::Inner]: TiffValue,
{
    let mut encoder = TiffEncoder::new(file)?;
    let mut image = encoder.new_image::<C>(size.width as u32, size.height as u32)?;
    if let Some(density) = metadata.density {
        let (unit, [across, down]) = density.whole(&[Unit::Inch, Unit::Centimetre], f64::from(u32::MAX));
        image.resolution_unit(match unit {
            Unit::Inch => ResolutionUnit::Inch,
            Unit::Centimetre => ResolutionUnit::Centimeter,
            _ => ResolutionUnit::None,
        });
        image.x_resolution(Rational { n: across, d: 1 });
        image.y_resolution(Rational { n: down, d: 1 });
    }
    if let Some(icc) = &metadata.icc {
        image.encoder().write_tag(Tag::IccProfile, icc.as_slice())?;
    }
    image.write_data(samples)
}
