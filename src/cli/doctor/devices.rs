//! Cameras, displays, SPI, and who may use them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Check, line};
use crate::board::Machine;

/// Most entries of a folder that are looked at.
const MOST: usize = 4096;

/// Drivers whose video nodes are codecs and image processors, not cameras, by the beginning of the node's name.
const NO_CAMERAS: &[&str] =
    &["bcm2835-codec", "bcm2835-isp", "rpi-hevc", "rpivid", "pispbe", "hantro", "nvhost", "tegra-vde"];

/// Desktops and other programs that keep a display to themselves.
const DESKTOPS: &[&str] = &[
    "Xorg",
    "Xwayland",
    "labwc",
    "wayfire",
    "weston",
    "sway",
    "gnome-shell",
    "kwin_wayland",
    "mutter",
    "cage",
    "kodi.bin",
];

pub(super) fn checks(machine: &Machine) -> Vec<Check> {
    let (cameras, displays) = (cameras(machine), displays(machine));
    let wanted = [
        ("video", "dev", "video"),
        ("video", "dev/dri", "card"),
        ("render", "dev/dri", "renderD"),
        ("spi", "dev", "spidev"),
        ("gpio", "dev", "gpiochip"),
    ];
    let nodes = wanted.into_iter().flat_map(|(group, folder, name)| {
        let found = entries(machine, folder).into_iter().filter(move |entry| entry.starts_with(name));
        found.map(move |entry| (group, format!("{folder}/{entry}")))
    });
    vec![cameras, displays, spi(machine), permissions(machine, &nodes.collect::<Vec<_>>()), master(machine)]
}

/// Names in a folder, sorted; none if it is not there.
fn entries(machine: &Machine, folder: &str) -> Vec<String> {
    let found = std::fs::read_dir(machine.root().join(folder)).into_iter().flatten().take(MOST);
    let mut names: Vec<String> = found.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn is_pi(machine: &Machine) -> bool {
    machine.board.name.starts_with("rpi")
}

fn cameras(machine: &Machine) -> Check {
    let folder = "sys/class/video4linux";
    let mut found = BTreeSet::new();
    for node in entries(machine, folder) {
        let Some(name) = line(machine, &format!("{folder}/{node}/name")) else { continue };
        if node.starts_with("v4l-subdev") {
            // A sensor at an I2C address, as "imx219 10-0010"; other parts of the pipeline have no address.
            let at_address = name.rsplit_once(' ').is_some_and(|(_, at)| {
                at.split_once('-').is_some_and(|(bus, address)| bus.parse::<u8>().is_ok() && address.len() == 4)
            });
            if at_address {
                found.insert(name);
            }
        } else if node.starts_with("video") && !NO_CAMERAS.iter().any(|driver| name.starts_with(driver)) {
            found.insert(format!("{name} (/dev/{node})"));
        }
    }
    if !found.is_empty() {
        return Check::ok("cameras", found.into_iter().collect::<Vec<_>>().join("; "));
    }
    let mend = if is_pi(machine) {
        "plug it in with the power off; 'rpicam-hello --list-cameras' must show it, and config.txt say camera_auto_detect=1"
    } else if machine.board.name.starts_with("jetson") {
        "sudo /opt/nvidia/jetson-io/jetson-io.py   (and choose the camera)"
    } else {
        "plug one in; 'v4l2-ctl --list-devices' must show it"
    };
    Check::warn("cameras", "none", mend)
}

fn displays(machine: &Machine) -> Check {
    let folder = "sys/class/drm";
    let (mut connected, mut others) = (Vec::new(), Vec::new());
    for entry in entries(machine, folder) {
        // A connector is card0-HDMI-A-1; card0 itself has no status.
        let Some((_, connector)) = entry.split_once('-').filter(|_| entry.starts_with("card")) else { continue };
        match line(machine, &format!("{folder}/{entry}/status")).as_deref() {
            Some("connected") => {
                let mode = line(machine, &format!("{folder}/{entry}/modes"));
                connected.push(format!("{connector} {}", mode.as_deref().unwrap_or("without a mode")));
            }
            Some(_) => others.push(connector.to_string()),
            None => {}
        }
    }
    let buffers = entries(machine, "sys/class/graphics")
        .into_iter()
        .filter(|name| name.strip_prefix("fb").is_some_and(|number| number.parse::<u8>().is_ok()));
    let buffers: Vec<String> = buffers.map(|name| format!("/dev/{name}")).collect();
    match (connected.is_empty(), others.is_empty(), buffers.is_empty()) {
        (false, ..) => Check::ok("displays", connected.join("; ")),
        (true, false, _) => {
            let mend =
                "connect it before power-on, or force it: video=HDMI-A-1:1280x720@60D in the kernel's command line";
            Check::warn("displays", format!("none is connected ({})", others.join(", ")), mend)
        }
        (true, true, false) => Check::ok("displays", format!("no KMS; frame buffer {}", buffers.join(", "))),
        (true, true, true) if is_pi(machine) => Check::warn(
            "displays",
            "no display driver",
            "add dtoverlay=vc4-kms-v3d to /boot/firmware/config.txt, and reboot",
        ),
        _ => Check::warn(
            "displays",
            "no display driver",
            "files and pipes work without; else load the driver (modprobe)",
        ),
    }
}

fn spi(machine: &Machine) -> Check {
    let nodes: Vec<String> = entries(machine, "dev")
        .into_iter()
        .filter(|name| name.starts_with("spidev"))
        .map(|n| format!("/dev/{n}"))
        .collect();
    if !nodes.is_empty() {
        return Check::ok("spi", nodes.join(", "));
    }
    let check = Check::ok("spi", "off; only a panel on SPI needs it");
    if is_pi(machine) {
        check.hint("sudo raspi-config nonint do_spi 0, or dtparam=spi=on in /boot/firmware/config.txt")
    } else {
        check
    }
}

/// Numbers of a line of `/proc/self/status`.
fn status(text: &str, key: &str) -> Vec<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn permissions(machine: &Machine, nodes: &[(&str, String)]) -> Check {
    let name = "permissions";
    let text = std::fs::read_to_string(machine.root().join("proc/self/status")).unwrap_or_default();
    // Real, effective, saved, file system.
    if status(&text, "Uid:").get(1) == Some(&0) {
        return Check::ok(name, "root");
    }
    if nodes.is_empty() {
        return Check::ok(name, "no device that would need any");
    }
    let mine: Vec<u32> = [status(&text, "Groups:"), status(&text, "Gid:")].concat();
    let groups = std::fs::read_to_string(machine.root().join("etc/group")).unwrap_or_default();
    let member = |group: &str| {
        let line = groups.lines().find_map(|line| line.strip_prefix(group)?.strip_prefix(':'));
        line.and_then(|line| line.split(':').nth(1)?.parse().ok()).map(|id: u32| mine.contains(&id))
    };
    // Where logind gives the user at the seat access, groups do not matter. A recorded tree has no such rights.
    let here = machine.root() == Path::new("/");
    let closed = |node: &str| !(here && opens(&machine.root().join(node)));
    let missing: BTreeSet<&str> = nodes
        .iter()
        .filter(|(group, node)| member(group) == Some(false) && closed(node))
        .map(|(group, _)| *group)
        .collect();
    if missing.is_empty() {
        let groups: BTreeSet<&str> = nodes.iter().map(|(group, _)| *group).collect();
        return Check::ok(name, groups.into_iter().collect::<Vec<_>>().join(", "));
    }
    let list: Vec<&str> = missing.into_iter().collect();
    let mend = format!("sudo usermod -aG {} $USER, then log in again", list.join(","));
    Check::fail(name, format!("you are not in the groups {}", list.join(", ")), mend)
}

#[cfg(unix)]
fn opens(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn opens(_: &Path) -> bool {
    true
}

/// Only one program at a time may set the picture of a display.
fn master(machine: &Machine) -> Check {
    let name = "DRM master";
    let processes = entries(machine, "proc").into_iter().filter(|entry| entry.parse::<u32>().is_ok());
    let holder = processes.into_iter().find_map(|process| {
        let comm = line(machine, &format!("proc/{process}/comm"))?;
        let desktop = DESKTOPS.contains(&&*comm);
        // Files of other users' processes are hidden from all but root; the name must do then.
        let open = entries(machine, &format!("proc/{process}/fd")).iter().any(|number| {
            let link: PathBuf = machine.root().join(format!("proc/{process}/fd/{number}"));
            std::fs::read_link(link).is_ok_and(|target| target.to_string_lossy().starts_with("/dev/dri/card"))
        });
        let passes = ["systemd-logind", "plymouthd"].contains(&&*comm);
        ((desktop || open) && !passes).then(|| format!("{comm} (process {process}) has it"))
    });
    match holder {
        Some(holder) => Check::warn(name, holder, "sudo systemctl isolate multi-user.target   (leaves the desktop)"),
        None => Check::ok(name, "free"),
    }
}
