//! Frames as cameras lay them out, with padded rows and interleaved samples, to planes.

// Without cameras, pipes still use some of it.
#![cfg_attr(not(all(target_os = "linux", feature = "v4l2")), allow(dead_code))]

use super::VideoFormat;
use crate::frame::FrameFormat;

impl VideoFormat {
    /// Bytes from row to row of a frame without padding; 0 for compressed ones.
    pub(in crate::io) const fn least_stride(self, width: usize) -> usize {
        match self {
            Self::Yuv420p | Self::Nv12 | Self::Yuv422p => width.next_multiple_of(2),
            Self::Gray | Self::Yuv444p => width,
            Self::Yuyv | Self::Uyvy => 2 * width.next_multiple_of(2),
            Self::Rgb24 => 3 * width,
            Self::Mjpeg => 0,
        }
    }

    /// Bytes from row to row of a chroma plane whose luma rows are `stride` apart.
    const fn chroma_stride(self, stride: usize) -> usize {
        match self {
            Self::Yuv420p | Self::Yuv422p => stride / 2,
            _ => stride,
        }
    }

    /// Bytes of a frame whose rows are `stride` apart; the last row may lack its padding.
    pub(in crate::io) fn bytes(self, format: &FrameFormat, stride: usize) -> usize {
        let (width, height) = (format.size.width, format.size.height);
        let chroma = format.chroma();
        match self {
            Self::Yuv420p | Self::Yuv422p | Self::Yuv444p => {
                stride * height + self.chroma_stride(stride) * (2 * chroma.height - 1) + chroma.width
            }
            Self::Nv12 => stride * height + stride * (chroma.height - 1) + 2 * chroma.width,
            Self::Yuyv | Self::Uyvy | Self::Gray | Self::Rgb24 => stride * (height - 1) + self.least_stride(width),
            Self::Mjpeg => 1,
        }
    }
}

/// Lays the samples of `from` out as planes; `None` if it is too short. For all but [`VideoFormat::Mjpeg`].
pub(in crate::io) fn unpack(
    packing: VideoFormat,
    format: &FrameFormat,
    stride: usize,
    from: &[u8],
    frame: &mut [u8],
) -> Option<()> {
    if from.len() < packing.bytes(format, stride) {
        return None;
    }
    let (width, height) = (format.size.width, format.size.height);
    let chroma = format.chroma();
    let [luma, cb, cr] = format.planes_mut(frame);
    match packing {
        VideoFormat::Gray => rows(from, stride, luma, width),
        VideoFormat::Rgb24 => rows(from, stride, luma, 3 * width),
        VideoFormat::Yuv420p | VideoFormat::Yuv422p | VideoFormat::Yuv444p => {
            rows(from, stride, luma, width);
            let (from, stride) = (&from[stride * height..], packing.chroma_stride(stride));
            rows(from, stride, cb, chroma.width);
            rows(&from[stride * chroma.height..], stride, cr, chroma.width);
        }
        VideoFormat::Nv12 => {
            rows(from, stride, luma, width);
            let to = cb.chunks_exact_mut(chroma.width).zip(cr.chunks_exact_mut(chroma.width));
            for (row, (cb, cr)) in from[stride * height..].chunks(stride).zip(to) {
                for ((pair, cb), cr) in row.chunks_exact(2).zip(cb).zip(cr) {
                    (*cb, *cr) = (pair[0], pair[1]);
                }
            }
        }
        VideoFormat::Yuyv | VideoFormat::Uyvy => {
            let order = packing.order()?;
            let to = cb.chunks_exact_mut(chroma.width).zip(cr.chunks_exact_mut(chroma.width));
            for ((row, luma), (cb, cr)) in from.chunks(stride).zip(luma.chunks_exact_mut(width)).zip(to) {
                deinterleave(row, order, luma, cb, cr);
            }
        }
        VideoFormat::Mjpeg => return None,
    }
    Some(())
}

fn rows(from: &[u8], stride: usize, to: &mut [u8], width: usize) {
    for (row, to) in from.chunks(stride).zip(to.chunks_exact_mut(width)) {
        to.copy_from_slice(&row[..width]);
    }
}

/// Groups of four bytes to planes; `order` says where Y, Cb, Y and Cr lie. Of an odd row the last Y is filler.
pub(super) fn deinterleave(from: &[u8], [y0, u, y1, v]: [usize; 4], luma: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    for (((quad, luma), cb), cr) in from.chunks_exact(4).zip(luma.chunks_mut(2)).zip(cb).zip(cr) {
        luma[0] = quad[y0];
        if let Some(second) = luma.get_mut(1) {
            *second = quad[y1];
        }
        (*cb, *cr) = (quad[u], quad[v]);
    }
}

/// The opposite of [`unpack`]: writes planes into `to`, whose padding is left as it is.
pub(in crate::io) fn pack(packing: VideoFormat, format: &FrameFormat, stride: usize, frame: &[u8], to: &mut [u8]) {
    let (width, height) = (format.size.width, format.size.height);
    let chroma = format.chroma();
    let [luma, cb, cr] = format.planes(frame);
    let copy = |from: &[u8], width: usize, to: &mut [u8], stride: usize| {
        for (row, to) in from.chunks_exact(width).zip(to.chunks_mut(stride)) {
            to[..width].copy_from_slice(row);
        }
    };
    match packing {
        VideoFormat::Gray => copy(luma, width, to, stride),
        VideoFormat::Rgb24 => copy(luma, 3 * width, to, stride),
        VideoFormat::Yuv420p | VideoFormat::Yuv422p | VideoFormat::Yuv444p => {
            let (first, rest) = to.split_at_mut(stride * height);
            copy(luma, width, first, stride);
            let stride = packing.chroma_stride(stride);
            let (second, third) = rest.split_at_mut(stride * chroma.height);
            copy(cb, chroma.width, second, stride);
            copy(cr, chroma.width, third, stride);
        }
        VideoFormat::Nv12 => {
            let (first, rest) = to.split_at_mut(stride * height);
            copy(luma, width, first, stride);
            let from = cb.chunks_exact(chroma.width).zip(cr.chunks_exact(chroma.width));
            for (row, (cb, cr)) in rest.chunks_mut(stride).zip(from) {
                for ((pair, cb), cr) in row.chunks_exact_mut(2).zip(cb).zip(cr) {
                    (pair[0], pair[1]) = (*cb, *cr);
                }
            }
        }
        VideoFormat::Yuyv | VideoFormat::Uyvy => {
            let from = cb.chunks_exact(chroma.width).zip(cr.chunks_exact(chroma.width));
            let order = packing.order().unwrap_or_default();
            for ((row, luma), (cb, cr)) in to.chunks_mut(stride).zip(luma.chunks_exact(width)).zip(from) {
                interleave(luma, cb, cr, order, row);
            }
        }
        VideoFormat::Mjpeg => {}
    }
}

/// The opposite of [`deinterleave`]; the filler of an odd row is its last Y.
pub(super) fn interleave(luma: &[u8], cb: &[u8], cr: &[u8], [y0, u, y1, v]: [usize; 4], to: &mut [u8]) {
    for (((quad, luma), cb), cr) in to.chunks_exact_mut(4).zip(luma.chunks(2)).zip(cb).zip(cr) {
        (quad[y0], quad[u], quad[y1], quad[v]) = (luma[0], *cb, luma[luma.len() - 1], *cr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Layout;
    use crate::geom::Size;

    const ALL: [VideoFormat; 8] = [
        VideoFormat::Yuv420p,
        VideoFormat::Yuv422p,
        VideoFormat::Yuv444p,
        VideoFormat::Nv12,
        VideoFormat::Yuyv,
        VideoFormat::Uyvy,
        VideoFormat::Gray,
        VideoFormat::Rgb24,
    ];

    #[test]
    fn padded_and_odd_frames_go_there_and_back() {
        for packing in ALL {
            for size in [Size::new(1, 1), Size::new(7, 5), Size::new(8, 6), Size::new(33, 3)] {
                let format = FrameFormat::picture(size, packing.layout());
                let planes: Vec<u8> = (0..format.bytes()).map(|i| (i * 37 % 251) as u8).collect();
                for padding in [0, 2, 16] {
                    let stride = packing.least_stride(size.width) + padding;
                    let least = packing.bytes(&format, stride);
                    let mut packed = vec![0xaa; least + stride];
                    pack(packing, &format, stride, &planes, &mut packed);
                    let mut back = vec![0; format.bytes()];
                    assert_eq!(unpack(packing, &format, stride, &packed[..least], &mut back), Some(()));
                    assert_eq!(back, planes, "{packing:?} {size} + {padding}");
                    assert_eq!(unpack(packing, &format, stride, &packed[..least - 1], &mut back), None);
                }
            }
        }
    }

    #[test]
    fn samples_lie_where_the_format_says() {
        let format = FrameFormat::picture(Size::new(3, 1), Layout::Yuv422);
        let mut planes = [0; 7];
        unpack(VideoFormat::Yuyv, &format, 8, &[1, 50, 2, 60, 3, 51, 9, 61], &mut planes);
        assert_eq!(planes, [1, 2, 3, 50, 51, 60, 61]);
        unpack(VideoFormat::Uyvy, &format, 8, &[50, 1, 60, 2, 51, 3, 61, 9], &mut planes);
        assert_eq!(planes, [1, 2, 3, 50, 51, 60, 61]);
        let format = FrameFormat::picture(Size::new(2, 2), Layout::Yuv420);
        let mut planes = [0; 6];
        unpack(VideoFormat::Nv12, &format, 4, &[1, 2, 0, 0, 3, 4, 0, 0, 50, 60], &mut planes);
        assert_eq!(planes, [1, 2, 3, 4, 50, 60]);
        unpack(VideoFormat::Yuv420p, &format, 4, &[1, 2, 0, 0, 3, 4, 0, 0, 50, 0, 60], &mut planes);
        assert_eq!(planes, [1, 2, 3, 4, 50, 60]);
    }
}
