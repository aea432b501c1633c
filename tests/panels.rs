//! Panels on SPI, against a model of the panel: bus and pins of embedded-hal that understand the commands of the MIPI
//! Alliance and keep the panel's memory.

#![cfg(all(target_os = "linux", feature = "spi"))]

#[path = "support/counting.rs"]
mod counting;

use std::convert::Infallible;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use bifocal::internals::frame::{Fit, Fitter, FrameFormat, Layout, Packer, PixelBits};
use bifocal::internals::geom::Size;
use bifocal::internals::io::{Controller, FrameSink, PanelSink, PanelSpec, Turn, Wires};
use counting::own_calls;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{self, OutputPin};
use embedded_hal::spi::{self, Operation, SpiDevice};

/// Commands of MIPI DCS that the model understands.
const SLEEP_IN: u8 = 0x10;
const SLEEP_OUT: u8 = 0x11;
const INVERSION_OFF: u8 = 0x20;
const INVERSION_ON: u8 = 0x21;
const DISPLAY_ON: u8 = 0x29;
const COLUMNS: u8 = 0x2a;
const ROWS: u8 = 0x2b;
const WRITE: u8 = 0x2c;
const ADDRESS_MODE: u8 = 0x36;
const PIXEL_FORMAT: u8 = 0x3a;
const RESET: u8 = 0x01;

/// A controller and its memory, as its data sheet describes them.
struct Panel {
    memory: Size,
    pixels: Vec<u16>,
    /// Level of the D/C, reset and backlight pins.
    data: bool,
    reset: bool,
    lit: bool,
    resets: usize,
    command: u8,
    arguments: Vec<u8>,
    columns: (usize, usize),
    rows: (usize, usize),
    at: (usize, usize),
    half: Option<u8>,
    mode: u8,
    inverted: bool,
    awake: bool,
    on: bool,
    format: u8,
    /// Pixels written, and rectangles begun.
    written: usize,
    windows: Vec<[usize; 4]>,
    /// Longest transfer.
    longest: usize,
    fails: bool,
}

impl Panel {
    fn new(controller: Controller) -> Self {
        let memory = if controller == Controller::St7735 { Size::new(132, 162) } else { Size::new(240, 320) };
        Self {
            memory,
            pixels: vec![0x5555; memory.area()],
            data: true,
            reset: true,
            lit: true,
            resets: 0,
            command: 0,
            arguments: Vec::with_capacity(64),
            columns: (0, 0),
            rows: (0, 0),
            at: (0, 0),
            half: None,
            mode: 0,
            inverted: false,
            awake: false,
            on: false,
            format: 0,
            written: 0,
            windows: Vec::with_capacity(4096),
            longest: 0,
            fails: false,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        assert!(self.reset, "no bytes while it is reset");
        self.longest = self.longest.max(bytes.len());
        for byte in bytes {
            match self.data {
                false => self.begin(*byte),
                true if self.command == WRITE => self.pixel(*byte),
                true => {
                    self.arguments.push(*byte);
                    self.argument();
                }
            }
        }
    }

    fn begin(&mut self, command: u8) {
        assert_eq!(self.half, None, "pixels are whole");
        self.command = command;
        self.arguments.clear();
        match command {
            SLEEP_IN => self.awake = false,
            SLEEP_OUT => self.awake = true,
            INVERSION_OFF => self.inverted = false,
            INVERSION_ON => self.inverted = true,
            DISPLAY_ON => self.on = true,
            RESET => self.resets += 1,
            WRITE => {
                let swapped = self.mode & 0x20 != 0;
                let (width, height) = (self.memory.width, self.memory.height);
                let (across, down) = if swapped { (height, width) } else { (width, height) };
                let ((left, right), (top, bottom)) = (self.columns, self.rows);
                assert!(left <= right && right < across && top <= bottom && bottom < down, "the window is in memory");
                self.windows.push([left, top, right, bottom]);
                self.at = (left, top);
            }
            _ => {}
        }
    }

    fn argument(&mut self) {
        let pair = |at: usize| usize::from(u16::from_be_bytes([self.arguments[at], self.arguments[at + 1]]));
        match (self.command, self.arguments.len()) {
            (COLUMNS, 4) => self.columns = (pair(0), pair(2)),
            (ROWS, 4) => self.rows = (pair(0), pair(2)),
            (ADDRESS_MODE, 1) => self.mode = self.arguments[0],
            (PIXEL_FORMAT, 1) => self.format = self.arguments[0],
            _ => {}
        }
    }

    fn pixel(&mut self, byte: u8) {
        assert_eq!(self.format & 7, 5, "16 bits a pixel");
        let Some(high) = self.half.take() else {
            self.half = Some(byte);
            return;
        };
        let (column, row) = self.at;
        assert!(row <= self.rows.1, "pixels end with the window");
        // Columns and rows are exchanged first, then each is counted from its other end.
        let (mut x, mut y) = if self.mode & 0x20 != 0 { (row, column) } else { (column, row) };
        x = if self.mode & 0x40 != 0 { self.memory.width - 1 - x } else { x };
        y = if self.mode & 0x80 != 0 { self.memory.height - 1 - y } else { y };
        self.pixels[y * self.memory.width + x] = u16::from_be_bytes([high, byte]);
        self.written += 1;
        self.at = if column == self.columns.1 { (self.columns.0, row + 1) } else { (column + 1, row) };
    }

    /// What is seen at a place of the glass.
    fn seen(&self, spec: &PanelSpec, x: usize, y: usize) -> u16 {
        let x = if spec.mirror { spec.size.width - 1 - x } else { x };
        self.pixels[(spec.offset.1 + y) * self.memory.width + spec.offset.0 + x]
    }

    /// Pixels and rectangles since the last call.
    fn sent(&mut self) -> (usize, Vec<[usize; 4]>) {
        (std::mem::take(&mut self.written), std::mem::replace(&mut self.windows, Vec::with_capacity(4096)))
    }
}

type Shared = Arc<Mutex<Panel>>;

fn lock(panel: &Shared) -> MutexGuard<'_, Panel> {
    panel.lock().unwrap()
}

#[derive(Debug)]
struct Gone;

impl spi::Error for Gone {
    fn kind(&self) -> spi::ErrorKind {
        spi::ErrorKind::Other
    }
}

struct Bus(Shared);

impl spi::ErrorType for Bus {
    type Error = Gone;
}

impl SpiDevice for Bus {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Gone> {
        for operation in operations {
            let Operation::Write(bytes) = operation else { panic!("a panel is only written to") };
            let mut panel = lock(&self.0);
            if panel.fails {
                return Err(Gone);
            }
            panel.take(bytes);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Role {
    Data,
    Reset,
    Light,
}

struct Pin(Shared, Role);

impl Pin {
    fn set(&mut self, high: bool) {
        let mut panel = lock(&self.0);
        match self.1 {
            Role::Data => panel.data = high,
            Role::Light => panel.lit = high,
            Role::Reset => {
                panel.resets += usize::from(panel.reset && !high);
                panel.reset = high;
            }
        }
    }
}

impl digital::ErrorType for Pin {
    type Error = Infallible;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set(true);
        Ok(())
    }
}

/// Time does not pass in the model.
struct Clock;

impl DelayNs for Clock {
    fn delay_ns(&mut self, _: u32) {}
}

fn start(spec: &PanelSpec, format: FrameFormat, fit: Fit, pins: bool) -> (PanelSink, Shared) {
    let panel = Arc::new(Mutex::new(Panel::new(spec.controller)));
    let pin = |role| Pin(Arc::clone(&panel), role);
    let wires = Wires {
        spi: Bus(Arc::clone(&panel)),
        dc: pin(Role::Data),
        reset: pins.then(|| pin(Role::Reset)),
        backlight: pins.then(|| pin(Role::Light)),
        delay: Clock,
        transfer: 1000,
    };
    (PanelSink::start("spi://", spec, wires, format, fit).unwrap(), panel)
}

fn noise(bytes: usize, seed: u32) -> Vec<u8> {
    let mut grain = seed | 1;
    let mut next = || {
        grain ^= grain << 13;
        grain ^= grain >> 17;
        grain ^= grain << 5;
        (grain >> 8) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// The fitted picture, upright, in words of the panel.
fn fitted(spec: &PanelSpec, format: FrameFormat, fit: Fit, frame: &[u8]) -> Vec<u16> {
    let size = spec.visible();
    let (mut fitter, packer) = (Fitter::new(format, size, fit), Packer::new(PixelBits::RG16));
    let (mut row, mut packed, mut words) = (vec![0; 3 * size.width], vec![0; 2 * size.width], Vec::new());
    for y in 0..size.height {
        fitter.row(frame, y, &mut row);
        packer.row(&row, &mut packed);
        words.extend(packed.chunks(2).map(|word| u16::from_le_bytes([word[0], word[1]])));
    }
    words
}

/// Every pixel of the glass is that of the picture, turned clockwise; nothing beside the glass was written.
fn check(panel: &Panel, spec: &PanelSpec, picture: &[u16], what: &str) {
    let (glass, upright) = (spec.size, spec.visible());
    for y in 0..upright.height {
        for x in 0..upright.width {
            let (glass_x, glass_y) = match spec.turn {
                Turn::None => (x, y),
                Turn::Right => (glass.width - 1 - y, x),
                Turn::Over => (glass.width - 1 - x, glass.height - 1 - y),
                Turn::Left => (y, glass.height - 1 - x),
            };
            let (seen, wanted) = (panel.seen(spec, glass_x, glass_y), picture[y * upright.width + x]);
            assert_eq!(seen, wanted, "{what}: {spec:?}, {x}, {y}");
        }
    }
    let ((left, top), width) = (spec.offset, panel.memory.width);
    let beside = panel.pixels.iter().enumerate().filter(|(i, _)| {
        let (x, y) = (i % width, i / width);
        !(left..left + glass.width).contains(&x) || !(top..top + glass.height).contains(&y)
    });
    assert!(beside.into_iter().all(|(_, pixel)| *pixel == 0x5555), "{what}: {spec:?}, beside the glass");
}

/// Panels that people have.
fn panels() -> Vec<PanelSpec> {
    let mut square = PanelSpec::new(Controller::St7789);
    square.size = Size::new(240, 240);
    let mut lower = square;
    lower.offset = (0, 80);
    let mut narrow = PanelSpec::new(Controller::St7789);
    (narrow.size, narrow.offset) = (Size::new(135, 240), (52, 40));
    let mut green = PanelSpec::new(Controller::St7735);
    (green.size, green.offset, green.bgr) = (Size::new(80, 160), (26, 1), true);
    let plain = [Controller::Ili9341, Controller::St7735, Controller::St7789].map(PanelSpec::new);
    let mut straight = PanelSpec::new(Controller::Ili9341);
    straight.mirror = false;
    plain.into_iter().chain([square, lower, narrow, green, straight]).collect()
}

#[test]
fn every_panel_shows_every_picture_turned_right() {
    let turns = [Turn::None, Turn::Right, Turn::Over, Turn::Left];
    for (number, spec) in panels().into_iter().flat_map(|spec| turns.map(|turn| PanelSpec { turn, ..spec })).enumerate()
    {
        let (size, layout, fit) = match number % 3 {
            0 => (Size::new(400, 300), Layout::Rgb, Fit::None),
            1 => (Size::new(322, 181), Layout::Rgb, Fit::Contain),
            _ => (Size::new(161, 90), Layout::Gray, Fit::Cover),
        };
        let format = FrameFormat::picture(size, layout);
        let (mut sink, panel) = start(&spec, format, fit, number % 2 == 0);
        for seed in [7, 99] {
            let frame = noise(format.bytes(), seed);
            sink.write(&frame).unwrap();
            check(&lock(&panel), &spec, &fitted(&spec, format, fit, &frame), "noise");
        }
        let panel = lock(&panel);
        assert!(panel.on && panel.awake && panel.resets == 1 && panel.longest <= 1000);
        assert_eq!(panel.inverted, spec.invert);
        assert_eq!(panel.mode & 8 != 0, spec.bgr);
    }
}

/// The address modes of Linux's own driver of this controller, whose rotation counts the other way.
#[test]
fn address_modes_are_those_of_the_kernel() {
    for (turn, mode) in [(Turn::None, 0x48), (Turn::Right, 0x28), (Turn::Over, 0x88), (Turn::Left, 0xe8)] {
        let spec = PanelSpec { turn, ..PanelSpec::new(Controller::Ili9341) };
        let (_sink, panel) = start(&spec, FrameFormat::picture(Size::new(8, 8), Layout::Rgb), Fit::None, true);
        assert_eq!(lock(&panel).mode, mode, "{turn:?}");
    }
}

#[test]
fn only_what_changed_is_sent() {
    let spec = PanelSpec { turn: Turn::Right, ..PanelSpec::new(Controller::Ili9341) };
    let format = FrameFormat::picture(Size::new(320, 240), Layout::Rgb);
    let (mut sink, panel) = start(&spec, format, Fit::None, true);
    let mut frame = noise(format.bytes(), 3);
    let mut show = |frame: &[u8]| {
        sink.write(frame).unwrap();
        let mut panel = lock(&panel);
        check(&panel, &spec, &fitted(&spec, format, Fit::None, frame), "changes");
        panel.sent()
    };
    // The first frame is all of it, in strips of 16 rows.
    let (pixels, windows) = show(&frame);
    assert_eq!((pixels, windows.len()), (320 * 240, 15));
    assert_eq!(show(&frame), (0, vec![]), "the same frame");
    // A rectangle inside one strip: columns 100 to 107, rows 50 to 59.
    let set = |frame: &mut [u8], x: usize, y: usize| frame[3 * (y * 320 + x)] ^= 0x80;
    (50..60).for_each(|y| (100..108).for_each(|x| set(&mut frame, x, y)));
    assert_eq!(show(&frame), (80, vec![[100, 50, 107, 59]]));
    // One pixel, of which a bit changes that the panel does not store.
    frame[3 * (7 * 320 + 9) + 2] = 0;
    show(&frame);
    frame[3 * (7 * 320 + 9) + 2] = 1;
    assert_eq!(show(&frame), (0, vec![]));
    set(&mut frame, 319, 239);
    assert_eq!(show(&frame), (1, vec![[319, 239, 319, 239]]));
    // Over the border of two strips, one rectangle each.
    (15..17).for_each(|y| set(&mut frame, 5, y));
    assert_eq!(show(&frame), (2, vec![[5, 15, 5, 15], [5, 16, 5, 16]]));
    // Both ends of a row.
    set(&mut frame, 0, 100);
    set(&mut frame, 300, 101);
    assert_eq!(show(&frame), (301 * 2, vec![[0, 100, 300, 101]]));
    // Everything, and never more rectangles than strips.
    let other = noise(format.bytes(), 1234);
    let (pixels, windows) = show(&other);
    assert!(pixels > 300 * 240 && windows.len() == 15, "{pixels} {windows:?}");
}

#[test]
fn random_changes_leave_the_panel_exact() {
    let spec = PanelSpec { turn: Turn::Left, ..PanelSpec::new(Controller::St7735) };
    let format = FrameFormat::picture(Size::new(200, 150), Layout::Rgb);
    let (mut sink, panel) = start(&spec, format, Fit::Contain, false);
    let mut frame = noise(format.bytes(), 5);
    let mut dice = noise(4 * 300, 77).into_iter().map(usize::from);
    let mut dice = || dice.next().unwrap();
    for round in 0..300 {
        let (x, y, length, value) = (dice() % 200, dice() % 150, dice(), dice());
        let at = 3 * (y * 200 + x);
        let end = (at + length).min(frame.len());
        frame[at..end].fill(value as u8);
        sink.write(&frame).unwrap();
        if round % 10 == 0 {
            check(&lock(&panel), &spec, &fitted(&spec, format, Fit::Contain, &frame), "random");
        }
    }
}

/// Rows that are said to be all that changed are enough, however the picture is fitted; and only those are looked at.
#[test]
fn rows_that_changed_are_the_ones_looked_at() {
    let spec = PanelSpec { turn: Turn::Right, ..PanelSpec::new(Controller::Ili9341) };
    for (width, height, fit) in
        [(320, 240, Fit::None), (500, 100, Fit::None), (200, 333, Fit::Contain), (97, 55, Fit::Cover)]
    {
        let format = FrameFormat::picture(Size::new(width, height), Layout::Rgb);
        let (mut sink, panel) = start(&spec, format, fit, true);
        let mut frame = noise(format.bytes(), 9);
        sink.write(&frame).unwrap();
        let mut dice = noise(3 * 60, 5).into_iter().map(usize::from);
        let mut dice = || dice.next().unwrap();
        for _ in 0..60 {
            let (first, rows, value) = (dice() * 7 % height, dice() % 40, dice());
            let rows = first..(first + rows).min(height);
            frame[3 * width * rows.start..3 * width * rows.end].fill(value as u8);
            sink.set_changed(rows);
            sink.write(&frame).unwrap();
            check(&lock(&panel), &spec, &fitted(&spec, format, fit, &frame), "rows");
        }
        lock(&panel).sent();
        // What was not said is not seen, until a frame comes of which nothing is said.
        frame.iter_mut().for_each(|byte| *byte ^= 0x80);
        sink.set_changed(0..0);
        sink.write(&frame).unwrap();
        assert_eq!(lock(&panel).sent(), (0, vec![]), "{fit:?}");
        sink.write(&frame).unwrap();
        check(&lock(&panel), &spec, &fitted(&spec, format, fit, &frame), "all");
    }
}

#[test]
fn frames_allocate_nothing() {
    for fit in [Fit::None, Fit::Contain] {
        let spec = PanelSpec { turn: Turn::Right, ..PanelSpec::new(Controller::St7789) };
        let format = FrameFormat::picture(Size::new(300, 200), Layout::Rgb);
        let (mut sink, panel) = start(&spec, format, fit, true);
        let frames: Vec<Vec<u8>> = (1..5).map(|seed| noise(format.bytes(), seed)).collect();
        sink.write(&frames[0]).unwrap();
        lock(&panel).sent();
        let before = own_calls();
        for frame in frames.iter().cycle().take(50) {
            sink.write(frame).unwrap();
        }
        assert_eq!(own_calls() - before, 0, "{fit:?}");
        assert!(lock(&panel).written > 49 * 40_000);
    }
}

#[test]
fn the_light_goes_on_with_the_first_frame_and_off_in_the_end() {
    let spec = PanelSpec::new(Controller::Ili9341);
    let format = FrameFormat::picture(Size::new(20, 20), Layout::Gray);
    let (mut sink, panel) = start(&spec, format, Fit::None, true);
    assert!(!lock(&panel).lit);
    sink.write(&[9; 400]).unwrap();
    assert!(lock(&panel).lit);
    // What fails is an error, and the frame after it is sent whole.
    lock(&panel).fails = true;
    let error = sink.write(&[99; 400]).unwrap_err().to_string();
    assert!(error.contains("spi://") && error.contains("Gone") && !error.contains('\n'), "{error}");
    lock(&panel).fails = false;
    lock(&panel).half = None;
    lock(&panel).sent();
    sink.write(&[99; 400]).unwrap();
    assert_eq!(lock(&panel).sent().0, 240 * 320);
    check(&lock(&panel), &spec, &fitted(&spec, format, Fit::None, &[99; 400]), "after a failure");
    drop(sink);
    let panel = lock(&panel);
    assert!(!panel.lit && !panel.awake, "the panel sleeps");
}

#[test]
fn a_panel_that_does_not_answer_is_an_error() {
    let mut spec = PanelSpec::new(Controller::St7789);
    spec.offset = (1, 0);
    let panel = Arc::new(Mutex::new(Panel::new(spec.controller)));
    lock(&panel).fails = true;
    let begin = |spec: &PanelSpec| {
        let (spi, dc) = (Bus(Arc::clone(&panel)), Pin(Arc::clone(&panel), Role::Data));
        let wires = Wires { spi, dc, reset: None, backlight: None, delay: Clock, transfer: 64 };
        let format = FrameFormat::picture(Size::new(4, 4), Layout::Rgb);
        PanelSink::start("spi://0.0", spec, wires, format, Fit::None).err().unwrap().to_string()
    };
    let reason = begin(&spec);
    assert!(reason.contains("240x320 at offset 1,0"), "{reason}");
    let reason = begin(&PanelSpec::new(Controller::St7789));
    assert!(reason.contains("does not start: bus: Gone"), "{reason}");
}

#[test]
fn mistakes_are_one_line_and_exit_2() {
    let bars = "test://bars?width=64&height=48";
    for (sink, reason) in [
        ("spi://?panel=ili9341&dc=24", "spi://0.0"),
        ("spi://0?panel=ili9341&dc=24", "spi://0.0"),
        ("spi://0.0?dc=24", "panel= is missing"),
        ("spi://0.0?panel=ssd1306&dc=24", "ili9341, st7735, st7789 are known"),
        ("spi://0.0?panel=ili9341", "dc= is missing"),
        ("spi://0.0?panel=ili9341&dc=24&rotate=45", "0, 90, 180, 270 are known"),
        ("spi://0.0?panel=ili9341&dc=24&width=320&height=240", "320x240 at offset 0,0"),
        ("spi://0.0?panel=st7735&dc=24&offset=9", "offset=9"),
        ("spi://0.0?panel=st7735&dc=24&offset=99,99", "does not lie"),
        ("spi://0.0?panel=st7735&dc=24&speed=9", "speed is in Hz"),
        ("spi://0.0?panel=st7735&dc=24&chip=mem", "gpiochip0"),
        ("spi://0.0?panel=st7735&dc=24&colour=red", "colour"),
        ("spi://900.7?panel=ili9341&dc=24&reset=25&rotate=90", "there is no /dev/spidev900.7; switch SPI on"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
        let output = command.args(["live", bars, sink]).env_remove("RUST_LOG").stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{sink}: {said}");
        assert!(said.contains(reason), "{sink}: {said}");
    }
}
