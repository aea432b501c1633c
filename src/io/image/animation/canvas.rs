//! What is seen of an animation whose pictures change parts of those before.

use crate::geom::Size;
use crate::io::error::Fault;

/// A part of the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) size: Size,
}

/// What becomes of a part before the next is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposal {
    Keep,
    /// It becomes transparent.
    Clear,
    /// It becomes what it was before.
    Restore,
}

/// Pixels of red, green, blue and alpha.
pub(super) struct Canvas {
    size: Size,
    pixels: Vec<u8>,
    /// What was under the last part, while that may have to come back.
    under: Vec<u8>,
    last: Option<(Part, Disposal)>,
}

impl Canvas {
    pub(super) fn new(size: Size) -> Self {
        Self { size, pixels: vec![0; 4 * size.area()], under: Vec::new(), last: None }
    }

    pub(super) fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Draws pixels of red, green, blue and alpha. Blended, they lie over what is there; else they replace it.
    pub(super) fn draw(&mut self, pixels: &[u8], part: Part, blended: bool, disposal: Disposal) -> Result<(), Fault> {
        let Part { left, top, size } = part;
        if left + size.width > self.size.width || top + size.height > self.size.height {
            return Err(Fault::bad("a part of the animation lies outside of it"));
        }
        if pixels.len() < 4 * size.area() {
            return Err(Fault::bad("a part of the animation has too few pixels"));
        }
        self.dispose();
        self.last = Some((part, disposal));
        self.under.clear();
        for y in 0..size.height {
            let at = 4 * ((top + y) * self.size.width + left);
            let row = &mut self.pixels[at..at + 4 * size.width];
            if disposal == Disposal::Restore {
                self.under.extend_from_slice(row);
            }
            let new = &pixels[4 * y * size.width..][..4 * size.width];
            if blended {
                row.chunks_exact_mut(4).zip(new.chunks_exact(4)).for_each(|(under, over)| lay_over(under, over));
            } else {
                row.copy_from_slice(new);
            }
        }
        Ok(())
    }

    fn dispose(&mut self) {
        let Some((Part { left, top, size }, disposal)) = self.last.take() else { return };
        for y in 0..size.height {
            let at = 4 * ((top + y) * self.size.width + left);
            let row = &mut self.pixels[at..at + 4 * size.width];
            match disposal {
                Disposal::Keep => {}
                Disposal::Clear => row.fill(0),
                Disposal::Restore => row.copy_from_slice(&self.under[4 * y * size.width..][..4 * size.width]),
            }
        }
    }
}

/// The "over" operator on pixels that are not premultiplied.
fn lay_over(under: &mut [u8], over: &[u8]) {
    let (a, b) = (u32::from(over[3]), u32::from(under[3]));
    match (a, b) {
        (0, _) => {}
        (255, _) | (_, 0) => under.copy_from_slice(over),
        _ => {
            // Of 255 x 255.
            let (own, rest) = (255 * a, (255 - a) * b);
            let all = own + rest;
            for (under, over) in under.iter_mut().zip(over).take(3) {
                *under = ((u32::from(*over) * own + u32::from(*under) * rest + all / 2) / all) as u8;
            }
            under[3] = ((all + 127) / 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_and_go() {
        let mut canvas = Canvas::new(Size::new(2, 1));
        let part = |left, width| Part { left, top: 0, size: Size::new(width, 1) };
        let (red, blue, clear) = ([9, 0, 0, 255], [0, 0, 9, 255], [0; 4]);
        canvas.draw(&[red, red].concat(), part(0, 2), true, Disposal::Keep).unwrap();
        canvas.draw(&blue, part(1, 1), true, Disposal::Restore).unwrap();
        assert_eq!(canvas.pixels(), [red, blue].concat());
        canvas.draw(&clear, part(0, 1), true, Disposal::Clear).unwrap();
        assert_eq!(canvas.pixels(), [red, red].concat(), "restored, and nothing over it");
        canvas.draw(&blue, part(1, 1), false, Disposal::Keep).unwrap();
        assert_eq!(canvas.pixels(), [clear, blue].concat());
        assert!(canvas.draw(&[red, red].concat(), part(1, 2), true, Disposal::Keep).is_err());
        let mut half = [0, 0, 0, 255];
        lay_over(&mut half, &[200, 100, 0, 128]);
        assert_eq!(half, [100, 50, 0, 255]);
    }
}
