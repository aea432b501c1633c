//! Video4Linux: what a device offers, its format, and its stream of buffers in memory that the kernel lends.

mod abi;
mod buffers;
mod feed;
mod replies;
mod stream;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater};

use replies::Replies;

use abi::{Plain, call};
pub(in crate::io) use feed::Feed;
pub(in crate::io) use stream::{Captured, Stream};

/// Four characters that name a format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::io) struct FourCc(pub(in crate::io) u32);

impl FourCc {
    pub(in crate::io) const fn new(name: &[u8; 4]) -> Self {
        Self(u32::from_le_bytes(*name))
    }
}

impl std::fmt::Display for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A driver may say anything. The highest bit is big-endian's.
        let bytes = self.0.to_le_bytes().map(|c| c & 0x7f);
        let letters = bytes.iter().filter(|c| **c != b' ').map(|c| if c.is_ascii_graphic() { *c as char } else { '?' });
        letters.into_iter().try_for_each(|c| write!(f, "{c}"))
    }
}

impl std::fmt::Debug for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Which way frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) enum Direction {
    /// The device gives frames.
    Capture,
    /// The device takes frames.
    Output,
}

impl Direction {
    const fn kind(self) -> u32 {
        match self {
            Self::Capture => abi::CAPTURE,
            Self::Output => abi::OUTPUT,
        }
    }
}

/// A format as the driver has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) struct PixFormat {
    pub(in crate::io) width: u32,
    pub(in crate::io) height: u32,
    pub(in crate::io) code: FourCc,
    pub(in crate::io) field: u32,
    /// Bytes from one row to the next.
    pub(in crate::io) stride: u32,
    pub(in crate::io) bytes: u32,
    pub(in crate::io) colorspace: u32,
    pub(in crate::io) encoding: u32,
    pub(in crate::io) quantization: u32,
}

impl PixFormat {
    /// Whole frames, one row below the other?
    pub(in crate::io) fn is_whole(&self) -> bool {
        [abi::FIELD_ANY, abi::FIELD_NONE].contains(&self.field) || self.is_interlaced()
    }

    /// Do odd and even rows stem from different moments?
    pub(in crate::io) fn is_interlaced(&self) -> bool {
        abi::FIELDS_INTERLACED.contains(&self.field)
    }
}

/// Sizes that a format comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) enum Sizes {
    /// This one.
    One { width: u32, height: u32 },
    /// From, to.
    Between { width: (u32, u32), height: (u32, u32) },
}

/// An open device.
pub(in crate::io) struct Device {
    file: File,
    /// In the place of the kernel.
    replies: Option<Replies>,
    name: String,
    capabilities: u32,
}

impl Device {
    /// Opens without waiting: calls that would wait say so, and [`Stream`] polls.
    pub(in crate::io) fn open(path: &Path) -> io::Result<Self> {
        Self::of(OpenOptions::new().read(true).write(true).custom_flags(NONBLOCK).open(path)?, None)
    }

    /// A device whose driver answers with these bytes.
    pub(in crate::io) fn of_replies(bytes: &[u8]) -> io::Result<Self> {
        Self::of(File::open("/dev/null")?, Some(Replies::new(bytes)))
    }

    /// The bytes that no answer has taken.
    pub(in crate::io) fn rest(&self) -> Vec<u8> {
        self.replies.as_ref().map(Replies::rest).unwrap_or_default()
    }

    fn of(file: File, replies: Option<Replies>) -> io::Result<Self> {
        let mut device = Self { file, replies, name: String::new(), capabilities: 0 };
        let mut about = abi::Capability::zeroed();
        device.call::<{ call::QUERYCAP }, _>(&mut about)?;
        device.name = text(&about.card);
        let whole = about.capabilities & abi::CAP_DEVICE_CAPS == 0;
        device.capabilities = if whole { about.capabilities } else { about.device_caps };
        Ok(device)
    }

    /// What the device calls itself.
    pub(in crate::io) fn name(&self) -> &str {
        &self.name
    }

    fn has(&self, bits: u32) -> bool {
        self.capabilities & bits == bits
    }

    /// Does it give frames in memory that it lends?
    pub(in crate::io) fn captures(&self) -> bool {
        self.lends_buffers(Direction::Capture)
    }

    /// Does it give frames, but each plane in a buffer of its own?
    pub(in crate::io) fn captures_planes(&self) -> bool {
        self.has(abi::CAP_CAPTURE_MPLANE)
    }

    /// Does it take frames?
    pub(in crate::io) fn takes_frames(&self) -> bool {
        self.has(abi::CAP_OUTPUT | abi::CAP_READWRITE) || self.lends_buffers(Direction::Output)
    }

    fn lends_buffers(&self, direction: Direction) -> bool {
        let bit = match direction {
            Direction::Capture => abi::CAP_CAPTURE,
            Direction::Output => abi::CAP_OUTPUT,
        };
        self.has(bit | abi::CAP_STREAMING)
    }

    pub(in crate::io) fn file(&self) -> &File {
        &self.file
    }

    fn call<const CODE: Opcode, T: Plain>(&self, value: &mut T) -> rustix::io::Result<()> {
        if let Some(replies) = &self.replies {
            return replies.answer(value);
        }
        loop {
            // SAFETY: every code in `abi::call` is made of the structure that its call reads and writes, callers
            // pair them as there, and `Plain` promises that the kernel cannot write an invalid value.
            #[allow(unsafe_code)]
            let result = unsafe { rustix::ioctl::ioctl(&self.file, Updater::<CODE, T>::new(value)) };
            match result {
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Formats on offer, with their descriptions.
    pub(in crate::io) fn formats(&self, direction: Direction) -> Vec<(FourCc, String)> {
        let mut found = Vec::new();
        // No driver has more; one that never ends must not hold us.
        for index in 0..256 {
            let mut format = abi::FormatDescription { index, kind: direction.kind(), ..Plain::zeroed() };
            if self.call::<{ call::ENUM_FMT }, _>(&mut format).is_err() {
                break;
            }
            found.push((FourCc(format.pixelformat), text(&format.description)));
        }
        found
    }

    /// Sizes of a format; none where the driver does not say.
    pub(in crate::io) fn sizes(&self, code: FourCc) -> Vec<Sizes> {
        let mut found = Vec::new();
        for index in 0..256 {
            let mut size = abi::FrameSize { index, pixelformat: code.0, ..Plain::zeroed() };
            if self.call::<{ call::ENUM_FRAMESIZES }, _>(&mut size).is_err() {
                break;
            }
            let [a, b, c, d, e, _] = size.sides;
            if size.kind == abi::DISCRETE {
                found.push(Sizes::One { width: a, height: b });
            } else {
                found.push(Sizes::Between { width: (a, b), height: (d, e) });
                let _step = c;
                break;
            }
        }
        found
    }

    /// Most frames a second of a format and size; `None` where the driver does not say.
    pub(in crate::io) fn fastest(&self, code: FourCc, width: u32, height: u32) -> Option<f64> {
        let mut fastest = None::<f64>;
        for index in 0..256 {
            let mut interval = abi::FrameInterval { index, pixelformat: code.0, width, height, ..Plain::zeroed() };
            if self.call::<{ call::ENUM_FRAMEINTERVALS }, _>(&mut interval).is_err() {
                break;
            }
            // Ranges begin with the shortest interval.
            let [numerator, denominator, ..] = interval.fractions;
            if numerator > 0 {
                let rate = f64::from(denominator) / f64::from(numerator);
                fastest = Some(fastest.map_or(rate, |f| f.max(rate)));
            }
            if interval.kind != abi::DISCRETE {
                break;
            }
        }
        fastest
    }

    /// The format that is set.
    pub(in crate::io) fn format(&self, direction: Direction) -> io::Result<PixFormat> {
        let mut format = abi::Format { kind: direction.kind(), ..Plain::zeroed() };
        self.call::<{ call::G_FMT }, _>(&mut format)?;
        Ok(pix(&format))
    }

    /// Asks for a format. The driver answers with what it can do that is nearest.
    pub(in crate::io) fn set_format(&self, direction: Direction, wanted: &PixFormat) -> io::Result<PixFormat> {
        let mut format = abi::Format {
            kind: direction.kind(),
            width: wanted.width,
            height: wanted.height,
            pixelformat: wanted.code.0,
            field: abi::FIELD_NONE,
            bytesperline: wanted.stride,
            sizeimage: wanted.bytes,
            colorspace: wanted.colorspace,
            // Says that what follows is set on purpose (`V4L2_PIX_FMT_PRIV_MAGIC`).
            private: 0xfeed_cafe,
            ycbcr_enc: wanted.encoding,
            quantization: wanted.quantization,
            ..Plain::zeroed()
        };
        self.call::<{ call::S_FMT }, _>(&mut format)?;
        Ok(pix(&format))
    }

    /// Frames a second as a fraction, after asking for `wanted` of them. `None` where the driver has no say in it.
    pub(in crate::io) fn set_rate(&self, wanted: (u32, u32)) -> Option<(u32, u32)> {
        let mut parameters = abi::StreamParameters { kind: abi::CAPTURE, ..Plain::zeroed() };
        self.call::<{ call::G_PARM }, _>(&mut parameters).ok()?;
        if parameters.capability & abi::CAP_TIMEPERFRAME != 0 {
            (parameters.denominator, parameters.numerator) = wanted;
            let _ = self.call::<{ call::S_PARM }, _>(&mut parameters);
        }
        (parameters.numerator > 0 && parameters.denominator > 0)
            .then_some((parameters.denominator, parameters.numerator))
    }

    /// Turns to input `number`, or stays where it is, and takes over the timings of a digital signal.
    pub(in crate::io) fn set_input(&self, number: Option<u32>) -> io::Result<()> {
        let mut number = match number {
            Some(number) => i32::try_from(number).map_err(|_| io::Error::from(Errno::INVAL))?,
            None => {
                let mut current = 0;
                if self.call::<{ call::G_INPUT }, _>(&mut current).is_err() {
                    return Ok(());
                }
                current
            }
        };
        self.call::<{ call::S_INPUT }, _>(&mut number)?;
        let mut input = abi::Input { index: number as u32, ..Plain::zeroed() };
        if self.call::<{ call::ENUMINPUT }, _>(&mut input).is_ok() && input.capabilities & abi::INPUT_DV_TIMINGS != 0 {
            let mut timings = abi::Timings::zeroed();
            if self.call::<{ call::QUERY_DV_TIMINGS }, _>(&mut timings).is_ok() {
                self.call::<{ call::S_DV_TIMINGS }, _>(&mut timings)?;
            }
        }
        Ok(())
    }
}

/// `O_NONBLOCK`.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

fn pix(format: &abi::Format) -> PixFormat {
    PixFormat {
        width: format.width,
        height: format.height,
        code: FourCc(format.pixelformat),
        field: format.field,
        stride: format.bytesperline,
        bytes: format.sizeimage,
        colorspace: format.colorspace,
        encoding: format.ycbcr_enc,
        quantization: format.quantization,
    }
}

/// Text that ends with a zero, if it fills its field less than wholly.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).chars().filter(|c| !c.is_control()).collect()
}
