//! Beginning a picture: name, format, and what must be refused before any work is done.

use super::animation::AnimationSink;
use super::png::PngSink;
use super::pnm::PnmSink;
use super::whole::WholeSink;
use super::{Encoding, Metadata, Sink};
use crate::frame::PixelFormat;
use crate::geom::Size;
use crate::io::destination::Destination;
use crate::io::error::CreateError;
use crate::io::error::WriteError;
use crate::io::location::{Location, is_device, same_file};

/// A picture to be written.
#[derive(Clone, Debug)]
pub struct Output {
    location: Location,
    encoding: Encoding,
}

impl Output {
    /// `encoding` rules; without it the name does, and a pipe gets PNG.
    ///
    /// # Errors
    ///
    /// When neither tells a format.
    pub fn new(location: Location, encoding: Option<Encoding>) -> Result<Self, CreateError> {
        let by_name = match &location {
            Location::Standard => Some(Encoding::Png),
            // A device has no extension; bytes that stream suit it as they suit a pipe.
            Location::File(path) => Encoding::of_path(path).or_else(|| is_device(path).then_some(Encoding::Png)),
        };
        match encoding.or(by_name) {
            Some(encoding) => Ok(Self { location, encoding }),
            None => Err(CreateError::Unknown { file: location.to_string() }),
        }
    }

    /// Refuses what [`Output::create`] would, touching nothing.
    ///
    /// # Errors
    ///
    /// When this is `input` itself, or the format cannot hold the picture.
    pub fn check(&self, input: &Location, size: Size, format: PixelFormat) -> Result<(), CreateError> {
        let file = self.location.to_string();
        if let (Location::File(a), Location::File(b)) = (input, &self.location)
            && same_file(a, b)
        {
            return Err(CreateError::SameFile { file });
        }
        match self.encoding.refusal(size, format) {
            Some(reason) => Err(CreateError::Unsupported { file, reason }),
            None => Ok(()),
        }
    }

    /// Begins the picture under a temporary name.
    ///
    /// # Errors
    ///
    /// When the format cannot hold it, or the file cannot be made.
    pub fn create(&self, size: Size, format: PixelFormat, metadata: &Metadata) -> Result<Box<dyn Sink>, CreateError> {
        let file = self.location.to_string();
        if let Some(reason) = self.encoding.refusal(size, format) {
            return Err(CreateError::Unsupported { file, reason });
        }
        if let Some(reason) = metadata.animation.and_then(|animation| self.encoding.refuses_animation(animation)) {
            return Err(CreateError::Unsupported { file, reason });
        }
        self.warn_of_loss(metadata);
        let metadata = &Metadata { deep: metadata.deep && self.encoding.holds_deep(), ..metadata.clone() };
        let destination = Destination::open(&self.location).map_err(|source| CreateError::Io { file, source })?;
        Ok(self.begin(destination, size, format, metadata)?)
    }

    fn begin(
        &self,
        destination: Destination,
        size: Size,
        format: PixelFormat,
        metadata: &Metadata,
    ) -> Result<Box<dyn Sink>, WriteError> {
        Ok(match self.encoding {
            Encoding::Gif => Box::new(AnimationSink::gif(destination, size, format, metadata)?),
            Encoding::Png if metadata.animation.is_some() => {
                Box::new(AnimationSink::png(destination, size, format, metadata)?)
            }
            Encoding::Png => Box::new(PngSink::begin(destination, size, format, metadata)?),
            Encoding::Ppm | Encoding::Pgm | Encoding::Pnm => {
                Box::new(PnmSink::begin(destination, size, format, self.encoding.stored(format), metadata.deep)?)
            }
            _ => Box::new(WholeSink::begin(destination, self.encoding, size, format, metadata)?),
        })
    }

    /// A lost profile changes how colours look; a lost EXIF block does not.
    fn warn_of_loss(&self, metadata: &Metadata) {
        if metadata.deep && !self.encoding.holds_deep() {
            let name = self.encoding.extension();
            log::warn!("{}: samples have 16 bits, and .{name} holds 8; .png and .tif hold all", self.location);
        }
        let carries = matches!(self.encoding, Encoding::Png | Encoding::Jpeg | Encoding::WebP | Encoding::Tiff);
        if metadata.icc.is_some() && !carries {
            let name = self.encoding.extension();
            log::warn!("{}: .{name} cannot hold the colour profile of the input; .png can", self.location);
        }
    }
}
