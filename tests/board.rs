//! Boards: their files, how they are recognised, their sensors, and `bifocal doctor` on trees as boards have them.

#[path = "support/tree.rs"]
mod tree;

use std::process::{Command, Output, Stdio};

use bifocal::internals::board::{self, Board, Causes, Config, Known, Machine, Sensors, Throttling};
use bifocal::internals::io::{SinkUri, SourceUri};
use bifocal::internals::memory::Budget;
use bifocal::internals::model::Model;
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
    let tree = pi5();
    let pi5 = sensors(&tree);
    assert_eq!((pi5.read().temperature_c, pi5.read().throttling), (Some(52.35), Some(Throttling::default())));
    assert_eq!(pi5.hot(), Some(85.0), "from the board's file: the zone of a Pi has no passive trip");

    let tree = orin();
    let orin = sensors(&tree);
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
    verdict(pi4().put(PI4_WORD, "what?\n").remove("sys/class/hwmon/hwmon1/name"), "throttling", "warn", "vcgencmd");
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

/// What goes wrong on boards, and on each the verdicts of `doctor` (temperature, throttling, since boot; exit code) and of
/// `bench` (was the run throttled).
#[test]
fn every_board_in_every_state() {
    let pi4_alarm = "sys/class/hwmon/hwmon1/in0_lcrit_alarm";
    let pi5_alarm = "sys/class/hwmon/hwmon2/in0_lcrit_alarm";
    let (alert, cooler) =
        ("sys/class/thermal/cooling_device4/cur_state", "sys/class/thermal/cooling_device0/cur_state");
    let events = [1, 2, 3].map(|event| format!("sys/class/hwmon/hwmon3/oc{event}_event_cnt"));
    type Board<'a> = (fn() -> Tree, &'a str, Vec<&'a str>);
    let boards: [Board; 3] = [
        (pi4, "40004\n", vec![PI4_WORD, pi4_alarm]),
        (pi5, "40004\n", vec![PI5_WORD, pi5_alarm]),
        (orin, "1\n", [vec![alert, cooler], events.iter().map(String::as_str).collect()].concat()),
    ];
    for (board, slowed, places) in boards {
        let state = |what: &str, change: &dyn Fn(&Tree), expected: [&str; 3], code: i32, throttled: Value| {
            let tree = board();
            change(&tree);
            let (exit, diagnosis) = doctor(&tree);
            let found = ["temperature", "throttling", "since boot"].map(|name| check(&diagnosis, name).0);
            assert_eq!((found, exit), (expected, code), "{what}: {diagnosis:#}");
            let result = bench(&tree, &["--num-runs", "2"]);
            assert_eq!(result["throttled"], throttled, "{what}: {}", result["conditions"]);
        };
        let all = |contents: &'static [u8]| {
            let places = places.clone();
            move |tree: &Tree| {
                [&places[..], &[ZONE0, CLOCK]].concat().iter().for_each(|place| _ = tree.put(place, contents))
            }
        };
        state("sound", &|_| (), ["ok", "ok", "ok"], 0, false.into());
        state("throttled", &|tree| _ = tree.put(places[0], slowed), ["ok", "fail", "warn"], 1, true.into());
        state("hot", &|tree| _ = tree.put(ZONE0, "99900\n"), ["fail", "ok", "ok"], 1, true.into());
        let missing =
            |tree: &Tree| [&places[..], &[ZONE0, CLOCK]].concat().iter().for_each(|place| _ = tree.remove(place));
        // A Jetson's cooling devices have a type, and then no state.
        let untold = if places.contains(&alert) { "warn" } else { "ok" };
        state("missing", &missing, ["warn", untold, "ok"], 0, Value::Null);
        for garbage in [&b""[..], b"\xff\xfe\x00", b"-300000\n", b"1e9", b"0x\n", b"99999999999999999999\n"] {
            state("garbage", &all(garbage), ["warn", "warn", "ok"], 0, Value::Null);
        }
    }
    // Under-voltage: now on a Pi, by the firmware's word or the kernel's alarm; a Jetson counts what happened.
    for (tree, now) in [
        (pi4().put(PI4_WORD, "10001\n"), "fail"),
        (pi5().put(pi5_alarm, "1\n"), "fail"),
        (orin().put(&events[0], "3\n"), "ok"),
    ] {
        let (exit, diagnosis) = doctor(tree);
        let (since, cause, mend) = check(&diagnosis, "since boot");
        assert_eq!(
            (check(&diagnosis, "throttling").0, since, exit),
            (now, "warn", i32::from(now == "fail")),
            "{diagnosis:#}"
        );
        assert!(cause.contains("under-voltage") && mend.contains("power supply"), "{cause}: {mend}");
        assert_eq!(bench(tree, &["--num-runs", "2"])["throttled"], Value::from(now == "fail"));
    }
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
    let own = bifocal::internals::kernels::Level::best().name();
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

/// The result of a short run on a tree.
fn bench(tree: &Tree, args: &[&str]) -> Value {
    let short = ["bench", "--size", "32x32", "-j", "1", "--format", "json", "--root", tree.path()];
    let output = run(&[&short[..], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn bench_says_whether_the_board_was_slowed_down() {
    let verdict = |tree: &Tree, throttled: Value, reason: &str| {
        let result = bench(tree, &["--num-runs", "3"]);
        assert_eq!(result["throttled"], throttled, "{}", result["conditions"]);
        let reasons = result["conditions"]["reasons"].to_string();
        assert!(reasons.contains(reason), "{reasons}");
    };
    verdict(&pi4(), false.into(), "[]");
    verdict(&pi5(), false.into(), "[]");
    verdict(&orin(), false.into(), "[]");
    verdict(&Tree::new(), Value::Null, "[]");
    verdict(pi4().put(PI4_WORD, "50005\n"), true.into(), "under-voltage, throttled");
    // What happened before the run is not its fault.
    verdict(pi4().put(PI4_WORD, "50000\n"), false.into(), "[]");
    verdict(pi4().put(ZONE0, "86000\n"), true.into(), "86.0 °C");
    verdict(orin().put("sys/class/thermal/cooling_device4/cur_state", "1\n"), true.into(), "throttled");
    verdict(pi4().put(PI4_WORD, "zz").put(ZONE0, "-999999999"), false.into(), "[]");

    let result = bench(&orin(), &["--num-runs", "3"]);
    assert_eq!(
        (&result["board"], &result["machine"]["profile"]),
        (&"NVIDIA Jetson Orin Nano Developer Kit".into(), &"jetson-orin-nano".into())
    );
    let number = |path: &str| result.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}"));
    assert_eq!((number("/conditions/before/temperature_c"), number("/conditions/during/mhz/mean")), (47.5, 1510.4));
    // Power times the time of all frames, which is a little more than that of the frames alone.
    let energy = number("/energy_j_per_frame") / (4.878_72 * number("/latency_ms/mean") / 1e3);
    assert!((0.99..10.0).contains(&energy), "{energy}");
    assert_eq!(bench(&pi4(), &["--num-runs", "1"])["energy_j_per_frame"], Value::Null);
}

#[test]
fn bench_waits_for_a_cool_board_but_not_for_ever() {
    let (tree, hot) = (pi4(), pi4());
    let result = bench(&tree, &["--num-runs", "1", "--cooldown", "60"]);
    assert_eq!((&result["cooldown"]["reached"], &result["cooldown"]["to_c"]), (&true.into(), &48.686.into()));
    hot.put(ZONE0, "75000\n");
    let args = ["bench", "--size", "32x32", "-j", "1", "--num-runs", "1", "--root", hot.path(), "--cooldown", "60"];
    let output = run(&[&args[..], &["--cooldown-limit", "100ms"]].concat());
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("still at 75.0 °C"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("not cool enough"), "{output:?}");
    // A board that cools down in the meantime.
    let (path, root) = (hot.root().join(ZONE0), hot.path().to_string());
    let cooler = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        std::fs::write(path, "55000\n").unwrap();
    });
    let args = [
        "bench",
        "--size",
        "32x32",
        "-j",
        "1",
        "--num-runs",
        "1",
        "--root",
        &root,
        "--cooldown",
        "60",
        "--format",
        "json",
    ];
    let output = run(&args);
    cooler.join().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["cooldown"]["reached"], &result["cooldown"]["from_c"]), (&true.into(), &75.0.into()));
    let nothing = Tree::new();
    let output = run(&["bench", "--root", nothing.path(), "--cooldown", "60"]);
    assert_eq!(output.status.code(), Some(2), "nothing to wait for");
}

#[test]
fn bench_shows_a_run_over_time() {
    let result = bench(&orin(), &["--duration", "1.2s"]);
    let sustained = &result["sustained"];
    let points = sustained["timeline"].as_array().unwrap();
    let frames: u64 = points.iter().map(|point| point["frames"].as_u64().unwrap()).sum();
    assert_eq!(Some(frames), result["runs"].as_u64());
    assert!(points.len() >= 3 && points.len() <= 256, "{}", points.len());
    assert!(points.iter().filter(|point| point["temperature_c"]["mean"] == 47.5).count() >= 3, "{sustained}");
    let ratio = sustained["last_ms"].as_f64().unwrap() / sustained["first_ms"].as_f64().unwrap();
    assert!((sustained["slowdown"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-9);
    assert!(bench(&orin(), &["--num-runs", "1"]).get("sustained").is_none(), "only when asked for");
    assert_eq!(run(&["bench", "--duration", "1s", "--num-runs", "3"]).status.code(), Some(2));
}

#[test]
fn the_page_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let tree = orin();
    tree.put("proc/device-tree/model", "<script>alert('\"&')</script>\0");
    let output = run(&[
        "bench",
        "--size",
        "32x32",
        "-j",
        "1",
        "--duration",
        "600ms",
        "--root",
        tree.path(),
        "--report",
        path.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert("), "escaped");
    // Nothing is fetched: no link, no source, no style from elsewhere. The name space of SVG is no address.
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", " src=", " href=", "url(", "@import", "<link"] {
        assert!(!addresses.contains(word), "{word}");
    }
    for heading in [
        "How long a frame takes",
        "Latency over time",
        "Temperature over time",
        "Clock over time",
        "Time per Step",
        "The machine",
    ] {
        assert!(page.contains(heading), "{heading}");
    }
    assert_eq!(page.matches("<svg").count(), 4);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half-written is left");
    let output = run(&["bench", "--report", folder.path().to_str().unwrap()]);
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("folder"));
    assert_eq!(run(&["bench", "--report", "/nonexistent/r.html"]).status.code(), Some(2));
}

#[test]
fn live_reads_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bifocal.toml");
    let live = |text: &str, args: &[&str]| {
        std::fs::write(&path, text).unwrap();
        let output = run(&[&["live", "--config", path.to_str().unwrap(), "--format", "json"], args].concat());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let sound = "source = \"test://bars?width=96&height=48&frames=5&fps=0\"\nsink = \"null://\"\nmemory = \"20MiB\"\nqueue = 3\nthreads = 1\n";
    let (code, told) = live(sound, &[]);
    let summary: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!((code, &summary["shown"]), (0, &5.into()), "{told}");
    let run = &summary["run"];
    assert_eq!((&run["queue"], &run["threads"], &run["budget_bytes"]), (&3.into(), &1.into(), &(20 << 20).into()));
    let (_, told) = live(sound, &["--mem", "24MiB", "--queue", "2"]);
    let summary: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&summary["run"]["queue"], &summary["run"]["budget_bytes"]),
        (&2.into(), &(24 << 20).into()),
        "flags rule"
    );
    let written = |text: &str, args: &[&str]| {
        let out = format!("file://{}", folder.path().join("out.y4m").display());
        let (code, told) = live(text, &[&["test://bars?width=96&height=48&frames=1&fps=0", &out], args].concat());
        assert_eq!(code, 0, "{told}");
        std::fs::read(folder.path().join("out.y4m")).unwrap()
    };
    let (flag, plain) = (written("", &["--info-text", "on"]), written("", &[]));
    assert!(flag != plain && written("info-text = \"on\"\n", &[]) == flag, "as --info-text does");
    assert!(written("info-text = \"off\"\n", &["--info-text", "on"]) == flag, "flags rule");
    for (text, line, words) in [
        ("source = \"test://cars\"\n", 1, "test://bars"),
        ("\nsink = \"ftp://x\"\n", 2, "not supported"),
        ("drop = \"all\"\n", 1, "oldest, newest, never"),
        ("compare = \"both\"\n", 1, "split"),
        ("info-text = \"%watt\"\n", 1, "%fps, %lat, %temp, %drop and %effort are known"),
        ("stats = \"soon\"\n", 1, "not a duration"),
        ("level = \"mmx\"\n", 1, "not available"),
        ("branches = \"all\"\n", 1, "transformer"),
        ("board = \"rpi9\"\n", 1, "rpi4"),
        ("sauce = 1\n", 1, "unknown field"),
    ] {
        let (code, told) = live(text, &["test://bars", "null://"]);
        assert_eq!((code, told.lines().count()), (2, 1), "{told}");
        let place = format!("bifocal: {}:{line}: ", path.display());
        assert!(told.starts_with(&place) && told.contains(words), "{told}");
    }
    let output = self::run(&["live", "--config", "/nonexistent.toml"]);
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("/nonexistent.toml"));
    let unknown = Tree::new();
    unknown.put("proc/cpuinfo", "processor : 0\nmodel name : PC\nflags : avx2\n");
    let output = self::run(&["live", "--root", unknown.path()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && told.contains("SOURCE_URI is missing"), "{told}");
}

#[test]
fn the_manual_and_completions_are_written() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&["generate", folder.path().to_str().unwrap()]).status.code(), Some(0));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(read("bifocal.1").starts_with(".ie") || read("bifocal.1").contains(".TH bifocal 1"));
    assert!(read("bifocal-bench.1").contains("cooldown"));
    assert!(!folder.path().join("bifocal-generate.1").exists(), "hidden");
    for name in ["bifocal.bash", "_bifocal", "bifocal.fish"] {
        assert!(read(name).contains("doctor"), "{name}");
    }
}
