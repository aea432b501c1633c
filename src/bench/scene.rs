//! A picture to measure with: the same on every machine, and no flatter or noisier than a photograph.

/// RGB bytes of a scene: slopes, hard edges and grain.
pub fn scene(width: usize, height: usize) -> Vec<u8> {
    let mut grain = 0x9e37_79b9_u32;
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            // xorshift: enough for grain.
            grain ^= grain << 13;
            grain ^= grain >> 17;
            grain ^= grain << 5;
            let slope = (x * 160 / width.max(1) + y * 60 / height.max(1)) as u32;
            let edge = if (x / 24 + y / 40) % 3 == 0 { 28 } else { 0 };
            let base = slope + edge + (grain & 7);
            pixels.extend([base as u8, (base * 7 / 8 + (y as u32 & 15)) as u8, (250 - base) as u8]);
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::scene;

    #[test]
    fn is_the_same_every_time() {
        let a = scene(64, 48);
        assert_eq!(a.len(), 3 * 64 * 48);
        assert_eq!(a, scene(64, 48));
        assert!(a.iter().max() > a.iter().min());
    }
}
