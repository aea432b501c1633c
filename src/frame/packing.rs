//! Pixels as screens store them: the bits of red, green and blue in a little-endian word.

/// Where a channel lies in the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// Lowest bit.
    pub offset: u32,
    /// How many, 0 to 8.
    pub length: u32,
}

/// A pixel of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelBits {
    /// Bytes of a pixel: 2, 3 or 4.
    pub bytes: usize,
    /// Red, green, blue.
    pub colours: [Bits; 3],
    /// Bits that are always set, as an alpha that a screen insists on.
    pub constant: u32,
}

const fn bits(offset: u32, length: u32) -> Bits {
    Bits { offset, length }
}

impl PixelBits {
    /// 8 bits each; blue in the lowest byte. DRM calls it XR24.
    pub const XR24: Self = Self { bytes: 4, colours: [bits(16, 8), bits(8, 8), bits(0, 8)], constant: 0 };
    /// 5, 6 and 5 bits; blue lowest. DRM calls it RG16.
    pub const RG16: Self = Self { bytes: 2, colours: [bits(11, 5), bits(5, 6), bits(0, 5)], constant: 0 };
}

/// Packs rows.
#[derive(Clone, Debug)]
pub struct Packer {
    bytes: usize,
    tables: Box<[[u32; 256]; 3]>,
}

impl Packer {
    /// Bytes that a packer allocates.
    pub const BYTES: usize = 3 * 256 * size_of::<u32>();

    /// Each channel is rounded to the nearest of what its bits can say.
    pub fn new(pixel: PixelBits) -> Self {
        let mut tables = Box::new([[0; 256]; 3]);
        for (i, (table, Bits { offset, length })) in tables.iter_mut().zip(pixel.colours).enumerate() {
            let most = (1u32 << length) - 1;
            for (v, entry) in table.iter_mut().enumerate() {
                *entry = ((v as u32 * most + 127) / 255) << offset | if i == 0 { pixel.constant } else { 0 };
            }
        }
        Self { bytes: pixel.bytes, tables }
    }

    /// Packs red, green and blue of `rgb` into `out`.
    pub fn row(&self, rgb: &[u8], out: &mut [u8]) {
        let [red, green, blue] = &*self.tables;
        let word = |p: &[u8]| red[usize::from(p[0])] | green[usize::from(p[1])] | blue[usize::from(p[2])];
        let pixels = rgb.chunks_exact(3);
        match self.bytes {
            // One arm for each width: the compiler then knows how much is copied.
            4 => out.chunks_exact_mut(4).zip(pixels).for_each(|(o, p)| o.copy_from_slice(&word(p).to_le_bytes())),
            2 => out.chunks_exact_mut(2).zip(pixels).for_each(|(o, p)| o.copy_from_slice(&word(p).to_le_bytes()[..2])),
            bytes => (out.chunks_exact_mut(bytes).zip(pixels))
                .for_each(|(o, p)| o.copy_from_slice(&word(p).to_le_bytes()[..bytes])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_screens() {
        let mut out = [9; 8];
        Packer::new(PixelBits::XR24).row(&[1, 2, 3, 255, 128, 0], &mut out);
        assert_eq!(out, [3, 2, 1, 0, 0, 128, 255, 0]);
        let mut out = [0; 6];
        Packer::new(PixelBits::RG16).row(&[255, 0, 0, 0, 255, 0, 255, 255, 255], &mut out);
        assert_eq!(out, [0x00, 0xf8, 0xe0, 0x07, 0xff, 0xff]);
        let bgr = PixelBits { bytes: 3, colours: [bits(0, 8), bits(8, 8), bits(16, 8)], constant: 0 };
        let mut out = [0; 3];
        Packer::new(bgr).row(&[1, 2, 3], &mut out);
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn short_channels_round_to_the_nearest() {
        let packer = Packer::new(PixelBits::RG16);
        for v in 0..=255u8 {
            let mut out = [0; 2];
            packer.row(&[v, v, v], &mut out);
            let word = u16::from_le_bytes(out);
            for (value, most) in [(word >> 11, 31.0), (word >> 5 & 63, 63.0), (word & 31, 31.0)] {
                let exact = f64::from(v) * most / 255.0;
                assert!((f64::from(value) - exact).abs() <= 0.5, "{v}: {value} of {most}");
            }
        }
    }
}
