//! Photos: pictures in and out, one row at a time.
//!
//! A [`Source`] lends the rows of a picture from top to bottom, a [`Sink`] takes them. PNG, PPM and PGM stream in
//! both directions, in memory that does not grow with the height, from and to files and pipes. The other formats
//! (JPEG, JPEG XL, WebP, BMP, TIFF, GIF, interlaced and animated PNG, text PNM) are held whole, below a limit that is checked against the
//! header before anything is allocated.
//!
//! Rows are of 8 bits a sample; where a file has more, they are lent in 16 bits too, and PNG, TIFF, PPM and PGM take them so.
//! Grey stays grey and alpha stays alpha; pixels that are not seen are given the colour of those beside them, which filters
//! would mix with it. The orientation that a camera wrote down is applied, so rows are always in viewing order. ICC profile,
//! EXIF and resolution travel from source to sink where both formats can carry them. An animation is lent picture by picture,
//! with its times.

mod animation;
mod create;
mod density;
mod encoding;
mod finished;
mod jxl;
mod matte;
mod open;
mod picture;
mod png;
mod pnm;
mod tiff;
mod whole;

pub use create::Output;
pub use density::Density;
pub use encoding::Encoding;
pub use finished::is_finished;
pub(in crate::io) use open::is_colour;
pub use open::{Picture, is_picture_name, open, open_stream};
pub use picture::{Animation, Delay, Metadata, PngColour, Sink, Source};
