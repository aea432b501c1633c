//! Trees of `/proc` and `/sys` as boards have them.
//!
//! Names, units and layout follow the kernel's documentation (thermal, cpufreq, hwmon, `ina3221`, NVIDIA's Jetson
//! guides) and the drivers of the boards; the values are made up. They are not recordings of hardware.

#![allow(dead_code)] // no test file needs all of it

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A root folder with files below it.
pub struct Tree(TempDir);

impl Tree {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self) -> &str {
        self.root().to_str().unwrap()
    }

    fn place(&self, path: &str) -> PathBuf {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Writes a file, or writes it anew.
    pub fn put(&self, path: &str, contents: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.place(path), contents).unwrap();
        self
    }

    pub fn remove(&self, path: &str) -> &Self {
        std::fs::remove_file(self.root().join(path)).unwrap();
        self
    }

    /// A process that has a file open.
    #[cfg(unix)]
    pub fn process(&self, id: u32, comm: &str, open: &str) -> &Self {
        self.put(&format!("proc/{id}/comm"), format!("{comm}\n"));
        std::os::unix::fs::symlink(open, self.place(&format!("proc/{id}/fd/7"))).unwrap();
        self
    }

    fn device_tree(&self, model: &str, compatible: &[&str]) -> &Self {
        let compatible: String = compatible.iter().map(|id| format!("{id}\0")).collect();
        self.put("proc/device-tree/model", format!("{model}\0")).put("proc/device-tree/compatible", compatible)
    }

    fn processors(&self, count: usize, part: &str, features: &str, khz: &str) -> &Self {
        let one =
            |i| format!("processor\t: {i}\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n");
        self.put("proc/cpuinfo", (0..count).map(one).collect::<String>());
        self.put("sys/devices/system/cpu/online", format!("0-{}\n", count - 1));
        let policy = "sys/devices/system/cpu/cpufreq/policy0";
        for (file, text) in [
            ("scaling_governor", "ondemand"),
            ("scaling_driver", "cpufreq-dt"),
            ("scaling_cur_freq", khz),
            ("cpuinfo_max_freq", khz),
        ] {
            self.put(&format!("{policy}/{file}"), format!("{text}\n"));
        }
        self
    }

    fn cache(&self, index: usize, level: usize, kind: &str, size: &str) -> &Self {
        let folder = format!("sys/devices/system/cpu/cpu0/cache/index{index}");
        self.put(&format!("{folder}/level"), format!("{level}\n"));
        self.put(&format!("{folder}/type"), format!("{kind}\n"));
        self.put(&format!("{folder}/size"), format!("{size}\n"))
    }

    fn zone(&self, number: usize, kind: &str, millidegrees: i64) -> &Self {
        let folder = format!("sys/class/thermal/thermal_zone{number}");
        self.put(&format!("{folder}/type"), format!("{kind}\n"));
        self.put(&format!("{folder}/temp"), format!("{millidegrees}\n"))
    }

    fn system(&self, total_kib: usize, available_kib: usize) -> &Self {
        self.put(
            "proc/meminfo",
            format!("MemTotal: {total_kib} kB\nMemFree: 1 kB\nMemAvailable: {available_kib} kB\n"),
        );
        self.put("sys/devices/system/clocksource/clocksource0/current_clocksource", "arch_sys_counter\n");
        self.put(
            "proc/self/status",
            "Name:\tbifocal\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t44 105 1000 \n",
        );
        self.put("etc/group", "root:x:0:\nvideo:x:44:pi\nrender:x:105:pi\nspi:x:110:\ngpio:x:111:\npi:x:1000:\n")
    }

    fn connector(&self, name: &str, status: &str, modes: &str) -> &Self {
        self.put(&format!("sys/class/drm/{name}/status"), format!("{status}\n"));
        self.put(&format!("sys/class/drm/{name}/modes"), modes);
        self.put("dev/dri/card1", "").put("dev/dri/renderD128", "")
    }
}

pub const PI4_WORD: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";
pub const PI5_WORD: &str = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled";
pub const ZONE0: &str = "sys/class/thermal/thermal_zone0/temp";
pub const CLOCK: &str = "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq";

/// A Pi 4 at rest, with a camera and a display.
pub fn pi4() -> Tree {
    let tree = Tree::new();
    tree.device_tree("Raspberry Pi 4 Model B Rev 1.4", &["raspberrypi,4-model-b", "brcm,bcm2711"])
        .processors(4, "0xd08", "fp asimd evtstrm crc32 cpuid", "1800000")
        .cache(0, 1, "Data", "32K")
        .cache(1, 1, "Instruction", "48K")
        .cache(2, 2, "Unified", "1024K")
        .zone(0, "cpu-thermal", 48_686)
        .put("sys/class/thermal/thermal_zone0/trip_point_0_type", "critical\n")
        .put("sys/class/thermal/thermal_zone0/trip_point_0_temp", "110000\n")
        .put(PI4_WORD, "0\n")
        .put("sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
        .put("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        .put("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n")
        .system(3_884_360, 3_412_000)
        .put("sys/class/video4linux/video0/name", "unicam-image\n")
        .put("sys/class/video4linux/video10/name", "bcm2835-codec-decode\n")
        .put("sys/class/video4linux/video13/name", "bcm2835-isp-output0\n")
        .put("sys/class/video4linux/v4l-subdev0/name", "imx219 10-0010\n")
        .put("dev/video0", "")
        .connector("card1-HDMI-A-1", "connected", "1920x1080\n1280x720\n")
        .connector("card1-HDMI-A-2", "disconnected", "");
    tree
}

/// A Pi 5 at rest, with nothing connected.
pub fn pi5() -> Tree {
    let tree = Tree::new();
    tree.device_tree("Raspberry Pi 5 Model B Rev 1.0", &["raspberrypi,5-model-b", "brcm,bcm2712"])
        .processors(
            4,
            "0xd0b",
            "fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
            "2400000",
        )
        .cache(0, 1, "Data", "64K")
        .cache(2, 2, "Unified", "512K")
        .cache(3, 3, "Unified", "2048K")
        .zone(0, "cpu-thermal", 52_350)
        .put(PI5_WORD, "0\n")
        .put("sys/class/hwmon/hwmon2/name", "rpi_volt\n")
        .put("sys/class/hwmon/hwmon2/in0_lcrit_alarm", "0\n")
        .system(8_245_000, 7_600_000)
        .put("sys/class/video4linux/video20/name", "pispbe-input\n")
        .connector("card1-HDMI-A-1", "disconnected", "")
        .connector("card1-HDMI-A-2", "disconnected", "");
    tree
}

/// An Orin Nano with JetPack 6, at rest.
pub fn orin() -> Tree {
    let tree = Tree::new();
    let chip = "sys/class/hwmon/hwmon1";
    tree.device_tree(
        "NVIDIA Jetson Orin Nano Developer Kit",
        &["nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"],
    )
    .processors(
        6,
        "0xd42",
        "fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        "1510400",
    )
    .zone(0, "cpu-thermal", 47_500)
    .zone(1, "gpu-thermal", 45_062)
    .zone(2, "cv0-thermal", -256_000)
    .zone(8, "tj-thermal", 47_781)
    .put("sys/class/thermal/thermal_zone0/trip_point_0_type", "critical\n")
    .put("sys/class/thermal/thermal_zone0/trip_point_0_temp", "104500\n")
    .put("sys/class/thermal/thermal_zone0/trip_point_1_type", "passive\n")
    .put("sys/class/thermal/thermal_zone0/trip_point_1_temp", "99000\n")
    .put("sys/class/thermal/cooling_device0/type", "cpufreq-cpu0\n")
    .put("sys/class/thermal/cooling_device0/cur_state", "0\n")
    .put("sys/class/thermal/cooling_device3/type", "pwm-fan\n")
    .put("sys/class/thermal/cooling_device3/cur_state", "2\n")
    .put("sys/class/thermal/cooling_device4/type", "cpu-throttle-alert\n")
    .put("sys/class/thermal/cooling_device4/cur_state", "0\n")
    .put("sys/class/hwmon/hwmon0/name", "tegra_rtc\n")
    .put(&format!("{chip}/name"), "ina3221\n")
    .put("sys/class/hwmon/hwmon3/name", "soctherm_oc\n");
    for (channel, label, volts, amperes) in
        [(1, "VDD_IN", 5_040, 968), (2, "VDD_CPU_GPU_CV", 5_032, 160), (3, "VDD_SOC", 5_032, 288)]
    {
        tree.put(&format!("{chip}/in{channel}_label"), format!("{label}\n"))
            .put(&format!("{chip}/in{channel}_input"), format!("{volts}\n"))
            .put(&format!("{chip}/curr{channel}_input"), format!("{amperes}\n"));
    }
    for event in 1..=3 {
        tree.put(&format!("sys/class/hwmon/hwmon3/oc{event}_event_cnt"), "0\n");
    }
    tree.system(7_802_000, 6_100_000);
    tree
}

/// A Jetson Nano with JetPack 4: power through iio.
pub fn nano() -> Tree {
    let tree = Tree::new();
    let chip = "sys/bus/iio/devices/iio:device0";
    tree.device_tree(
        "NVIDIA Jetson Nano Developer Kit",
        &["nvidia,p3450-0000", "nvidia,jetson-nano", "nvidia,tegra210"],
    )
    .processors(4, "0xd07", "fp asimd evtstrm aes pmull sha1 sha2 crc32", "1479000")
    .zone(0, "AO-therm", 44_000)
    .zone(1, "CPU-therm", 36_500)
    .put(&format!("{chip}/name"), "ina3221x\n")
    .put(&format!("{chip}/rail_name_0"), "POM_5V_IN\n")
    .put(&format!("{chip}/rail_name_1"), "POM_5V_GPU\n")
    .put(&format!("{chip}/in_power0_input"), "2875\n")
    .put(&format!("{chip}/in_power1_input"), "40\n")
    .system(4_059_000, 3_000_000);
    tree
}
