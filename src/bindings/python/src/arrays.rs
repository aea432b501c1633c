//! How frames lie in arrays: pixels with their channels last, or the planes of YUV 4:2:0 one after the other.
//!
//! Rows of pixels are read and written one by one, so they may lie any distance apart, in either direction; the bytes of a
//! row must lie side by side. A YUV frame must lie in one piece: its chroma rows are half as far apart as its luma rows.

use bifocal::{Engine, Matrix, Options, PixelFormat, Plane, PlaneMut, Range, Siting, Size, YuvFormat};
use numpy::ndarray::{ArrayViewD, ArrayViewMutD};

use crate::arguments::text;
use crate::errors::Failure;

/// What the bytes of a frame mean.
#[derive(Clone, Copy, PartialEq)]
pub enum Form {
    /// Pixels, red and blue in turned order where `swapped`.
    Pixels { format: PixelFormat, swapped: bool },
    /// Planes of YUV 4:2:0.
    Yuv { format: YuvFormat, siting: Siting, rgb: Option<Rgb> },
}

/// How YUV frames become pixels.
#[derive(Clone, Copy, PartialEq)]
pub struct Rgb {
    pub matrix: Matrix,
    pub range: Range,
    pub swapped: bool,
}

const FORMATS: [(&str, PixelFormat, bool); 7] = [
    ("grey", PixelFormat::Gray8, false),
    ("gray", PixelFormat::Gray8, false),
    ("greyalpha", PixelFormat::GrayAlpha8, false),
    ("rgb", PixelFormat::Rgb8, false),
    ("rgba", PixelFormat::Rgba8, false),
    ("bgr", PixelFormat::Rgb8, true),
    ("bgra", PixelFormat::Rgba8, true),
];

/// What a caller says of frames.
pub struct Said {
    /// Nothing where the shape of an array tells.
    form: Option<Form>,
    size: Option<Size>,
}

/// The words of a caller.
pub struct Words<'a> {
    pub format: Option<&'a str>,
    pub size: Option<Size>,
    pub output: Option<&'a str>,
    pub matrix: Option<&'a str>,
    pub range: Option<&'a str>,
    pub siting: Option<&'a str>,
}

/// The value of a word.
fn choose<T: Copy>(what: &str, word: &str, known: &[(&str, T)]) -> Result<T, Failure> {
    let word = text(what, word)?;
    let found = known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        Failure::input(format!("{what} '{word}' is not one of {}", names.join(", ")))
    })
}

impl Said {
    /// Judges the words. One that would change nothing is an error.
    pub fn new(words: &Words<'_>) -> Result<Self, Failure> {
        let pixels = FORMATS.map(|(name, format, swapped)| (name, Form::Pixels { format, swapped }));
        let yuv = [("yuv420", YuvFormat::I420), ("nv12", YuvFormat::Nv12)];
        let yuv = yuv.map(|(name, format)| (name, Form::Yuv { format, siting: Siting::Left, rgb: None }));
        let known = [&pixels[..], &yuv[..]].concat();
        let mut form = words.format.map(|word| choose("format", word, &known)).transpose()?;
        let Words { size, output, matrix, range, siting, .. } = *words;
        if let Some(Form::Yuv { siting: sited, rgb, .. }) = &mut form {
            let places = [("left", Siting::Left), ("centre", Siting::Centre), ("topleft", Siting::TopLeft)];
            *sited = siting.map_or(Ok(*sited), |word| choose("siting", word, &places))?;
            let swapped = output.map(|word| choose("output", word, &[("rgb", false), ("bgr", true)])).transpose()?;
            let matrices = [("bt601", Matrix::Bt601), ("bt709", Matrix::Bt709)];
            let matrix = matrix.map(|word| choose("matrix", word, &matrices)).transpose()?;
            let ranges = [("limited", Range::Limited), ("full", Range::Full)];
            let range = range.map(|word| choose("range", word, &ranges)).transpose()?;
            if swapped.is_none() && (matrix.is_some() || range.is_some()) {
                return Err(Failure::input("matrix and range are for output='rgb' or 'bgr'"));
            }
            let matrix = matrix.unwrap_or(Matrix::Bt601);
            let range = range.unwrap_or(Range::Limited);
            *rgb = swapped.map(|swapped| Rgb { matrix, range, swapped });
        } else {
            let given = [
                ("size", size.is_some()),
                ("output", output.is_some()),
                ("matrix", matrix.is_some()),
                ("range", range.is_some()),
                ("siting", siting.is_some()),
            ];
            if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
                return Err(Failure::input(format!("{name} is for format='yuv420' or 'nv12'")));
            }
        }
        Ok(Self { form, size })
    }

    /// The frame that an array of this shape holds.
    pub fn frame(&self, shape: &[usize]) -> Result<Frame, Failure> {
        let form = match self.form {
            Some(form) => form,
            None => {
                let format = match shape {
                    [_, _] | [_, _, 1] => PixelFormat::Gray8,
                    [_, _, 2] => PixelFormat::GrayAlpha8,
                    [_, _, 3] => PixelFormat::Rgb8,
                    [_, _, 4] => PixelFormat::Rgba8,
                    _ => {
                        return Err(Failure::input(format!(
                            "an array of shape {}; frames are height x width, with 1 to 4 channels last",
                            shown(shape)
                        )));
                    }
                };
                Form::Pixels { format, swapped: false }
            }
        };
        match form {
            Form::Pixels { format, .. } => match *shape {
                [height, width] if format.channels() == 1 => {
                    Ok(Frame { form, size: Size::new(width, height), flat: true })
                }
                [height, width, channels] if channels == format.channels() => {
                    Ok(Frame { form, size: Size::new(width, height), flat: false })
                }
                _ => Err(Failure::input(format!(
                    "an array of shape {}; frames of this format are height x width x {}",
                    shown(shape),
                    format.channels()
                ))),
            },
            Form::Yuv { .. } => self.yuv(form, shape),
        }
    }

    /// Planes in rows, of which two rows of chroma share one; or bytes without rows, which are packed.
    fn yuv(&self, form: Form, shape: &[usize]) -> Result<Frame, Failure> {
        let wrong = |needed: String| Failure::input(format!("an array of shape {}; {needed}", shown(shape)));
        let size = match (shape, self.size) {
            ([_, _] | [_], Some(size)) => size,
            (&[rows, width], None) if rows % 3 != 1 => Size::new(width, rows - rows.div_ceil(3)),
            ([_], None) => return Err(wrong("say which size=(width, height) it has".into())),
            _ => return Err(wrong("YUV 4:2:0 frames have height * 3 / 2 rows of luma's bytes".into())),
        };
        let fits = match *shape {
            [rows, bytes] => rows == yuv_rows(size) && bytes >= size.width && bytes % 2 == 0,
            _ => shape == [packed(size)],
        };
        match fits {
            true => Ok(Frame { form, size, flat: shape.len() == 1 }),
            false => Err(wrong(format!(
                "a YUV 4:2:0 frame of {size} has {} rows of an even number of bytes, at least {}, or {} bytes in one dimension",
                yuv_rows(size),
                size.width.next_multiple_of(2),
                packed(size)
            ))),
        }
    }
}

/// Rows of luma's length that hold a frame.
fn yuv_rows(size: Size) -> usize {
    size.height.saturating_add(size.height.div_ceil(2))
}

/// Bytes of a frame whose rows have nothing between them.
fn packed(size: Size) -> usize {
    let chroma = size.width.div_ceil(2).saturating_mul(size.height.div_ceil(2));
    size.width.saturating_mul(size.height).saturating_add(chroma.saturating_mul(2))
}

/// A shape as Python writes it.
fn shown(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("({}{})", sides.join(", "), if shape.len() == 1 { "," } else { "" })
}

/// Frames of one kind: all that an engine is prepared for.
#[derive(Clone, Copy, PartialEq)]
pub struct Frame {
    pub form: Form,
    pub size: Size,
    /// Without the last dimension that its form may have.
    flat: bool,
}

impl Frame {
    /// How the engine is prepared for it.
    pub fn options(&self) -> Options {
        let (options, swapped) = match self.form {
            Form::Pixels { format, swapped } => (Options::new(self.size, format), swapped),
            Form::Yuv { format, siting, rgb } => {
                let options = Options::yuv(self.size, format).with_siting(siting);
                match rgb {
                    Some(Rgb { matrix, range, swapped }) => (options.with_rgb(matrix, range), swapped),
                    None => (options, false),
                }
            }
        };
        if swapped { options.with_blue_first() } else { options }
    }

    /// The shape of the result. YUV frames of odd sides have no rows.
    pub fn output_shape(&self, scale: usize) -> Vec<usize> {
        let Size { width, height } = self.size.scaled(scale);
        match self.form {
            Form::Pixels { .. } if self.flat => vec![height, width],
            Form::Pixels { format, .. } => vec![height, width, format.channels()],
            Form::Yuv { rgb: Some(_), .. } => vec![height, width, 3],
            Form::Yuv { .. } if self.flat || width % 2 + height % 2 > 0 => vec![packed(Size::new(width, height))],
            Form::Yuv { .. } => vec![height + height / 2, width],
        }
    }

    /// May a result of `expected` be written to an array of `shape`? Rows of YUV may be longer.
    pub fn check_output(&self, expected: &[usize], shape: &[usize]) -> Result<(), Failure> {
        let padded = matches!(self.form, Form::Yuv { rgb: None, .. })
            && matches!((expected, shape), ([rows, bytes], [own, longer]) if rows == own && longer >= bytes && longer % 2 == 0);
        match padded || expected == shape {
            true => Ok(()),
            false => {
                let (given, needed) = (shown(shape), shown(expected));
                Err(Failure::input(format!("out has shape {given}; the upscaled frame has {needed}")))
            }
        }
    }

    /// Upscales `input` into `output`, which have been checked.
    pub fn run(
        &self,
        engine: &mut Engine,
        input: &ArrayViewD<'_, u8>,
        output: ArrayViewMutD<'_, u8>,
    ) -> Result<(), Failure> {
        match self.form {
            Form::Pixels { .. } => pixels(engine, input, output),
            Form::Yuv { format, rgb, .. } => planes(engine, self.size, format, rgb, input, output),
        }
    }
}

const SCATTERED: &str = "the bytes of a row do not lie side by side;";

/// Do bytes of the array share a place in memory, such as those of a row that was broadcast?
fn overlaps(array: &ArrayViewD<'_, u8>) -> bool {
    let sides = || array.shape().iter().zip(array.strides());
    let repeated = sides().any(|(length, stride)| *length > 1 && *stride == 0);
    let rows = |row: ArrayViewD<'_, u8>| {
        row.is_standard_layout()
            && sides().next().is_some_and(|(rows, stride)| *rows > 1 && stride.unsigned_abs() < row.len())
    };
    repeated || array.ndim() > 1 && array.outer_iter().next().is_some_and(rows)
}

/// What is written to must have every byte for itself.
fn check_apart(output: &ArrayViewD<'_, u8>) -> Result<(), Failure> {
    let text = "out: its rows overlap in memory, so that one would be written over the other; numpy.empty makes an array whose \
        rows lie apart";
    if overlaps(output) { Err(Failure::input(text)) } else { Ok(()) }
}

fn pixels(engine: &mut Engine, input: &ArrayViewD<'_, u8>, mut output: ArrayViewMutD<'_, u8>) -> Result<(), Failure> {
    let scattered = |what: &str, way: &str| Failure::input(format!("{what}: {SCATTERED} {way} where they do"));
    let wrong_out = || scattered("out", "numpy.empty makes an array");
    check_apart(&output.view())?;
    if !output.view().outer_iter().next().is_none_or(|row| row.is_standard_layout()) {
        return Err(wrong_out());
    }
    // Whatever was left by a frame that failed.
    engine.reset();
    let mut rows = output.outer_iter_mut();
    for row in input.outer_iter() {
        let row = row.to_slice().ok_or_else(|| scattered("frame", "numpy.ascontiguousarray makes a copy"))?;
        engine.push(row, |made| {
            let out = rows.next().and_then(|out| out.into_slice()).ok_or_else(wrong_out)?;
            out.copy_from_slice(made);
            Ok(())
        })?;
    }
    Ok(())
}

fn planes(
    engine: &mut Engine,
    size: Size,
    format: YuvFormat,
    rgb: Option<Rgb>,
    input: &ArrayViewD<'_, u8>,
    mut output: ArrayViewMutD<'_, u8>,
) -> Result<(), Failure> {
    let scattered = |what: &str| {
        let why =
            "a YUV frame must lie in one piece, its rows as the camera gave them; numpy.ascontiguousarray makes a copy";
        Failure::input(format!("{what}: {why}"))
    };
    let source = input.as_slice().ok_or_else(|| scattered("frame"))?;
    let cut = Cut::new(input.shape(), size, format);
    let (luma, chroma) = source.split_at(cut.luma);
    let (first, second) = chroma.split_at(cut.chroma);
    let input =
        [Plane::new(luma, cut.stride), Plane::new(first, cut.chroma_stride), Plane::new(second, cut.chroma_stride)];
    let large = engine.output_size();
    check_apart(&output.view())?;
    let cut = Cut::new(output.shape(), large, format);
    let out = output.as_slice_mut().ok_or_else(|| scattered("out"))?;
    let used = if format == YuvFormat::Nv12 { 2 } else { 3 };
    match rgb {
        None => {
            let (luma, chroma) = out.split_at_mut(cut.luma);
            let (first, second) = chroma.split_at_mut(cut.chroma);
            let mut output = [
                PlaneMut::new(luma, cut.stride),
                PlaneMut::new(first, cut.chroma_stride),
                PlaneMut::new(second, cut.chroma_stride),
            ];
            engine.upscale(&input[..used], &mut output[..used])?;
        }
        Some(_) => engine.upscale(&input[..used], &mut [PlaneMut::new(out, 3 * large.width)])?,
    }
    Ok(())
}

/// Where the planes of a frame begin.
struct Cut {
    stride: usize,
    chroma_stride: usize,
    /// Bytes of luma, and of the first plane of chroma.
    luma: usize,
    chroma: usize,
}

impl Cut {
    /// In an array that has been checked.
    fn new(shape: &[usize], size: Size, format: YuvFormat) -> Self {
        let stride = if let [_, stride] = *shape { stride } else { size.width };
        let half = stride.div_ceil(2);
        let rows = size.height.div_ceil(2);
        let chroma_stride = if format == YuvFormat::Nv12 { 2 * half } else { half };
        Self { stride, chroma_stride, luma: stride * size.height, chroma: chroma_stride * rows }
    }
}
