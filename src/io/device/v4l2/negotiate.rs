//! What is agreed with a camera: the format that costs least among those fast enough, size, rate and colours.

use super::fourcc::{CAMERA, FORMATS, code_of, format_of, refused, why_not_open};
use super::spec::CameraSpec;
use crate::frame::{FrameFormat, Layout, Matrix, Range, Siting};
use crate::geom::Size;
use crate::io::error::DeviceError;
use crate::io::limits::MAX_SIDE;
use crate::io::sys::v4l2::{Device, Direction, FourCc, PixFormat, Sizes};
use crate::io::video::{Rate, VideoFormat};

/// Frames a second that decide between formats when nobody asked for a number.
const USUAL_RATE: f64 = 30.0;

/// What a camera will give.
pub(super) struct Agreed {
    pub(super) format: VideoFormat,
    pub(super) frames: FrameFormat,
    /// Bytes from row to row.
    pub(super) stride: usize,
    pub(super) rate: Rate,
}

/// What messages call the camera.
pub(super) fn name(spec: &CameraSpec) -> String {
    format!("v4l2://{}", spec.path.display())
}

/// Opens a camera and sets its format; the reason why not is one that says what to do.
pub(super) fn agree(spec: &CameraSpec) -> Result<(Device, Agreed), DeviceError> {
    agree_with(Device::open(&spec.path).map_err(|error| why_not_open(&spec.path, error, CAMERA))?, spec)
}

/// [`agree`] with an open device.
pub(super) fn agree_with(device: Device, spec: &CameraSpec) -> Result<(Device, Agreed), DeviceError> {
    if !device.captures() {
        return Err(match device.captures_planes() {
            true => "this device gives each plane in a buffer of its own, which is not supported".into(),
            false => "this device is no camera; try another /dev/video*".into(),
        });
    }
    let input = spec.input.unwrap_or(0);
    device.set_input(spec.input).map_err(|error| refused(error, CAMERA, |error| format!("input {input}: {error}")))?;
    let (pix, rate, why) = negotiate(&device, spec)?;
    let format = format_of(pix.code).ok_or("the driver changed to a format that is not supported")?;
    let size = Size::new(pix.width as usize, pix.height as usize);
    if !(1..=MAX_SIDE).contains(&size.width) || !(1..=MAX_SIDE).contains(&size.height) {
        return Err(format!("frames of {size} are not supported").into());
    }
    if !pix.is_whole() {
        return Err("the camera sends half pictures (fields) one after the other, which is not supported".into());
    }
    let frames = colour(spec, format, size, &pix)?;
    let stride = (pix.stride as usize).max(format.least_stride(size.width));
    let rate = rate.map_or(Rate::USUAL, |(frames, seconds)| Rate { frames, seconds });
    log::info!(
        "{}: {}, {} {size} at {:.4} frames a second, {:?} {:?}, rows of {stride} bytes; {why}",
        name(spec),
        device.name(),
        pix.code,
        f64::from(rate.frames) / f64::from(rate.seconds),
        frames.matrix,
        frames.range,
    );
    let asked = Size::new(spec.width.unwrap_or(size.width), spec.height.unwrap_or(size.height));
    if asked != size {
        log::warn!("{}: gives {size} instead of {asked}", name(spec));
    }
    if pix.is_interlaced() {
        log::warn!("{}: odd and even rows are of different moments; edges that move will be ragged", name(spec));
    }
    Ok((device, Agreed { format, frames, stride, rate }))
}

/// A format on offer, at the size that is asked for.
struct Offer {
    format: VideoFormat,
    /// Most frames a second, where the driver says.
    fastest: Option<f64>,
}

/// Format, rate as frames in seconds, and the reason for the choice.
type Negotiated = (PixFormat, Option<(u32, u32)>, String);

/// Sets format and rate. Returns them and the reason for the choice.
fn negotiate(device: &Device, spec: &CameraSpec) -> Result<Negotiated, DeviceError> {
    let mut pix = device
        .format(Direction::Capture)
        .map_err(|error| refused(error, CAMERA, |error| format!("tells no format: {error}")))?;
    // What one side leaves open the other side's driver decides, but neither is half of the old picture.
    pix.width = spec.width.map_or(pix.width, |w| w as u32);
    pix.height = spec.height.map_or(pix.height, |h| h as u32);
    let formats = device.formats(Direction::Capture);
    let known = FORMATS.iter().filter(|(code, _)| formats.iter().any(|(offered, _)| offered == code));
    let offers: Vec<Offer> = known
        .filter(|(code, _)| spec.format.is_some() || has_size(&device.sizes(*code), pix.width, pix.height))
        .map(|(code, format)| Offer { format: *format, fastest: device.fastest(*code, pix.width, pix.height) })
        .collect();
    let (format, why) = match spec.format {
        Some(format) if offers.iter().any(|offer| offer.format == format) => (format, "as asked for".to_string()),
        Some(format) => {
            let list: Vec<String> = formats.iter().map(|(code, _)| code.to_string()).collect();
            return Err(format!("does not offer {}; it offers {}", code_of(format), list.join(", ")).into());
        }
        None => choose(&offers, spec.rate).ok_or_else(|| nothing_fits(device, &formats, &pix))?,
    };
    pix.code = code_of(format);
    // Strides, sizes and colours are the driver's to say.
    (pix.stride, pix.bytes, pix.colorspace, pix.encoding, pix.quantization) = (0, 0, 0, 0, 0);
    let set = device
        .set_format(Direction::Capture, &pix)
        .map_err(|error| refused(error, CAMERA, |error| format!("refuses {}: {error}", pix.code)))?;
    // Some drivers begin with a rate far below what they can do.
    let rate = device.set_rate(spec.rate.map_or((USUAL_RATE as u32, 1), |rate| (rate.frames, rate.seconds)));
    Ok((set, rate, why))
}

fn nothing_fits(device: &Device, formats: &[(FourCc, String)], pix: &PixFormat) -> String {
    let known = formats.iter().filter(|(code, _)| format_of(*code).is_some());
    let sizes: Vec<String> = known
        .flat_map(|(code, _)| device.sizes(*code).into_iter().map(move |size| (code, size)))
        .map(|(code, size)| match size {
            Sizes::One { width, height } => format!("{code} {width}x{height}"),
            Sizes::Between { width, height } => {
                format!("{code} {}x{} to {}x{}", width.0, height.0, width.1, height.1)
            }
        })
        .take(24)
        .collect();
    if sizes.is_empty() {
        let list: Vec<String> = formats.iter().map(|(code, _)| code.to_string()).take(24).collect();
        return format!(
            "offers no format that is supported (NV12, YU12, YUYV, UYVY, MJPG, GREY), but {}",
            list.join(", ")
        );
    }
    format!("does not offer {}x{}; it offers {}", pix.width, pix.height, sizes.join(", "))
}

fn has_size(sizes: &[Sizes], width: u32, height: u32) -> bool {
    sizes.is_empty()
        || sizes.iter().any(|size| match *size {
            Sizes::One { width: w, height: h } => (w, h) == (width, height),
            Sizes::Between { width: w, height: h } => (w.0..=w.1).contains(&width) && (h.0..=h.1).contains(&height),
        })
}

/// The first of the offers that is fast enough, else the fastest.
fn choose(offers: &[Offer], rate: Option<Rate>) -> Option<(VideoFormat, String)> {
    let wanted = rate.map_or(USUAL_RATE, |rate| f64::from(rate.frames) / f64::from(rate.seconds));
    // Drivers write 29.97 for 30.
    let enough = |offer: &&Offer| offer.fastest.is_none_or(|rate| rate >= wanted * 0.99);
    let others = |chosen: &Offer| -> String {
        let rest = offers.iter().filter(|o| o.format != chosen.format);
        let names: Vec<String> = rest
            .map(|o| code_of(o.format).to_string() + &o.fastest.map_or(String::new(), |f| format!(" up to {f:.4}")))
            .collect();
        if names.is_empty() { "nothing else is offered".into() } else { format!("also offered: {}", names.join(", ")) }
    };
    if let Some(offer) = offers.iter().find(enough) {
        let reason = format!("costs least among those that reach {wanted:.4} frames a second; {}", others(offer));
        return Some((offer.format, reason));
    }
    let offer = offers.iter().max_by(|a, b| a.fastest.partial_cmp(&b.fastest).unwrap_or(std::cmp::Ordering::Equal))?;
    Some((offer.format, format!("none reaches {wanted:.4} frames a second, this is the fastest; {}", others(offer))))
}

/// `V4L2_COLORSPACE_*`, `V4L2_YCBCR_ENC_*` and `V4L2_QUANTIZATION_*` that matter here.
const COLORSPACE_REC709: u32 = 3;
const COLORSPACE_JPEG: u32 = 7;
const COLORSPACE_BT2020: u32 = 10;
const ENCODING_601: [u32; 2] = [1, 3];
const ENCODING_709: [u32; 2] = [2, 4];
const FULL_RANGE: u32 = 1;
const LIMITED_RANGE: u32 = 2;

/// What the driver's flags mean, with the interface's own rules where it leaves them open.
fn colour(spec: &CameraSpec, format: VideoFormat, size: Size, pix: &PixFormat) -> Result<FrameFormat, String> {
    let layout = format.layout();
    let matrix = match (spec.matrix, pix.encoding, pix.colorspace) {
        (Some(matrix), ..) => matrix,
        (_, e, _) if ENCODING_709.contains(&e) => Matrix::Bt709,
        (_, e, _) if ENCODING_601.contains(&e) => Matrix::Bt601,
        (_, 0, COLORSPACE_REC709) => Matrix::Bt709,
        (_, 0, c) if c != COLORSPACE_BT2020 => Matrix::Bt601,
        // Grey has no use for a matrix.
        _ if layout == Layout::Gray => Matrix::Bt601,
        (_, e, c) => {
            let ask = "give ?matrix=bt601 or ?matrix=bt709";
            return Err(format!("its colours (colorspace {c}, encoding {e}) are not supported; {ask} to take them so"));
        }
    };
    let full = pix.quantization == FULL_RANGE || pix.colorspace == COLORSPACE_JPEG || layout == Layout::Gray;
    let range = match (spec.range, pix.quantization) {
        (Some(range), _) => range,
        // What is in a JPEG is in full range, whatever the driver says.
        _ if format == VideoFormat::Mjpeg => Range::Full,
        (_, LIMITED_RANGE) => Range::Limited,
        _ if full => Range::Full,
        _ => Range::Limited,
    };
    let siting = if format == VideoFormat::Mjpeg { Siting::Centre } else { Siting::Left };
    let matrix = if format == VideoFormat::Mjpeg { spec.matrix.unwrap_or(Matrix::Bt601) } else { matrix };
    Ok(FrameFormat { size, bits: 8, layout, siting, matrix, range })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(format: VideoFormat, fastest: impl Into<Option<f64>>) -> Offer {
        Offer { format, fastest: fastest.into() }
    }

    #[test]
    fn the_cheapest_format_that_is_fast_enough_wins() {
        let chosen = |offers: &[Offer], rate: Option<u32>| {
            choose(offers, rate.map(|frames| Rate { frames, seconds: 1 })).map(|(format, _)| format)
        };
        let webcam = [offer(VideoFormat::Yuyv, 10.0), offer(VideoFormat::Mjpeg, 29.97)];
        assert_eq!(chosen(&webcam, None), Some(VideoFormat::Mjpeg));
        assert_eq!(chosen(&webcam, Some(10)), Some(VideoFormat::Yuyv));
        assert_eq!(chosen(&webcam, Some(60)), Some(VideoFormat::Mjpeg), "the fastest there is");
        assert_eq!(
            chosen(&[offer(VideoFormat::Nv12, None), offer(VideoFormat::Yuyv, 60.0)], None),
            Some(VideoFormat::Nv12)
        );
        assert_eq!(chosen(&[], None), None);
        let (_, why) = choose(&webcam, None).unwrap();
        assert!(why.contains("30") && why.contains("YUYV up to 10"), "{why}");
    }

    #[test]
    fn colours_follow_the_drivers_flags() {
        let spec = |matrix, range| CameraSpec { matrix, range, ..CameraSpec::of("x".into()) };
        let of = |format, colorspace, encoding, quantization| {
            let size = Size::new(4, 2);
            let pix = PixFormat {
                width: 4,
                height: 2,
                code: FourCc(0),
                field: 1,
                stride: 0,
                bytes: 0,
                colorspace,
                encoding,
                quantization,
            };
            colour(&spec(None, None), format, size, &pix).map(|f| (f.matrix, f.range))
        };
        let (low, high) = (Matrix::Bt601, Matrix::Bt709);
        assert_eq!(of(VideoFormat::Yuyv, 1, 0, 0), Ok((low, Range::Limited)), "SMPTE 170M");
        assert_eq!(of(VideoFormat::Yuyv, 3, 0, 0), Ok((high, Range::Limited)), "Rec. 709");
        assert_eq!(of(VideoFormat::Yuyv, 8, 0, 0), Ok((low, Range::Limited)), "sRGB, as most webcams");
        assert_eq!(of(VideoFormat::Nv12, 7, 0, 0), Ok((low, Range::Full)), "JPEG");
        assert_eq!(of(VideoFormat::Nv12, 3, 1, 1), Ok((low, Range::Full)), "explicit flags rule");
        assert_eq!(of(VideoFormat::Nv12, 8, 2, 2), Ok((high, Range::Limited)));
        assert_eq!(of(VideoFormat::Gray, 8, 0, 0), Ok((low, Range::Full)));
        assert_eq!(of(VideoFormat::Gray, 8, 0, 2), Ok((low, Range::Limited)));
        assert_eq!(of(VideoFormat::Mjpeg, 3, 2, 2), Ok((low, Range::Full)), "a JPEG is a JPEG");
        assert!(of(VideoFormat::Yuyv, 10, 0, 0).unwrap_err().contains("?matrix="));
        assert!(of(VideoFormat::Yuyv, 10, 6, 0).is_err());
    }

    #[test]
    fn sizes_on_offer() {
        let one = [Sizes::One { width: 640, height: 480 }];
        assert!(has_size(&one, 640, 480) && !has_size(&one, 640, 360));
        let between = [Sizes::Between { width: (16, 640), height: (16, 480) }];
        assert!(has_size(&between, 100, 100) && !has_size(&between, 641, 100));
        assert!(has_size(&[], 1, 1), "a driver that does not say is asked");
    }
}
