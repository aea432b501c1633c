//! PNG files made by hand, for what no encoder at hand writes.

use image::DynamicImage;

/// Adam7 with stored blocks: no encoder at hand writes interlaced PNG.
pub fn interlaced(image: &DynamicImage) -> Vec<u8> {
    let (width, height, channels) = (image.width(), image.height(), u32::from(image.color().channel_count()));
    let mut raw = Vec::new();
    for (x0, y0, dx, dy) in
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    {
        for y in (y0..height).step_by(dy).filter(|_| x0 < width) {
            raw.push(0);
            for x in (x0..width).step_by(dx) {
                let at = ((y * width + x) * channels) as usize;
                raw.extend_from_slice(&image.as_bytes()[at..at + channels as usize]);
            }
        }
    }
    let kind = if channels == 3 { 2 } else { 0 };
    [&png_header(width, height, [8, kind, 0, 0, 1]), &chunk(b"IDAT", &stored(&raw))[..], &chunk(b"IEND", &[])].concat()
}

/// A zlib stream that compresses nothing.
pub fn stored(raw: &[u8]) -> Vec<u8> {
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in raw {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    let len = u16::try_from(raw.len()).unwrap();
    let mut zlib = vec![0x78, 0x01, 1];
    zlib.extend(len.to_le_bytes());
    zlib.extend((!len).to_le_bytes());
    zlib.extend(raw);
    zlib.extend((b << 16 | a).to_be_bytes());
    zlib
}

/// Signature and IHDR; `rest` is bit depth, colour type, compression, filter, interlace.
pub fn png_header(width: u32, height: u32, rest: [u8; 5]) -> Vec<u8> {
    let ihdr = [&width.to_be_bytes()[..], &height.to_be_bytes(), &rest].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &ihdr)].concat()
}

/// A chunk with its length and checksum.
pub fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = !0u32;
    for &byte in kind.iter().chain(data) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &(!crc).to_be_bytes()].concat()
}
