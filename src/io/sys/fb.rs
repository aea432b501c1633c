//! Framebuffers of the kernel (`/dev/fb0`): their geometry, and their pixels as a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::ioctl::{Getter, Opcode};

use crate::frame::{Bits, PixelBits};
use crate::geom::Size;
use crate::io::error::DeviceError;

/// `FBIOGET_VSCREENINFO` and `FBIOGET_FSCREENINFO` of linux/fb.h: numbers older than the scheme that encodes sizes.
const GET_VARIABLE: Opcode = 0x4600;
const GET_FIXED: Opcode = 0x4602;

/// `struct fb_bitfield`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Bitfield {
    offset: u32,
    length: u32,
    msb_right: u32,
}

/// `struct fb_var_screeninfo`.
#[repr(C)]
struct Variable {
    xres: u32,
    yres: u32,
    xres_virtual: u32,
    yres_virtual: u32,
    xoffset: u32,
    yoffset: u32,
    bits_per_pixel: u32,
    grayscale: u32,
    red: Bitfield,
    green: Bitfield,
    blue: Bitfield,
    transp: Bitfield,
    rest: [u32; 20],
}

/// `struct fb_fix_screeninfo`.
#[repr(C)]
struct Fixed {
    id: [u8; 16],
    smem_start: usize,
    smem_len: u32,
    kind: u32,
    type_aux: u32,
    visual: u32,
    xpanstep: u16,
    ypanstep: u16,
    ywrapstep: u16,
    line_length: u32,
    mmio_start: usize,
    mmio_len: u32,
    accel: u32,
    capabilities: u16,
    reserved: [u16; 2],
}

/// Pixels whose bits say their colour, and not a colour map.
const PACKED_PIXELS: u32 = 0;
const TRUE_COLOUR: u32 = 2;

/// A framebuffer.
pub(in crate::io) struct Framebuffer {
    file: File,
    pub(in crate::io) size: Size,
    pub(in crate::io) bits: PixelBits,
    /// Bytes from a row to the next.
    pub(in crate::io) stride: usize,
    /// Where the visible part begins.
    start: u64,
}

impl Framebuffer {
    /// # Errors
    ///
    /// What is wrong with the device, in words.
    pub(in crate::io) fn open(path: &Path) -> Result<Self, DeviceError> {
        let file = File::options().read(true).write(true).open(path).map_err(|error| {
            let reason = match error.kind() {
                io::ErrorKind::NotFound => "there is no such framebuffer".to_string(),
                io::ErrorKind::PermissionDenied => "no permission; join the group video (or run as root)".to_string(),
                _ => error.to_string(),
            };
            DeviceError::of(error, reason)
        })?;
        // SAFETY: the code is that of a call which writes one `struct fb_var_screeninfo`, and `Variable` has its
        // layout (160 bytes, checked below); every bit pattern is valid for it.
        #[allow(unsafe_code)]
        let variable = unsafe { rustix::ioctl::ioctl(&file, Getter::<GET_VARIABLE, Variable>::new()) };
        // SAFETY: as above, with `struct fb_fix_screeninfo` and `Fixed` (80 bytes where pointers have 8).
        #[allow(unsafe_code)]
        let fixed = unsafe { rustix::ioctl::ioctl(&file, Getter::<GET_FIXED, Fixed>::new()) };
        let (Ok(variable), Ok(fixed)) = (variable, fixed) else { return Err("this is no framebuffer".into()) };
        let (size, bits) = (Size::new(variable.xres as usize, variable.yres as usize), pixel(&variable, &fixed)?);
        let stride = fixed.line_length as usize;
        let start = variable.yoffset as usize * stride + variable.xoffset as usize * bits.bytes;
        let bytes = start.checked_add(stride.saturating_mul(size.height));
        if size.width == 0 || size.height == 0 || stride < size.width.saturating_mul(bits.bytes) {
            return Err(format!("the driver says {size} with {stride} bytes a row, which cannot be").into());
        }
        if bytes.is_none_or(|bytes| bytes > fixed.smem_len as usize) {
            return Err(format!("the driver says {size}, but has only {} bytes", fixed.smem_len).into());
        }
        Ok(Self { file, size, bits, stride, start: start as u64 })
    }

    /// Writes whole rows from the top.
    pub(in crate::io) fn write(&self, page: &[u8]) -> io::Result<()> {
        self.file.write_all_at(page, self.start)
    }
}

fn pixel(variable: &Variable, fixed: &Fixed) -> Result<PixelBits, String> {
    let channels = [variable.red, variable.green, variable.blue];
    let bytes = variable.bits_per_pixel / 8;
    let fits =
        channels.iter().all(|c| c.length <= 8 && c.offset + c.length <= variable.bits_per_pixel && c.msb_right == 0);
    let true_colour = fixed.kind == PACKED_PIXELS && fixed.visual == TRUE_COLOUR && variable.grayscale == 0;
    if !true_colour || !fits || !(2..=4).contains(&bytes) {
        return Err(format!("{} bits a pixel of this kind are not supported", variable.bits_per_pixel));
    }
    let opaque = ((1u64 << variable.transp.length.min(8)) - 1) << variable.transp.offset.min(31);
    Ok(PixelBits {
        bytes: bytes as usize,
        colours: channels.map(|c| Bits { offset: c.offset, length: c.length }),
        constant: opaque as u32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn bits(offset: u32, length: u32) -> Bitfield {
        Bitfield { offset, length, msb_right: 0 }
    }

    fn described(bits_per_pixel: u32, [red, green, blue, transp]: [Bitfield; 4]) -> (Variable, Fixed) {
        let variable = Variable {
            xres: 8,
            yres: 8,
            xres_virtual: 8,
            yres_virtual: 8,
            xoffset: 0,
            yoffset: 0,
            bits_per_pixel,
            grayscale: 0,
            red,
            green,
            blue,
            transp,
            rest: [0; 20],
        };
        let fixed = Fixed {
            id: [0; 16],
            smem_start: 0,
            smem_len: 0,
            kind: PACKED_PIXELS,
            type_aux: 0,
            visual: TRUE_COLOUR,
            xpanstep: 0,
            ypanstep: 0,
            ywrapstep: 0,
            line_length: 0,
            mmio_start: 0,
            mmio_len: 0,
            accel: 0,
            capabilities: 0,
            reserved: [0; 2],
        };
        (variable, fixed)
    }

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<Variable>(), 160);
        #[cfg(target_pointer_width = "64")]
        assert_eq!(size_of::<Fixed>(), 80);
    }

    #[test]
    fn pixels_as_drivers_describe_them() {
        let (variable, mut fixed) = described(32, [bits(16, 8), bits(8, 8), bits(0, 8), bits(24, 8)]);
        let found = pixel(&variable, &fixed).unwrap();
        assert_eq!(found, PixelBits { constant: 0xff00_0000, ..PixelBits::XR24 });
        fixed.visual = 3; // pseudo colour
        assert!(pixel(&variable, &fixed).is_err());
        let (variable, fixed) = described(16, [bits(11, 5), bits(5, 6), bits(0, 5), bits(0, 0)]);
        assert_eq!(pixel(&variable, &fixed), Ok(PixelBits::RG16));
        for wrong in [described(8, [bits(0, 8); 4]), described(32, [bits(28, 8); 4]), described(32, [bits(0, 10); 4])] {
            assert!(pixel(&wrong.0, &wrong.1).is_err());
        }
    }

    #[test]
    fn other_files_are_no_framebuffers() {
        assert!(Framebuffer::open(Path::new("/nonexistent")).is_err_and(|e| e.to_string().contains("no such")));
        assert!(Framebuffer::open(Path::new("/dev/null")).is_err_and(|e| e.to_string().contains("no framebuffer")));
    }
}
