//! Frames as cameras lay them out, with padded rows and interleaved samples, to planes.

// Without cameras, pipes still use some of it.
#![cfg_attr(not(all(target_os = "linux", feature = "v4l2")), allow(dead_code))]

use crate::frame::{FrameFormat, Layout};

/// How a camera lays out a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Luma, Cb, Cr; chroma of half the width and height.
    Yu12,
    /// Luma, then rows of Cb and Cr in turn, of half the width and height.
    Nv12,
    /// Rows of Y, Cb, Y, Cr.
    Yuyv,
    /// Rows of Cb, Y, Cr, Y.
    Uyvy,
    /// Luma.
    Grey,
    /// A JPEG file for each frame.
    Mjpg,
}

impl Packing {
    /// Names in a URI and what they stand for.
    pub(super) const NAMES: [(&'static str, Self); 6] = [
        ("nv12", Self::Nv12),
        ("yu12", Self::Yu12),
        ("yuyv", Self::Yuyv),
        ("uyvy", Self::Uyvy),
        ("grey", Self::Grey),
        ("mjpg", Self::Mjpg),
    ];

    /// Layout of the same samples as planes.
    pub(super) const fn layout(self) -> Layout {
        match self {
            Self::Yu12 | Self::Nv12 => Layout::Yuv420,
            Self::Yuyv | Self::Uyvy => Layout::Yuv422,
            Self::Grey => Layout::Gray,
            Self::Mjpg => Layout::Yuv444,
        }
    }

    /// Bytes from row to row of a frame without padding; 0 for compressed ones.
    pub(super) const fn least_stride(self, width: usize) -> usize {
        match self {
            Self::Yu12 | Self::Nv12 => width.next_multiple_of(2),
            Self::Grey => width,
            Self::Yuyv | Self::Uyvy => 2 * width.next_multiple_of(2),
            Self::Mjpg => 0,
        }
    }

    /// Bytes of a frame whose rows are `stride` apart; the last row may lack its padding.
    pub(super) fn bytes(self, format: &FrameFormat, stride: usize) -> usize {
        let (width, height) = (format.size.width, format.size.height);
        let chroma = format.chroma();
        match self {
            Self::Yu12 => stride * height + stride / 2 * (2 * chroma.height - 1) + chroma.width,
            Self::Nv12 => stride * height + stride * (chroma.height - 1) + 2 * chroma.width,
            Self::Yuyv | Self::Uyvy | Self::Grey => stride * (height - 1) + self.least_stride(width),
            Self::Mjpg => 1,
        }
    }
}

/// Lays the samples of `from` out as planes; `None` if it is too short. For all but [`Packing::Mjpg`].
pub(super) fn unpack(
    packing: Packing,
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
        Packing::Yu12 | Packing::Grey => {
            rows(from, stride, luma, width);
            if packing == Packing::Yu12 {
                let from = &from[stride * height..];
                rows(from, stride / 2, cb, chroma.width);
                rows(&from[stride / 2 * chroma.height..], stride / 2, cr, chroma.width);
            }
        }
        Packing::Nv12 => {
            rows(from, stride, luma, width);
            let to = cb.chunks_exact_mut(chroma.width).zip(cr.chunks_exact_mut(chroma.width));
            for (row, (cb, cr)) in from[stride * height..].chunks(stride).zip(to) {
                for ((pair, cb), cr) in row.chunks_exact(2).zip(cb).zip(cr) {
                    (*cb, *cr) = (pair[0], pair[1]);
                }
            }
        }
        Packing::Yuyv | Packing::Uyvy => {
            let places = if packing == Packing::Yuyv { [0, 1, 2, 3] } else { [1, 0, 3, 2] };
            let to = cb.chunks_exact_mut(chroma.width).zip(cr.chunks_exact_mut(chroma.width));
            for ((row, luma), (cb, cr)) in from.chunks(stride).zip(luma.chunks_exact_mut(width)).zip(to) {
                unweave(row, places, luma, cb, cr);
            }
        }
        Packing::Mjpg => return None,
    }
    Some(())
}

fn rows(from: &[u8], stride: usize, to: &mut [u8], width: usize) {
    for (row, to) in from.chunks(stride).zip(to.chunks_exact_mut(width)) {
        to.copy_from_slice(&row[..width]);
    }
}

/// Groups of four bytes to planes; `places` are those of Y, Cb, Y, Cr. Of an odd row the last Y is filler.
pub(super) fn unweave(woven: &[u8], [y0, u, y1, v]: [usize; 4], luma: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    for (((quad, luma), cb), cr) in woven.chunks_exact(4).zip(luma.chunks_mut(2)).zip(cb).zip(cr) {
        luma[0] = quad[y0];
        if let Some(second) = luma.get_mut(1) {
            *second = quad[y1];
        }
        (*cb, *cr) = (quad[u], quad[v]);
    }
}

/// The opposite of [`unpack`]: writes planes into `to`, whose padding is left as it is.
pub(super) fn pack(packing: Packing, format: &FrameFormat, stride: usize, frame: &[u8], to: &mut [u8]) {
    let (width, height) = (format.size.width, format.size.height);
    let chroma = format.chroma();
    let [luma, cb, cr] = format.planes(frame);
    let copy = |from: &[u8], width: usize, to: &mut [u8], stride: usize| {
        for (row, to) in from.chunks_exact(width).zip(to.chunks_mut(stride)) {
            to[..width].copy_from_slice(row);
        }
    };
    match packing {
        Packing::Grey => copy(luma, width, to, stride),
        Packing::Yu12 => {
            let (first, rest) = to.split_at_mut(stride * height);
            copy(luma, width, first, stride);
            let (second, third) = rest.split_at_mut(stride / 2 * chroma.height);
            copy(cb, chroma.width, second, stride / 2);
            copy(cr, chroma.width, third, stride / 2);
        }
        Packing::Nv12 => {
            let (first, rest) = to.split_at_mut(stride * height);
            copy(luma, width, first, stride);
            let from = cb.chunks_exact(chroma.width).zip(cr.chunks_exact(chroma.width));
            for (row, (cb, cr)) in rest.chunks_mut(stride).zip(from) {
                for ((pair, cb), cr) in row.chunks_exact_mut(2).zip(cb).zip(cr) {
                    (pair[0], pair[1]) = (*cb, *cr);
                }
            }
        }
        Packing::Yuyv | Packing::Uyvy => {
            let from = cb.chunks_exact(chroma.width).zip(cr.chunks_exact(chroma.width));
            for ((row, luma), (cb, cr)) in to.chunks_mut(stride).zip(luma.chunks_exact(width)).zip(from) {
                for (((quad, luma), cb), cr) in row.chunks_exact_mut(4).zip(luma.chunks(2)).zip(cb).zip(cr) {
                    let (first, last) = (luma[0], luma[luma.len() - 1]);
                    quad.copy_from_slice(&match packing {
                        Packing::Yuyv => [first, *cb, last, *cr],
                        _ => [*cb, first, *cr, last],
                    });
                }
            }
        }
        Packing::Mjpg => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geom::Size;

    const ALL: [Packing; 5] = [Packing::Yu12, Packing::Nv12, Packing::Yuyv, Packing::Uyvy, Packing::Grey];

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
        unpack(Packing::Yuyv, &format, 8, &[1, 50, 2, 60, 3, 51, 9, 61], &mut planes);
        assert_eq!(planes, [1, 2, 3, 50, 51, 60, 61]);
        unpack(Packing::Uyvy, &format, 8, &[50, 1, 60, 2, 51, 3, 61, 9], &mut planes);
        assert_eq!(planes, [1, 2, 3, 50, 51, 60, 61]);
        let format = FrameFormat::picture(Size::new(2, 2), Layout::Yuv420);
        let mut planes = [0; 6];
        unpack(Packing::Nv12, &format, 4, &[1, 2, 0, 0, 3, 4, 0, 0, 50, 60], &mut planes);
        assert_eq!(planes, [1, 2, 3, 4, 50, 60]);
        unpack(Packing::Yu12, &format, 4, &[1, 2, 0, 0, 3, 4, 0, 0, 50, 0, 60], &mut planes);
        assert_eq!(planes, [1, 2, 3, 4, 50, 60]);
    }
}
