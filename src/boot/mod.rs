//! The first process of a card image: everything between the kernel and the picture.
//!
//! A card (`boards/image`) holds a kernel and an archive of this program and the board's kernel modules; started as
//! `/init`, the program brings the machine up and stays:
//!
//! 1. mounts `/proc`, `/sys`, `/dev` and `/tmp`;
//! 2. loads the modules that `/lib/modules/order` lists;
//! 3. finds the card's FAT partition by the volume id on the kernel's command line (`bifocal.card=B1F0-CA1D`), for at
//!    most [`CARD_WAIT`], and mounts it on `/card`, read-only: nothing is ever written, so a power cut loses nothing;
//! 4. runs `bifocal live --config /card/bifocal.toml`, and starts it again when it ends, after a pause that doubles up
//!    to [`LONGEST_PAUSE`]. When it fails, the error is on the screen for some seconds and the test picture for half a
//!    minute, in turn.
//!
//! What happens is said through `/dev/kmsg`, which the kernel shows on every console: serial line and screen.

mod card;
mod kmsg;
mod modules;

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kmsg::Kmsg;

/// How long the card's partition may take to appear. Cards take a second, disks on USB some.
pub const CARD_WAIT: Duration = Duration::from_secs(15);
/// How long a display may take to appear after its module was loaded.
const DISPLAY_WAIT: Duration = Duration::from_secs(5);
/// The longest pause before the picture is started again.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(16);
/// A run that lasted this long counts as a success, and the next pause is short again.
const GOOD_RUN: Duration = Duration::from_secs(30);
/// How long an error can be read on the screen before the test picture covers it.
const READING_TIME: Duration = Duration::from_secs(4);
/// What is shown when the card's own configuration fails, and for how long until that is tried again.
const TEST_PICTURE: &str = "test://bars?width=320&height=180&fps=5";
const TEST_TIME: &str = "30s";
/// Where the card is mounted.
const CARD: &str = "/card";

/// Whether this process is the first one, started by a kernel as `/init`. In a container the program may well be
/// process 1 too, but under its own name.
pub fn wanted() -> bool {
    let named = |name: OsString| Path::new(&name).file_name() == Some("init".as_ref());
    std::process::id() == 1 && std::env::args_os().next().is_some_and(named)
}

/// Brings the machine up and shows pictures for ever. The kernel panics when its first process ends, so this one does
/// not, whatever happens.
pub fn main() -> ! {
    let _ = std::panic::catch_unwind(run);
    // Only a defect leads here. Starting over is the best that nobody in front of the screen can do.
    std::thread::sleep(LONGEST_PAUSE);
    let _ = rustix::system::reboot(rustix::system::RebootCommand::Restart);
    loop {
        std::thread::park();
    }
}

fn run() {
    let mounted = mount_all();
    let mut kmsg = Kmsg::open();
    std::panic::set_hook(Box::new(|panic| Kmsg::open().error(&panic.to_string())));
    for error in mounted {
        kmsg.error(&error);
    }
    let model = std::fs::read_to_string("/proc/device-tree/model").unwrap_or_default();
    kmsg.say(&format!("bifocal {} on {}", env!("CARGO_PKG_VERSION"), model.trim_end_matches('\0')));
    modules::load_all(&mut kmsg);
    mount_card(&mut kmsg);
    wait_for_display();
    show(&mut kmsg)
}

/// Mounts what programs expect; returns what failed.
fn mount_all() -> Vec<String> {
    use rustix::mount::{MountFlags, mount};
    let places = [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")];
    let mounted = places.map(|(kind, place)| {
        let done = mount(kind, place, kind, MountFlags::NOSUID, None);
        done.err().map(|error| format!("cannot mount {place}: {error}"))
    });
    mounted.into_iter().flatten().collect()
}

fn mount_card(kmsg: &mut Kmsg) {
    use rustix::mount::{MountFlags, mount};
    let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let Some(volume) = card::volume_of(&line) else {
        return kmsg.error("the kernel's command line names no card (bifocal.card=XXXX-XXXX)");
    };
    let Some(device) = card::find(volume, CARD_WAIT) else {
        return kmsg.error(&format!("no FAT partition with the volume id {volume} after {} s", CARD_WAIT.as_secs()));
    };
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount(&device, CARD, "vfat", flags, None) {
        Ok(()) => kmsg.say(&format!("{} is mounted on {CARD}, read-only", device.display())),
        Err(error) => kmsg.error(&format!("cannot mount {}: {error}", device.display())),
    }
}

/// Drivers of displays finish in the background. Without any display the run says so itself.
fn wait_for_display() {
    let end = Instant::now() + DISPLAY_WAIT;
    while Instant::now() < end
        && !["/dev/dri/card0", "/dev/dri/card1", "/dev/fb0"].iter().any(|d| Path::new(d).exists())
    {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs `bifocal live` again and again. After a run that failed at once, its error stays readable for a while, and then
/// the test picture shows that display and network work.
fn show(kmsg: &mut Kmsg) {
    let config = format!("{CARD}/bifocal.toml");
    let mut pause = Duration::from_secs(1);
    loop {
        let start = Instant::now();
        let error = live(&["--config", &config], kmsg);
        let good = start.elapsed() >= GOOD_RUN;
        kmsg.report("the run", error.as_deref());
        if error.is_some() && !good {
            std::thread::sleep(READING_TIME);
            let sink = if Path::new("/dev/dri").exists() { "drm://" } else { "fb://" };
            let error = live(&[TEST_PICTURE, sink, "--duration", TEST_TIME], kmsg);
            kmsg.report("the test picture", error.as_deref());
        }
        pause = if good { Duration::from_secs(1) } else { pause };
        kmsg.say(&format!("starts again in {} s", pause.as_secs()));
        std::thread::sleep(pause);
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// One run of `bifocal live`, and why it failed; what it prints goes to the consoles.
fn live(arguments: &[&str], kmsg: &mut Kmsg) -> Option<String> {
    let mut run = || -> io::Result<ExitStatus> {
        let (said, say) = io::pipe()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("bifocal").arg("live").args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(say.try_clone()?).stderr(say).spawn()?;
        // It holds our ends of the pipe, which must be closed for the reader to see an end.
        drop(command);
        kmsg::forward(BufReader::new(said), kmsg);
        child.wait()
    };
    match run() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(status.to_string()),
        Err(error) => Some(error.to_string()),
    }
}
