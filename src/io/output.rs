//! Beginning a picture: name, format, and what must be refused before any work is done.

use std::path::Path;

use super::destination::Destination;
use super::png::PngSink;
use super::pnm::PnmSink;
use super::whole::WholeSink;
use super::{CreateError, Encoding, Metadata, Place, Sink, WriteError, same_file};
use crate::frame::PixelFormat;
use crate::geom::Size;

/// A picture to be written.
#[derive(Clone, Debug)]
pub struct Output {
    place: Place,
    encoding: Encoding,
}

impl Output {
    /// `encoding` rules; without it the name does, and a pipe gets PNG.
    ///
    /// # Errors
    ///
    /// When neither tells a format.
    pub fn new(place: Place, encoding: Option<Encoding>) -> Result<Self, CreateError> {
        let by_name = match &place {
            Place::Pipe => Some(Encoding::Png),
            // A device has no extension; bytes that stream suit it as they suit a pipe.
            Place::File(path) => Encoding::of_path(path).or_else(|| is_device(path).then_some(Encoding::Png)),
        };
        match encoding.or(by_name) {
            Some(encoding) => Ok(Self { place, encoding }),
            None => Err(CreateError::Unknown { file: place.to_string() }),
        }
    }

    /// Refuses what [`Output::create`] would, touching nothing.
    ///
    /// # Errors
    ///
    /// When this is `input` itself, or the format cannot hold the picture.
    pub fn check(&self, input: &Place, size: Size, format: PixelFormat) -> Result<(), CreateError> {
        let file = self.place.to_string();
        if let (Place::File(a), Place::File(b)) = (input, &self.place)
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
        let file = self.place.to_string();
        if let Some(reason) = self.encoding.refusal(size, format) {
            return Err(CreateError::Unsupported { file, reason });
        }
        self.warn_of_loss(metadata);
        let destination = Destination::open(&self.place).map_err(|source| CreateError::Io { file, source })?;
        self.begin(destination, size, format, metadata).map_err(|error| match error {
            WriteError::Io { file, source } => CreateError::Io { file, source },
            WriteError::Encode { file, reason } => CreateError::Unsupported { file, reason },
        })
    }

    fn begin(
        &self,
        destination: Destination,
        size: Size,
        format: PixelFormat,
        metadata: &Metadata,
    ) -> Result<Box<dyn Sink>, WriteError> {
        Ok(match self.encoding {
            Encoding::Png => Box::new(PngSink::begin(destination, size, format, metadata)?),
            Encoding::Ppm | Encoding::Pgm | Encoding::Pnm => {
                Box::new(PnmSink::begin(destination, size, format, self.encoding.stored(format))?)
            }
            _ => Box::new(WholeSink::begin(destination, self.encoding, size, format, metadata)?),
        })
    }

    /// A lost profile changes how colours look; a lost EXIF block does not.
    fn warn_of_loss(&self, metadata: &Metadata) {
        let carries = matches!(self.encoding, Encoding::Png | Encoding::Jpeg | Encoding::WebP | Encoding::Tiff);
        if metadata.icc.is_some() && !carries {
            let name = self.encoding.extension();
            log::warn!("{}: .{name} cannot hold the colour profile of the input; .png can", self.place);
        }
    }
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
}
