//! What an engine is prepared for.

use std::sync::Arc;
use std::time::Duration;

use super::DEFAULT_EFFORT;
use super::still::{Shape, Still};
use crate::frame::{Chroma, FrameFormat, Layout, Matrix, PixelFormat, Range, Siting, ToRgb, YuvFormat};
use crate::geom::Size;
use crate::kernels::Level;
use crate::memory::Budget;
use crate::model::Branches;
use crate::plan::Class;
use crate::tile::Tile;

/// What to prepare for.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of the input frame.
    pub size: Size,
    /// Format of input and output rows; grey for YUV frames.
    pub format: PixelFormat,
    /// Does blue stand before red, as in OpenCV's pictures?
    pub blue_first: bool,
    /// Layout of YUV frames; none for rows and frames of `format`.
    pub yuv: Option<YuvFormat>,
    /// Where the chroma of YUV frames lies.
    pub siting: Siting,
    /// What the samples of YUV frames mean that come out as one plane of RGB; none where they come out as they are.
    pub rgb: Option<(Matrix, Range)>,
    /// The most that the engine may allocate.
    pub budget: Budget,
    /// Tile shape.
    pub tile: Tile,
    /// Threads, the caller's included.
    pub threads: usize,
    /// Kernels to use.
    pub level: Level,
    /// Branches to run.
    pub branches: Branches,
    /// Work that [`Branches::Auto`] may do, from 0 to 100: at 100 every window gets both branches.
    pub effort: u8,
    /// Time that a frame may take: with it, [`Branches::Auto`] does less than its effort where that would take longer.
    pub deadline: Option<Duration>,
    /// Leave windows of whole frames as they are that stand still. [`Engine::upscale`](super::Engine::upscale) then writes those alone that it makes
    /// anew: the planes that it writes to must be as it has left them.
    pub still: Option<Still>,
    /// Does the caller say which windows stand still?
    pub(crate) told: bool,
    /// Classes of the windows, in the place of those that the picture suggests.
    #[doc(hidden)]
    pub classes: Option<Classes>,
}

/// Given classes of all windows, row by row: for tests.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Classes {
    pub windows: Arc<[Class]>,
    /// Compute everything, and put zeros where nothing is to be computed.
    pub whole: bool,
}

impl Options {
    /// For rows and frames of `format`. Defaults: 32 MiB, automatic tile, one thread, the best level of this processor,
    /// both branches.
    pub fn new(size: Size, format: PixelFormat) -> Self {
        Self {
            size,
            format,
            blue_first: false,
            yuv: None,
            siting: Siting::Left,
            rgb: None,
            budget: Budget::default(),
            tile: Tile::Auto,
            threads: 1,
            level: Level::best(),
            branches: Branches::Both,
            effort: DEFAULT_EFFORT,
            deadline: None,
            still: None,
            told: false,
            classes: None,
        }
    }

    /// For whole frames of luma and chroma, chroma sited on the left as in MPEG-2, H.264 and most cameras. The network
    /// upscales luma; a bicubic filter upscales chroma.
    pub fn yuv(size: Size, format: YuvFormat) -> Self {
        Self { yuv: Some(format), ..Self::new(size, PixelFormat::Gray8) }
    }

    /// With blue before red.
    pub fn with_blue_first(self) -> Self {
        Self { blue_first: true, ..self }
    }

    /// With another budget.
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// With another tile.
    pub fn with_tile(self, tile: Tile) -> Self {
        Self { tile, ..self }
    }

    /// With so many threads, the caller's included.
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// With the kernels of another level.
    pub fn with_level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// With other branches.
    pub fn with_branches(self, branches: Branches) -> Self {
        Self { branches, ..self }
    }

    /// With another effort for [`Branches::Auto`].
    pub fn with_effort(self, effort: u8) -> Self {
        Self { effort, ..self }
    }

    /// With a time that a frame may take, for [`Branches::Auto`].
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// With windows left as they are that stand still.
    pub fn with_still(self, still: Still) -> Self {
        Self { still: Some(still), ..self }
    }

    /// Are there colours, and does blue stand before red?
    pub(super) fn has_blue_first(&self) -> bool {
        self.blue_first && self.format.has_colour()
    }

    /// May there be frames of which every window is left out?
    pub(super) fn may_leave_out(&self) -> bool {
        let plain = self.branches == Branches::Auto && (self.effort < 100 || self.deadline.is_some());
        plain || self.still.is_some() || self.classes.is_some()
    }

    /// Planes of a frame.
    pub(super) fn shapes(&self) -> Vec<Shape> {
        let Size { width, height } = self.size;
        let first = Shape { width, height, channels: self.format.channels(), subsampling: (1, 1) };
        let Some(format) = self.yuv else { return vec![first] };
        let (planes, channels) = format.chroma_planes();
        let (across, down) = format.layout().subsampling();
        let (width, height) = (width.div_ceil(across), height.div_ceil(down));
        let chroma = Shape { width, height, channels, subsampling: (across, down) };
        let first = (!format.is_packed()).then_some(first);
        first.into_iter().chain(std::iter::repeat_n(chroma, planes)).collect()
    }

    /// With given classes.
    #[doc(hidden)]
    pub fn with_classes(self, windows: Arc<[Class]>, whole: bool) -> Self {
        Self { classes: Some(Classes { windows, whole }), ..self }
    }

    /// With chroma sited elsewhere.
    pub fn with_siting(self, siting: Siting) -> Self {
        Self { siting, ..self }
    }

    /// With YUV frames that come out as one plane of RGB, converted as the standard says.
    pub fn with_rgb(self, matrix: Matrix, range: Range) -> Self {
        Self { rgb: Some((matrix, range)), ..self }
    }

    /// Planes of chroma and channels of each, and the frames before and after, where there is chroma.
    pub(super) fn chroma(&self, scale: usize) -> Option<((usize, usize), [FrameFormat; 2])> {
        let format = self.yuv?;
        let [from, mut to] = [1, scale].map(|times| format.frame(self.siting, self.size.scaled(times)));
        if self.rgb.is_some() {
            to.layout = Layout::Rgb;
        }
        Some((format.chroma_planes(), [from, to]))
    }

    /// Bytes that enlarging chroma and converting it allocate.
    pub(super) fn chroma_bytes(&self, scale: usize) -> usize {
        let chroma = self.chroma(scale).map_or(0, |(planes, [from, to])| Chroma::bytes(planes, &from, &to));
        chroma + self.rgb.map_or(0, |_| ToRgb::bytes(self.size.width * scale))
    }
}
