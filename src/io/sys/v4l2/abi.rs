//! Structures and numbers of the kernel's interface (Linux, `include/uapi/linux/videodev2.h`), as far as they are
//! used here. Written by hand because the crates that wrap it generate theirs with libclang while they are built,
//! which neither a plain `cargo install` nor a cross build has.

use rustix::ioctl::opcode;

/// `V4L2_BUF_TYPE_*`.
pub(super) const CAPTURE: u32 = 1;
pub(super) const OUTPUT: u32 = 2;
/// `V4L2_MEMORY_MMAP`.
pub(super) const MEMORY_MMAP: u32 = 1;

/// `V4L2_CAP_*`.
pub(super) const CAP_CAPTURE: u32 = 1;
pub(super) const CAP_OUTPUT: u32 = 2;
pub(super) const CAP_CAPTURE_MPLANE: u32 = 1 << 12;
pub(super) const CAP_READWRITE: u32 = 1 << 24;
pub(super) const CAP_STREAMING: u32 = 1 << 26;
pub(super) const CAP_DEVICE_CAPS: u32 = 1 << 31;
/// `V4L2_CAP_TIMEPERFRAME`.
pub(super) const CAP_TIMEPERFRAME: u32 = 1 << 12;
/// `V4L2_IN_CAP_DV_TIMINGS`.
pub(super) const INPUT_DV_TIMINGS: u32 = 2;

/// `V4L2_BUF_FLAG_*`.
pub(super) const BUFFER_ERROR: u32 = 0x40;
pub(super) const BUFFER_CLOCK: u32 = 0xe000;
pub(super) const BUFFER_CLOCK_MONOTONIC: u32 = 0x2000;

/// `V4L2_FIELD_*`.
pub(super) const FIELD_ANY: u32 = 0;
pub(super) const FIELD_NONE: u32 = 1;
pub(super) const FIELDS_INTERLACED: [u32; 3] = [4, 8, 9];

/// `V4L2_FRMSIZE_TYPE_DISCRETE` and `V4L2_FRMIVAL_TYPE_DISCRETE`.
pub(super) const DISCRETE: u32 = 1;

/// A structure of the kernel: plain integers, so that zeros, and whatever the kernel writes, are valid.
///
/// # Safety
///
/// The type is `repr(C)`, laid out as the kernel's, and every pattern of bits is a value of it.
#[allow(unsafe_code)]
pub(super) unsafe trait Plain: Sized {
    /// All zeros, as the interface asks for what is not used.
    fn zeroed() -> Self {
        // SAFETY: the trait promises that every pattern of bits is a value.
        unsafe { std::mem::zeroed() }
    }
}

macro_rules! structure {
    ($(#[$about:meta])* $name:ident : $bytes:literal { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$about])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        #[allow(dead_code)] // the kernel reads and writes them all
        pub(super) struct $name {
            $(pub(super) $field: $type),*
        }
        const _: () = assert!(size_of::<$name>() == $bytes);
        #[allow(unsafe_code)]
        // SAFETY: `repr(C)` of integers and arrays of them, of the size that the kernel's has on 64-bit Linux.
        unsafe impl Plain for $name {}
    };
}

structure!(Capability: 104 {
    driver: [u8; 16],
    card: [u8; 32],
    bus_info: [u8; 32],
    version: u32,
    capabilities: u32,
    device_caps: u32,
    reserved: [u32; 3],
});

structure!(FormatDescription: 64 {
    index: u32,
    kind: u32,
    flags: u32,
    description: [u8; 32],
    pixelformat: u32,
    mbus_code: u32,
    reserved: [u32; 3],
});

structure!(
    /// `v4l2_format` with `v4l2_pix_format` in its union, which has pointers in it and so begins at 8.
    Format: 208 {
    kind: u32,
    gap: u32,
    width: u32,
    height: u32,
    pixelformat: u32,
    field: u32,
    bytesperline: u32,
    sizeimage: u32,
    colorspace: u32,
    private: u32,
    flags: u32,
    ycbcr_enc: u32,
    quantization: u32,
    xfer_func: u32,
    rest: [u32; 38],
});

structure!(RequestBuffers: 20 {
    count: u32,
    kind: u32,
    memory: u32,
    capabilities: u32,
    flags: u32,
});

structure!(
    /// `v4l2_buffer` with `mem_offset` in its union.
    Buffer: 88 {
    index: u32,
    kind: u32,
    bytesused: u32,
    flags: u32,
    field: u32,
    gap: u32,
    seconds: i64,
    microseconds: i64,
    timecode: [u32; 4],
    sequence: u32,
    memory: u32,
    offset: u32,
    offset_rest: u32,
    length: u32,
    reserved: [u32; 2],
    end: u32,
});

structure!(
    /// `v4l2_streamparm` with `v4l2_captureparm` in its union.
    StreamParameters: 204 {
    kind: u32,
    capability: u32,
    capturemode: u32,
    numerator: u32,
    denominator: u32,
    rest: [u32; 46],
});

structure!(Input: 80 {
    index: u32,
    name: [u8; 32],
    kind: u32,
    audioset: u32,
    tuner: u32,
    standard: [u32; 2],
    status: u32,
    capabilities: u32,
    reserved: [u32; 4],
});

structure!(
    /// `v4l2_frmsizeenum`; discrete sizes use the first two of `sides`, others minimum, maximum, step of the width,
    /// then of the height.
    FrameSize: 44 {
    index: u32,
    pixelformat: u32,
    kind: u32,
    sides: [u32; 6],
    reserved: [u32; 2],
});

structure!(
    /// `v4l2_frmivalenum`; fractions as numerator and denominator: one, or minimum, maximum and step.
    FrameInterval: 52 {
    index: u32,
    pixelformat: u32,
    width: u32,
    height: u32,
    kind: u32,
    fractions: [u32; 6],
    reserved: [u32; 2],
});

structure!(
    /// `v4l2_dv_timings`, packed: only handed from the kernel to the kernel.
    Timings: 132 { words: [u32; 33] });

#[allow(unsafe_code)]
// SAFETY: an integer.
unsafe impl Plain for i32 {}

/// Numbers of the calls; each is written with the structure that it takes.
pub(super) mod call {
    use super::*;
    use rustix::ioctl::Opcode;

    const V: u8 = b'V';
    pub(in super::super) const QUERYCAP: Opcode = opcode::read::<Capability>(V, 0);
    pub(in super::super) const ENUM_FMT: Opcode = opcode::read_write::<FormatDescription>(V, 2);
    pub(in super::super) const G_FMT: Opcode = opcode::read_write::<Format>(V, 4);
    pub(in super::super) const S_FMT: Opcode = opcode::read_write::<Format>(V, 5);
    pub(in super::super) const REQBUFS: Opcode = opcode::read_write::<RequestBuffers>(V, 8);
    pub(in super::super) const QUERYBUF: Opcode = opcode::read_write::<Buffer>(V, 9);
    pub(in super::super) const QBUF: Opcode = opcode::read_write::<Buffer>(V, 15);
    pub(in super::super) const DQBUF: Opcode = opcode::read_write::<Buffer>(V, 17);
    pub(in super::super) const STREAMON: Opcode = opcode::write::<i32>(V, 18);
    pub(in super::super) const STREAMOFF: Opcode = opcode::write::<i32>(V, 19);
    pub(in super::super) const G_PARM: Opcode = opcode::read_write::<StreamParameters>(V, 21);
    pub(in super::super) const S_PARM: Opcode = opcode::read_write::<StreamParameters>(V, 22);
    pub(in super::super) const ENUMINPUT: Opcode = opcode::read_write::<Input>(V, 26);
    pub(in super::super) const G_INPUT: Opcode = opcode::read::<i32>(V, 38);
    pub(in super::super) const S_INPUT: Opcode = opcode::read_write::<i32>(V, 39);
    pub(in super::super) const ENUM_FRAMESIZES: Opcode = opcode::read_write::<FrameSize>(V, 74);
    pub(in super::super) const ENUM_FRAMEINTERVALS: Opcode = opcode::read_write::<FrameInterval>(V, 75);
    pub(in super::super) const S_DV_TIMINGS: Opcode = opcode::read_write::<Timings>(V, 87);
    pub(in super::super) const QUERY_DV_TIMINGS: Opcode = opcode::read::<Timings>(V, 99);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers as the kernel's own tools print them for 64-bit Linux.
    #[test]
    fn calls_have_their_numbers() {
        let known: [(rustix::ioctl::Opcode, u32); 8] = [
            (call::QUERYCAP, 0x8068_5600),
            (call::ENUM_FMT, 0xc040_5602),
            (call::S_FMT, 0xc0d0_5605),
            (call::QBUF, 0xc058_560f),
            (call::STREAMON, 0x4004_5612),
            (call::S_PARM, 0xc0cc_5616),
            (call::ENUM_FRAMESIZES, 0xc02c_564a),
            (call::S_DV_TIMINGS, 0xc084_5657),
        ];
        for (ours, theirs) in known {
            assert_eq!(ours, theirs);
        }
        assert_eq!(std::mem::offset_of!(Buffer, seconds), 24);
        assert_eq!(std::mem::offset_of!(Buffer, sequence), 56);
        assert_eq!(std::mem::offset_of!(Buffer, length), 72);
        assert_eq!(std::mem::offset_of!(Input, status), 56);
    }
}
