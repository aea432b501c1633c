//! Boards: their files, how they are recognised, their sensors, and `bifocal doctor` on trees as boards have them.

#[path = "support/tree.rs"]
mod tree;

use std::process::{Command, Output, Stdio};

use bifocal::board::{self, Board, Causes, Config, Known, Machine, Sensors, Throttling};
use bifocal::io::{SinkUri, SourceUri};
use bifocal::memory::Budget;
use bifocal::model::Model;
use serde_json::Value;
use tree::{CLOCK, PI4_WORD, PI5_WORD, Tree, ZONE0, nano, orin, pi4, pi5};

fn machine(tree: &Tree) -> Machine {
    Machine::look(tree.root(), None).unwrap()
}

fn sensors(tree: &Tree) -> Sensors {
    machine(tree).sensors()
}

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bifocal"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null()).output().expect("the command starts")
}

/// Exit code and the diagnosis.
fn doctor(tree: &Tree) -> (i32, Value) {
    let output = run(&["doctor", "--root", tree.path(), "--format", "json"]);
    let diagnosis = serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else");
    (output.status.code().unwrap(), diagnosis)
}

/// Status, text and mending of a check.
#[track_caller]
fn check<'a>(diagnosis: &'a Value, name: &str) -> (&'a str, &'a str, &'a str) {
    let checks = diagnosis["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} in {diagnosis}"));
    let text = |key: &str| check[key].as_str().unwrap_or_default();
    (text("status"), text("found"), text("mend"))
}

#[test]
fn every_board_has_what_the_rest_relies_on() {
    let expected = ["generic-aarch64", "jetson-nano", "jetson-orin-nano", "rpi-zero-2w", "rpi3", "rpi4", "rpi5"];
    assert!(expected.iter().all(|name| board::names().any(|known| known == *name)));
    for board in board::all() {
        let name = &board.name;
        let model = board.defaults.model.as_deref().unwrap_or_default();
        assert!(Model::EMBEDDED.contains(&model), "{name}: there is no model '{model}'");
        assert!(board.defaults.memory.is_some_and(|budget| budget >= Budget::mib(8)), "{name}");
        let (source, sink) = (board.defaults.source.as_deref().unwrap(), board.defaults.sink.as_deref().unwrap());
        // A kind of device that this build has no support for is no fault of the file.
        for error in [source.parse::<SourceUri>().err(), sink.parse::<SinkUri>().err()].into_iter().flatten() {
            assert!(error.to_string().contains("are not supported"), "{name}: {error}");
        }
    }
}

#[test]
fn a_file_is_refused_with_its_line() {
    let file = |lines: &str| format!("title = \"Board\"\n[processor]\n[defaults]\n[sensors]\n{lines}");
    assert!(Board::parse("x", &file("")).is_ok());
    for (lines, line, words) in [
        ("colour = 1", 5, "unknown field `colour`"),
        ("warm-celsius = \"hot\"", 5, "invalid type"),
        ("\nwarm-celsius = 500", 6, "500 °C"),
        ("warm-celsius = 80\nhot-celsius = 70", 6, "must be more than"),
        ("throttled = [\"/sys/x\"]", 5, "without a leading slash"),
        ("throttled = [\"sys/../../etc/x\"]", 5, "below the root"),
        ("power-chip = \"ina3221\"", 5, "belong together"),
        ("zones = [\"a\"", 5, "array"),
    ] {
        let error = Board::parse("x", &file(lines)).unwrap_err();
        assert_eq!((&*error.file, error.line), ("boards/x.toml", line), "{lines}: {error}");
        assert!(error.reason.contains(words), "{lines}: {error}");
    }
    for (text, line, words) in [
        ("title = \" \"\n", 1, "must not be empty"),
        ("title = \"B\"\n[processor]\nlevel = \"mmx\"\n", 3, "'mmx' is not one of"),
        ("title = \"B\"\n[processor]\ncores = 0\n", 3, "from 1 to 64"),
        ("title = \"B\"\n[processor]\nl2 = \"much\"\n", 3, "not an amount of memory"),
        ("title = \"B\"\n[processor]\n[defaults]\nmemory = \"12Q\"\n", 4, "not an amount of memory"),
        ("title = \"B\"\n[processor]\ncores = 2\n[defaults]\nthreads = 4\n[sensors]\n", 5, "4 threads on 2 cores"),
        ("title = \"B\"\n", 1, "missing field"),
    ] {
        let error = Board::parse("x", text).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.reason.contains(words) && !error.to_string().contains('\n'), "{text}: {error}");
    }
}

#[test]
fn boards_are_recognised() {
    for (tree, name, level) in [
        (pi4(), "rpi4", "neon"),
        (pi5(), "rpi5", "dotprod"),
        (orin(), "jetson-orin-nano", "dotprod"),
        (nano(), "jetson-nano", "neon"),
    ] {
        let machine = machine(&tree);
        assert_eq!((&*machine.board.name, machine.known, machine.cpu.level), (name, Known::DeviceTree, Some(level)));
        assert_eq!(machine.core(), machine.board.processor.core.as_deref(), "{name}: file and processor agree");
        assert_eq!(machine.cpu.cores, machine.board.processor.cores, "{name}");
        let named = Machine::look(tree.root(), Some("rpi3")).unwrap();
        assert_eq!((&*named.board.name, named.known), ("rpi3", Known::Named));
    }
    let (pi4, pi5) = (machine(&pi4()), machine(&pi5()));
    let bytes = |budget: Option<Budget>| budget.map(|budget| budget.0);
    for machine in [pi4, pi5] {
        let processor = &machine.board.processor;
        let caches = [processor.l1d, processor.l2, processor.l3].map(bytes);
        assert_eq!([machine.cpu.l1d, machine.cpu.l2, machine.cpu.l3], caches, "file and kernel agree");
    }
    let error = Machine::look(orin().root(), Some("rpi9")).unwrap_err().to_string();
    assert!(error.contains("rpi9") && error.contains("rpi4"), "{error}");
}

#[test]
fn others_are_what_the_processor_says() {
    let tree = Tree::new();
    tree.put("proc/cpuinfo", "processor : 0\nFeatures : fp asimd asimddp\nCPU implementer : 0x41\nCPU part : 0xd0c\n");
    let arm = machine(&tree);
    assert_eq!((&*arm.board.name, arm.known, arm.core()), ("generic-aarch64", Known::Processor, Some("Neoverse-N1")));
    tree.put("proc/cpuinfo", "processor : 0\nmodel name : Some PC\nflags : fpu avx2\n");
    let pc = machine(&tree);
    assert_eq!((&*pc.board.name, pc.core(), pc.cpu.level), ("unknown", Some("Some PC"), Some("avx2")));
    assert_eq!((pc.board.defaults.memory, pc.board.defaults.sink), (None, None));
}

#[test]
fn sensors_are_read() {
    let reading = sensors(&pi4()).read();
    assert_eq!((reading.temperature_c, reading.mhz, reading.watts), (Some(48.686), Some(1800.0), None));
    assert_eq!(reading.throttling, Some(Throttling::default()));
    let pi5 = sensors(&pi5());
    assert_eq!((pi5.read().temperature_c, pi5.read().throttling), (Some(52.35), Some(Throttling::default())));
    assert_eq!(pi5.hot(), Some(85.0), "from the board's file: the zone of a Pi has no passive trip");

    let orin = sensors(&orin());
    let reading = orin.read();
    assert_eq!((reading.temperature_c, reading.throttling), (Some(47.5), Some(Throttling::default())));
    assert!((reading.watts.unwrap() - 5.040 * 0.968).abs() < 1e-9, "{reading:?}");
    assert_eq!((orin.hot(), orin.zone()), (Some(99.0), Some("cpu-thermal")));

    let reading = sensors(&nano()).read();
    assert_eq!((reading.temperature_c, reading.watts), (Some(36.5), Some(2.875)));
}

#[test]
fn throttling_is_told_from_wherever_it_shows() {
    let now = |tree: &Tree| sensors(tree).read().throttling.unwrap().now;
    let both = Causes::UNDER_VOLTAGE.or(Causes::THROTTLED);
    let (pi4, pi5, orin) = (pi4(), pi5(), orin());
    assert_eq!(now(pi4.put(PI4_WORD, "50005\n")), both);
    assert_eq!(now(pi5.put(PI5_WORD, "80008\n")), Causes::SOFT_LIMIT);
    pi5.remove(PI5_WORD).put("sys/class/hwmon/hwmon2/in0_lcrit_alarm", "1\n");
    assert_eq!(now(&pi5), Causes::UNDER_VOLTAGE, "the alarm alone");
    assert_eq!(now(orin.put("sys/class/thermal/cooling_device4/cur_state", "1\n")), Causes::THROTTLED);
    orin.put("sys/class/hwmon/hwmon3/oc3_event_cnt", "27\n");
    assert_eq!(sensors(&orin).read().throttling.unwrap().since_boot, Causes::THROTTLED.or(Causes::OVER_CURRENT));
}

#[test]
fn garbage_is_no_reading() {
    let garbage: [&[u8]; 9] =
        [b"", b"\n", b"nan", b"99999999999999999999", b"-274000000", b"\xff\xfe\x00", b"48.6", b"1e3", &[b'9'; 500]];
    for bytes in garbage {
        let (pi, orin) = (pi4(), orin());
        for path in [ZONE0, CLOCK, PI4_WORD, "sys/class/hwmon/hwmon1/in0_lcrit_alarm"] {
            pi.put(path, bytes);
        }
        let reading = sensors(&pi).read();
        assert_eq!((reading.temperature_c, reading.mhz, reading.throttling), (None, None, None), "{bytes:?}");
        orin.put("sys/class/hwmon/hwmon1/in1_input", bytes).put("sys/class/thermal/cooling_device4/cur_state", bytes);
        let reading = sensors(&orin).read();
        assert_eq!((reading.watts, reading.throttling.unwrap().now), (None, Causes::default()), "{bytes:?}");
        let (_, diagnosis) = doctor(&pi);
        assert_eq!(check(&diagnosis, "temperature").0, "warn", "{bytes:?}");
    }
    let reading = sensors(&Tree::new()).read();
    assert_eq!(reading, Default::default(), "nothing is there at all");
}

#[test]
fn doctor_finds_nothing_wrong_with_a_sound_board() {
    let (code, diagnosis) = doctor(&pi4());
    assert_eq!((code, &diagnosis["verdict"], &diagnosis["board"]), (0, &"ok".into(), &"rpi4".into()), "{diagnosis:#}");
    for (name, words) in [
        ("board", "Raspberry Pi 4 Model B Rev 1.4 (rpi4)"),
        ("level", "neon"),
        ("cores", "4 x Cortex-A72, L1d 32.0KiB, L2 1.0MiB"),
        ("governor", "ondemand, 1800 of 1800 MHz"),
        ("temperature", "48.7 °C (cpu-thermal)"),
        ("throttling", "none"),
        ("since boot", "none"),
        ("memory", "budget 64.0MiB"),
        ("cameras", "imx219 10-0010; unicam-image (/dev/video0)"),
        ("displays", "HDMI-A-1 1920x1080"),
        ("permissions", "render, video"),
        ("DRM master", "free"),
        ("clock", "arch_sys_counter"),
    ] {
        let (status, found, _) = check(&diagnosis, name);
        assert!(status == "ok" && found.contains(words), "{name}: {status} {found}");
    }
    assert!(check(&diagnosis, "spi").2.contains("raspi-config"));
}

#[test]
fn doctor_names_what_is_wrong_and_what_mends_it() {
    let verdict = |tree: &Tree, name: &str, status: &str, mend: &str| {
        let (code, diagnosis) = doctor(tree);
        let (found, text, cure) = check(&diagnosis, name);
        assert_eq!(found, status, "{name}: {text}");
        assert!(cure.contains(mend), "{name}: {cure}");
        assert_eq!(code, i32::from(status == "fail"), "{name}: {text}");
    };
    verdict(pi4().put(PI4_WORD, "1\n"), "throttling", "fail", "power supply");
    verdict(pi4().put(PI4_WORD, "4\n"), "throttling", "fail", "cool it");
    verdict(pi4().put(PI4_WORD, "50000\n"), "since boot", "warn", "power supply");
    verdict(pi4().put(PI4_WORD, "what?\n").remove("sys/class/hwmon/hwmon1/name"), "throttling", "ok", "");
    verdict(pi4().put(ZONE0, "81000\n"), "temperature", "warn", "cool it");
    verdict(pi4().put(ZONE0, "86000\n"), "temperature", "fail", "cool it");
    verdict(orin().put(ZONE0, "99500\n"), "temperature", "fail", "cool it");
    verdict(pi4().put("sys/devices/system/cpu/online", "0-2\n"), "cores", "warn", "cpu*/online");
    verdict(orin().put("sys/devices/system/cpu/online", "0-3\n"), "cores", "warn", "nvpmodel");
    let governor = "sys/devices/system/cpu/cpufreq/policy0/scaling_governor";
    verdict(pi4().put(governor, "powersave\n"), "governor", "warn", "tee /sys/devices/system/cpu/cpufreq");
    verdict(pi4().put("proc/meminfo", "MemTotal: 100000 kB\nMemAvailable: 90000 kB\n"), "memory", "warn", "--mem");
    verdict(pi4().put("proc/meminfo", "MemTotal: 100000 kB\nMemAvailable: 9000 kB\n"), "memory", "fail", "--mem");
    verdict(pi4().put("proc/meminfo", "MemTotal: x\n"), "memory", "warn", "");
    let status = "Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000 \n";
    verdict(pi4().put("proc/self/status", status), "permissions", "fail", "usermod -aG render,video");
    verdict(pi4().put("dev/spidev0.0", ""), "permissions", "fail", "usermod -aG spi");
    verdict(pi4().put("run/systemd/timesync/x", ""), "clock", "warn", "timedatectl");
    verdict(pi4().put("proc/cpuinfo", "processor : 0\nFeatures : half thumb\n"), "level", "fail", "64-bit");
    verdict(&pi5(), "displays", "warn", "HDMI-A-1");
    verdict(&pi5(), "cameras", "warn", "rpicam-hello");
    verdict(&orin(), "cameras", "warn", "jetson-io");
    verdict(&nano(), "displays", "warn", "files and pipes");
    #[cfg(unix)]
    verdict(pi4().process(812, "labwc", "/dev/dri/card1"), "DRM master", "warn", "multi-user.target");
    #[cfg(unix)]
    verdict(pi4().process(812, "systemd-logind", "/dev/dri/card1"), "DRM master", "ok", "");
}

#[test]
fn doctor_speaks_on_one_screen() {
    let tree = pi4();
    tree.put(PI4_WORD, "50005\n");
    let output = run(&["doctor", "--root", tree.path()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "bifocal: something must be mended first\n");
    assert!(text.lines().count() <= 24, "{text}");
    assert!(text.contains("throttling   FAIL  under-voltage, throttled\n"), "{text}");
    // And on this machine, whatever it is.
    let output = run(&["doctor"]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    assert!(run(&["doctor", "--board", "rpi9"]).status.code() == Some(2));
}

#[test]
fn defaults_of_the_board_act() {
    let plan = |args: &[&str]| -> Value {
        let output = run(&[&["plan", "--size", "64x48", "--format", "json"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let tree = pi4();
    assert_eq!(plan(&["--root", tree.path()])["budget_bytes"], 64 << 20);
    assert_eq!(plan(&["--board", "rpi-zero-2w"])["budget_bytes"], 16 << 20);
    assert_eq!(plan(&["--board", "rpi-zero-2w", "--mem", "20MiB"])["budget_bytes"], 20 << 20);
    let own = bifocal::kernels::Level::best().name();
    let expected = if cfg!(target_arch = "aarch64") { "neon" } else { own };
    assert_eq!(plan(&["--board", "rpi4"])["level"], expected, "of the board where the processor has it");
    assert_eq!(plan(&["--board", "rpi4", "--level", "scalar"])["level"], "scalar");
}

#[test]
fn a_config_is_read_strictly() {
    let text = "\u{feff}# what to do\nsource = 'test://bars'\nsink=\"null://\"\nmemory = \"24MiB\"\nthreads = 2\ndrop = \"oldest\"\n";
    let config = Config::parse("bifocal.toml", text).unwrap();
    let source = config.source.as_ref().unwrap();
    assert_eq!((&*source.text, source.line, config.memory), ("test://bars", 2, Some(Budget::mib(24))));
    assert_eq!(config.wrong(source, "no").to_string(), "bifocal.toml:2: no");
    assert_eq!(Config::parse("x", "").unwrap(), Config { file: "x".into(), ..Config::default() });
    for (text, line, words) in [
        ("sauce = 'x'", 1, "unknown field `sauce`"),
        ("\n\nmemory = '1Q'", 3, "not an amount of memory"),
        ("threads = 0", 1, "from 1 to 16"),
        ("threads = 'two'", 1, "invalid type"),
        ("source = 'a'\nsource = 'b'", 2, "duplicate key"),
        ("source = 'a\n", 1, "string"),
        ("[source]\nx = 1", 1, "invalid type"),
    ] {
        let error = Config::parse("bifocal.toml", text).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.reason.contains(words) && !error.to_string().contains('\n'), "{text}: {error}");
    }
}
