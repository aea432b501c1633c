//! Frames of GStreamer as the engine takes them: in the buffers' memory, whatever lies between their rows.

use bifocal::{Options, PixelFormat, Plane, PlaneMut, Siting, Size, YuvFormat};
use gst_video::{VideoChromaSite, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};

/// How the engine sees frames of a format.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Yuv(YuvFormat),
    /// Blue may stand before red.
    Pixels(PixelFormat, bool),
}

/// All formats, what is cheapest and most usual first. Where U and V are swapped the engine need not know: it treats them
/// alike. The unused byte of RGBx is enlarged like alpha.
const FORMATS: [(VideoFormat, Seen); 15] = [
    (VideoFormat::Nv12, Seen::Yuv(YuvFormat::Nv12)),
    (VideoFormat::I420, Seen::Yuv(YuvFormat::I420)),
    (VideoFormat::Yuy2, Seen::Yuv(YuvFormat::Yuy2)),
    (VideoFormat::Gray8, Seen::Pixels(PixelFormat::Gray8, false)),
    (VideoFormat::Rgb, Seen::Pixels(PixelFormat::Rgb8, false)),
    (VideoFormat::Bgrx, Seen::Pixels(PixelFormat::Rgba8, true)),
    (VideoFormat::Nv21, Seen::Yuv(YuvFormat::Nv12)),
    (VideoFormat::Yv12, Seen::Yuv(YuvFormat::I420)),
    (VideoFormat::Yvyu, Seen::Yuv(YuvFormat::Yuy2)),
    (VideoFormat::Y42b, Seen::Yuv(YuvFormat::I422)),
    (VideoFormat::Y444, Seen::Yuv(YuvFormat::I444)),
    (VideoFormat::Bgr, Seen::Pixels(PixelFormat::Rgb8, true)),
    (VideoFormat::Rgbx, Seen::Pixels(PixelFormat::Rgba8, false)),
    (VideoFormat::Rgba, Seen::Pixels(PixelFormat::Rgba8, false)),
    (VideoFormat::Bgra, Seen::Pixels(PixelFormat::Rgba8, true)),
];

/// Formats that the element takes.
pub fn formats() -> impl Iterator<Item = VideoFormat> {
    FORMATS.iter().map(|(format, _)| *format)
}

/// What to prepare for frames of `info`.
///
/// Neither the range nor the matrix is asked for: luma goes through the network as it is and comes out in the same range, and
/// what luma of RGB is was fixed when the network was trained.
pub fn options(info: &VideoInfo) -> Result<Options, String> {
    let seen = FORMATS.iter().find(|(format, _)| *format == info.format()).map(|(_, seen)| *seen);
    let size = Size::new(info.width() as usize, info.height() as usize);
    match seen.ok_or_else(|| format!("frames in {} are not supported", info.format()))? {
        Seen::Yuv(format) => Ok(Options::yuv(size, format).with_siting(siting(info.chroma_site())?)),
        Seen::Pixels(format, false) => Ok(Options::new(size, format)),
        Seen::Pixels(format, true) => Ok(Options::new(size, format).with_blue_first()),
    }
}

/// Where chroma lies; on the left where nobody says.
fn siting(site: VideoChromaSite) -> Result<Siting, String> {
    let (across, down) = (VideoChromaSite::H_COSITED, VideoChromaSite::V_COSITED);
    Ok(match (site.contains(across), site.contains(down)) {
        (true, true) => Siting::TopLeft,
        (true, false) => Siting::Left,
        (false, true) => return Err("chroma on the upper row, between the columns, is not supported".into()),
        (false, false) if site.contains(VideoChromaSite::NONE) => Siting::Centre,
        (false, false) => Siting::Left,
    })
}

/// The most planes of a frame.
const PLANES: usize = 4;

fn strides(strides: &[i32]) -> [usize; PLANES] {
    // A stride that is none is too small for any row.
    std::array::from_fn(|plane| strides.get(plane).map_or(0, |stride| usize::try_from(*stride).unwrap_or(0)))
}

/// Calls `then` with the planes of a frame and of the one that it becomes.
pub fn with_planes<T>(
    input: &VideoFrameRef<&gst::BufferRef>,
    output: &mut VideoFrameRef<&mut gst::BufferRef>,
    then: impl FnOnce(&[Plane<'_>], &mut [PlaneMut<'_>]) -> T,
) -> T {
    let count = (input.n_planes() as usize).min(PLANES);
    let (from, to) = (strides(input.plane_stride()), strides(output.plane_stride()));
    let (mut from, mut to) = (from.into_iter(), to.into_iter());
    let planes = input.planes_data().map(|bytes| Plane::new(bytes, from.next().unwrap_or_default()));
    let mut made = output.planes_data_mut().map(|bytes| PlaneMut::new(bytes, to.next().unwrap_or_default()));
    then(&planes[..count], &mut made[..count])
}
