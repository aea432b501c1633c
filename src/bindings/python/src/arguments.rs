//! Numbers and texts that a caller gives: of any kind, and as large as Python makes them. What does not fit is told in a line.

use std::ops::RangeInclusive;

use bifocal::{PrepareError, Size};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;

use crate::errors::Failure;

/// No path is longer, and nothing else that is read here.
pub const LONGEST: usize = 4096;
/// So much of a number is repeated in an error.
const SHOWN: usize = 40;

/// A text, unless it is so long that repeating it would take memory.
pub fn text<'a>(name: &str, given: &'a str) -> Result<&'a str, Failure> {
    match given.len() {
        0..=LONGEST => Ok(given),
        bytes => Err(Failure::input(format!("{name} is a text of {bytes} bytes"))),
    }
}

/// What kind of thing was given, for an error.
pub fn kind(given: &Bound<'_, PyAny>) -> String {
    given.get_type().name().map_or_else(|_| "something else".into(), |name| name.to_string())
}

/// A whole number.
pub struct Whole {
    /// As it was given.
    pub text: String,
    /// Nothing where it is below zero, or larger than anything that can be asked for.
    value: Option<usize>,
}

impl Whole {
    /// Reads the argument `name`, an `int` or what can stand for one.
    pub fn new(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        match given.extract::<i64>() {
            Ok(number) => Ok(Self { text: number.to_string(), value: number.try_into().ok() }),
            Err(error) if error.is_instance_of::<PyOverflowError>(given.py()) => {
                // Python writes no number of more than 4300 digits in decimals.
                let digits =
                    given.str().or_else(|_| given.py().import("builtins")?.call_method1("hex", (given,))?.str())?;
                let digits = digits.to_string_lossy();
                let text = if digits.len() > SHOWN { format!("{}...", &digits[..SHOWN]) } else { digits.into_owned() };
                Ok(Self { text, value: None })
            }
            Err(_) => Err(PyTypeError::new_err(format!("{name} is {}; a whole number is taken", kind(given)))),
        }
    }

    /// Its value, where it is one of `range`.
    pub fn within(&self, range: RangeInclusive<usize>) -> Option<usize> {
        self.value.filter(|value| range.contains(value))
    }
}

/// Reads those of several numbers that are given.
pub fn numbers<const N: usize>(given: [(&str, Option<&Bound<'_, PyAny>>); N]) -> PyResult<[Option<Whole>; N]> {
    let mut read = [const { None }; N];
    for (read, (name, given)) in read.iter_mut().zip(given) {
        *read = given.map(|given| Whole::new(name, given)).transpose()?;
    }
    Ok(read)
}

/// Reads `size`: the width and the height of a frame, in any sequence.
pub fn size(given: &Bound<'_, PyAny>) -> PyResult<Size> {
    let sides =
        given.len().and_then(|sides| (0..sides.min(3)).map(|n| given.get_item(n)).collect::<PyResult<Vec<_>>>());
    let [width, height] = match sides.as_deref() {
        Ok([width, height]) => [Whole::new("the width of size", width)?, Whole::new("the height of size", height)?],
        Ok(_) => return Err(Failure::input("size has not two numbers; (width, height) is taken").into()),
        Err(_) => return Err(PyTypeError::new_err(format!("size is {}; (width, height) is taken", kind(given)))),
    };
    match [&width, &height].map(|side| side.within(1..=bifocal::MAX_SIDE)) {
        [Some(width), Some(height)] => Ok(Size::new(width, height)),
        _ => {
            // The library's text, also for numbers that it cannot have.
            let text = PrepareError::Size(Size::new(0, 0)).to_string();
            let text = text.replacen("0x0", &format!("{}x{}", width.text, height.text), 1);
            Err(Failure::input(format!("size: {text}")).into())
        }
    }
}
