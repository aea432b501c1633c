//! Numbers on the picture: `--info-text`.

use std::fmt::Write;
use std::ops::Range as Rows;
use std::str::FromStr;
use std::time::{Duration, Instant};

use embedded_graphics::Drawable;
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_10X20 as FONT;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::text::{Baseline, Text};

use crate::frame::{FrameFormat, Layout, Range};
use crate::geom::{Rect, Size, Span};

/// Most letters of a text, numbers written out.
const MOST: usize = 80;
/// Letters that a number takes at most, with its unit.
const NUMBER: usize = 15;
/// Pixels of a letter.
const LETTER: Size = Size::new(10, 20);
/// Rows of a picture on which letters have their own size; on twice as many they are twice as large.
const ROWS: usize = 360;
/// Around the letters inside the box, and around the box.
const PADDING: usize = 4;
/// How often the numbers change: more often nobody can read them.
const PERIOD: Duration = Duration::from_millis(500);

/// A text with places for numbers: `%fps` frames a second, `%lat` median latency, `%temp` temperature of the
/// processor, `%drop` frames dropped since the beginning, `%effort` the effort of `--branches auto`, `%%` a percent sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoText(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Fps,
    Latency,
    Temperature,
    Dropped,
    Effort,
}

impl FromStr for InfoText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (piece, length) = match rest.strip_prefix('%') {
                None => {
                    let length = rest.find('%').unwrap_or(rest.len());
                    (Piece::Plain(rest[..length].into()), length)
                }
                Some(word) if word.starts_with('%') => (Piece::Plain(first.into()), 2),
                Some(word) => {
                    let length = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
                    (Piece::named(&word[..length])?, length + 1)
                }
            };
            pieces.push(piece);
            rest = &rest[length..];
        }
        let letters = |piece: &Piece| match piece {
            Piece::Plain(text) => text.chars().count(),
            _ => NUMBER,
        };
        let most: usize = pieces.iter().map(letters).sum();
        match text.chars().find(|c| !matches!(c, ' '..='~' | '\u{a0}'..='\u{ff}')) {
            Some(c) => Err(format!("there is no letter for {c:?}; those of Latin-1 can be drawn")),
            None if most > MOST => Err(format!("{most} letters are too many; {MOST} fit, and a number takes {NUMBER}")),
            None => Ok(Self(pieces)),
        }
    }
}

impl Piece {
    fn named(word: &str) -> Result<Self, String> {
        match word {
            "fps" => Ok(Self::Fps),
            "lat" => Ok(Self::Latency),
            "temp" => Ok(Self::Temperature),
            "drop" => Ok(Self::Dropped),
            "effort" => Ok(Self::Effort),
            _ => Err(format!(
                "'%{word}' is unknown; %fps, %lat, %temp, %drop and %effort are known, and %% is a percent sign"
            )),
        }
    }
}

/// The numbers of a moment; `None` is not known, or not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) fps: Option<f64>,
    pub(super) latency_ms: Option<f64>,
    pub(super) dropped: u64,
    pub(super) effort: Option<f64>,
}

/// Degrees Celsius of the processor, where there is a sensor. Called about twice a second.
pub type Thermometer = Box<dyn FnMut() -> Option<f64> + Send>;

/// Draws the text in the lower left corner; allocates nothing after it is made.
pub(super) struct Overlay {
    text: InfoText,
    thermometer: Thermometer,
    format: FrameFormat,
    next: Option<Instant>,
    written: heapless::String<{ 2 * MOST }>,
    mask: Mask,
    /// Pixels of the picture for each of a letter.
    scale: usize,
    area: Rect,
}

/// Letters at their own size, a byte for each pixel.
struct Mask(Vec<u8>);

impl OriginDimensions for Mask {
    fn size(&self) -> embedded_graphics::geometry::Size {
        embedded_graphics::geometry::Size::new((MOST * LETTER.width) as u32, LETTER.height as u32)
    }
}

impl DrawTarget for Mask {
    type Color = BinaryColor;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        for Pixel(at, colour) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) else { continue };
            if x < MOST * LETTER.width && y < LETTER.height {
                self.0[y * MOST * LETTER.width + x] = u8::from(colour.is_on());
            }
        }
        Ok(())
    }
}

impl Overlay {
    /// Bytes that an overlay allocates beside its text.
    pub(super) const BYTES: usize = MOST * LETTER.width * LETTER.height + size_of::<Self>();

    /// For frames of `format`.
    pub(super) fn new(text: InfoText, thermometer: Thermometer, format: FrameFormat) -> Self {
        let nowhere = Span::new(0, 0);
        Self {
            text,
            thermometer,
            format,
            next: None,
            written: heapless::String::new(),
            mask: Mask(vec![0; MOST * LETTER.width * LETTER.height]),
            scale: 1,
            area: Rect { x: nowhere, y: nowhere },
        }
    }

    /// Rows that it may draw on, whatever the numbers: those of the largest letters.
    pub(super) fn rows(&self) -> Rows<usize> {
        let height = self.format.size.height;
        let usual = ((height + ROWS / 2) / ROWS).max(1);
        height.saturating_sub(usual * (LETTER.height + 3 * PADDING) + 1)..height
    }

    /// Draws on `frame`. `numbers` are asked for when it is time for new ones.
    pub(super) fn draw(&mut self, frame: &mut [u8], numbers: impl FnOnce() -> Numbers) {
        let now = Instant::now();
        if self.next.is_none_or(|next| now >= next) {
            self.next = Some(now + PERIOD);
            self.write(numbers());
        }
        self.paint(frame);
    }

    /// Writes the text with these numbers, and finds its place.
    fn write(&mut self, numbers: Numbers) {
        let temperature = (self.thermometer)();
        let Self { text, written, mask, .. } = self;
        written.clear();
        for piece in &text.0 {
            // It fits: the text was measured when it was read. A sum that is no number of people's is cut.
            let number = |value: Option<f64>| value.map(|v| v.clamp(-999.9, 9999.9));
            let _ = match piece {
                Piece::Plain(text) => written.push_str(text).map_err(|_| std::fmt::Error),
                Piece::Fps => number_with(written, number(numbers.fps), 1, " fps"),
                Piece::Latency => number_with(written, number(numbers.latency_ms), 0, " ms"),
                Piece::Temperature => number_with(written, number(temperature), 0, " °C"),
                Piece::Effort => number_with(written, numbers.effort, 0, ""),
                Piece::Dropped => write!(written, "{} dropped", numbers.dropped.min(9_999_999)),
            };
        }
        mask.0.fill(0);
        let style = MonoTextStyle::new(&FONT, BinaryColor::On);
        let Ok(_) = Text::with_baseline(written, Point::zero(), style, Baseline::Top).draw(mask);
        self.place();
    }

    /// As large as suits the picture, smaller where the text would not fit.
    fn place(&mut self) {
        let Size { width, height } = self.format.size;
        let letters = self.written.chars().count();
        let bytes = |scale: usize| scale * (letters * LETTER.width + 4 * PADDING);
        let usual = ((height + ROWS / 2) / ROWS).max(1);
        self.scale = (1..=usual).rev().find(|scale| bytes(*scale) <= width).unwrap_or(1);
        let margin = PADDING * self.scale;
        let inside = |text: usize| (text + 2 * PADDING) * self.scale;
        // Even sides, so that no chroma sample is half inside.
        let span = |start: usize, length: usize, most: usize| {
            let end = (start + length).next_multiple_of(2).min(most);
            Span::new((start & !1).min(end), end)
        };
        let (across, down) = (inside(letters * LETTER.width), inside(LETTER.height));
        let x = span(margin, across, width);
        let y = span(height.saturating_sub(down + margin), down, height);
        self.area = if letters == 0 { Rect { x: Span::new(0, 0), y: Span::new(0, 0) } } else { Rect { x, y } };
    }

    fn paint(&self, frame: &mut [u8]) {
        let Self { format, area, scale, mask, .. } = self;
        if area.x.is_empty() || area.y.is_empty() {
            return;
        }
        let (black, white) = match (format.layout, format.range) {
            (Layout::Rgb, _) | (_, Range::Full) => (0, 255),
            (_, Range::Limited) => (16, 235),
        };
        let channels = if format.layout == Layout::Rgb { 3 } else { 1 };
        let [first, cb, cr] = format.planes_mut(frame);
        for y in area.y.start..area.y.end {
            let row = &mut first[channels * (y * format.size.width + area.x.start)..][..channels * area.x.len()];
            row.fill(black);
            let Some(line) = ((y - area.y.start) / scale).checked_sub(PADDING) else { continue };
            let Some(line) = mask.0.chunks_exact(MOST * LETTER.width).nth(line) else { continue };
            let letters = row.chunks_exact_mut(channels * scale).skip(PADDING).zip(line);
            letters.filter(|(_, lit)| **lit > 0).for_each(|(pixels, _)| pixels.fill(white));
        }
        if format.layout.has_chroma() {
            let (across, down) = format.layout.subsampling();
            let width = format.chroma().width;
            for plane in [cb, cr] {
                for y in area.y.start / down..area.y.end.div_ceil(down) {
                    plane[y * width..][area.x.start / across..area.x.end.div_ceil(across)].fill(128);
                }
            }
        }
    }
}

fn number_with(text: &mut impl Write, value: Option<f64>, digits: usize, unit: &str) -> std::fmt::Result {
    match value {
        Some(value) => write!(text, "{value:.digits$}{unit}"),
        None => write!(text, "-{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Siting;

    fn overlay(text: &str, format: FrameFormat) -> Overlay {
        Overlay::new(text.parse().unwrap(), Box::new(|| Some(48.6)), format)
    }

    fn format(size: Size, layout: Layout, range: Range) -> FrameFormat {
        FrameFormat { range, siting: Siting::Left, ..FrameFormat::picture(size, layout) }
    }

    const NUMBERS: Numbers = Numbers { fps: Some(29.97), latency_ms: Some(41.4), dropped: 7, effort: Some(39.7) };

    #[test]
    fn numbers_stand_in_their_places() {
        let format = format(Size::new(640, 360), Layout::Gray, Range::Full);
        for (text, written) in [
            ("%fps %lat %temp %drop", "30.0 fps 41 ms 49 °C 7 dropped"),
            ("100%% a%drop.", "100% a7 dropped."),
            ("effort %effort", "effort 40"),
            ("%%fps", "%fps"),
            ("plain", "plain"),
            ("", ""),
        ] {
            let mut overlay = overlay(text, format);
            overlay.write(NUMBERS);
            assert_eq!(overlay.written, written);
        }
        let mut early = Overlay::new("%fps %lat %temp %drop".parse().unwrap(), Box::new(|| None), format);
        early.write(Numbers::default());
        assert_eq!(early.written, "- fps - ms - °C 0 dropped");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, reason) in [
            ("%frames", "'%frames' is unknown"),
            ("50%", "'%' is unknown"),
            ("% fps", "'%' is unknown"),
            ("a\nb", "no letter"),
            ("漢字", "no letter"),
            (&"x".repeat(81), "81 letters"),
            (&"%fps".repeat(6), "90 letters"),
        ] {
            let error = text.parse::<InfoText>().unwrap_err();
            assert!(error.contains(reason) && !error.contains('\n'), "{text}: {error}");
        }
        assert!("x".repeat(80).parse::<InfoText>().is_ok());
    }

    /// Every sample outside the box stays; inside there are black, white and grey chroma, and the letters are those of
    /// the font, `scale` times as large.
    #[test]
    fn the_box_is_drawn_in_every_layout_and_nothing_else() {
        let layouts = [Layout::Gray, Layout::Yuv420, Layout::Yuv422, Layout::Yuv444, Layout::Rgb];
        let sizes = [Size::new(640, 360), Size::new(1281, 719), Size::new(151, 37), Size::new(7, 3), Size::new(1, 1)];
        for (layout, size, range) in layouts
            .into_iter()
            .flat_map(|layout| sizes.map(|size| (layout, size)))
            .flat_map(|(layout, size)| [Range::Full, Range::Limited].map(|range| (layout, size, range)))
        {
            let format = format(size, layout, range);
            let mut overlay = overlay("%fps %drop", format);
            let before: Vec<u8> = (0..format.bytes()).map(|i| (i * 7 % 200 + 30) as u8).collect();
            let mut frame = before.clone();
            overlay.draw(&mut frame, || NUMBERS);
            let area = overlay.area;
            assert!(area.x.end <= size.width && area.y.end <= size.height, "{area:?} in {size}");
            let inside =
                |x: usize, y: usize| (area.x.start..area.x.end).contains(&x) && (area.y.start..area.y.end).contains(&y);
            let (black, white) = if range == Range::Full || layout == Layout::Rgb { (0, 255) } else { (16, 235) };
            let channels = if layout == Layout::Rgb { 3 } else { 1 };
            let ([first, cb, cr], [old, old_cb, old_cr]) = (format.planes(&frame), format.planes(&before));
            let mut lit = 0;
            for (i, (new, old)) in first.iter().zip(old).enumerate() {
                let (x, y) = (i / channels % size.width, i / channels / size.width);
                if !inside(x, y) {
                    assert_eq!(new, old, "{layout:?} {size}, {x}, {y}");
                    continue;
                }
                let at = |at: usize, start: usize| ((at - start) / overlay.scale).checked_sub(PADDING);
                let letter = at(x, area.x.start).zip(at(y, area.y.start)).filter(|(_, y)| *y < LETTER.height);
                let on = letter.is_some_and(|(x, y)| overlay.mask.0[y * MOST * LETTER.width + x] > 0);
                assert_eq!(*new, if on { white } else { black }, "{layout:?} {size}, {x}, {y}");
                lit += usize::from(on);
            }
            assert!(lit > 100 || size.height < 100, "letters are seen");
            let (across, down) = layout.subsampling();
            for (new, old) in [(cb, old_cb), (cr, old_cr)] {
                let width = format.chroma().width.max(1);
                for (i, (new, old)) in new.iter().zip(old).enumerate() {
                    let grey = inside(i % width * across, i / width * down);
                    assert_eq!(*new, if grey { 128 } else { *old }, "{layout:?} {size}, chroma {i}");
                }
            }
        }
    }

    #[test]
    fn letters_grow_with_the_picture() {
        for (size, scale) in [((640, 360), 1), ((1920, 1080), 3), ((3840, 2160), 6), ((200, 1080), 1), ((10, 10), 1)] {
            let mut overlay = overlay("%fps %lat", format(Size::new(size.0, size.1), Layout::Gray, Range::Full));
            overlay.write(NUMBERS);
            assert_eq!(overlay.scale, scale, "{size:?}");
        }
    }
}
