//! Photos: pictures in and out, one row at a time.
//!
//! A [`Source`] lends the rows of a picture from top to bottom, a [`Sink`] takes them. PNG, PPM and PGM stream in
//! both directions, in memory that does not grow with the height, from and to files and pipes. The other formats
//! (JPEG, WebP, BMP, TIFF, interlaced PNG, text PNM) are held whole, below a limit that is checked against the
//! header before anything is allocated.
//!
//! Samples are 8 bits; deeper ones are rounded to 8 with a warning. Grey stays grey and alpha stays alpha; pixels that are
//! not seen are given the colour of those beside them, which filters would mix with it. The
//! orientation that a camera wrote down is applied, so rows are always in viewing order. ICC profile and EXIF
//! travel from source to sink where both formats can carry them. Of an animation the first picture is taken.

mod create;
mod encoding;
mod matte;
mod open;
mod picture;
mod png;
mod pnm;
mod whole;

pub use create::Output;
pub use encoding::Encoding;
pub(in crate::io) use open::is_colour;
pub use open::{Picture, is_picture_name, open, open_stream};
pub use picture::{Metadata, PngColour, Sink, Source};
