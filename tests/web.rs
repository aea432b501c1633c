//! `http://` as a sink: what the page and its streams give, to whom, and that nobody who comes can hold the run up.

#![cfg(target_os = "linux")]

#[path = "support/scope.rs"]
mod scope;
#[path = "support/live.rs"]
mod support;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bifocal::internals::frame::{FrameFormat, Plain};
use bifocal::internals::geom::Size;
use bifocal::internals::io::{SourceUri, read_counter};
use bifocal::internals::live::{self, Options, Wish};
use support::{Look, OPTIONS, alone, bifocal, prepare};

const TOKEN: &str = "0123456789abcdef-of-tests";
/// Far beyond what anything here takes; only a test that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program, serving at a port that was free.
struct Run {
    child: Child,
    address: SocketAddr,
    /// What it says after it has said where the page is.
    said: Receiver<String>,
}

impl Run {
    fn start(source: &str, query: &str, more: &[&str], stdin: Stdio) -> Self {
        let sink = format!("http://127.0.0.1:0/{query}");
        let args = [&["live", source, &sink, "-v"], more].concat();
        let mut child = bifocal(&args).stdin(stdin).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut before = Vec::new();
        let at = lines.find_map(|line| {
            before.push(line.clone());
            line.split_once("the page is at http://").map(|(_, at)| at.trim_end_matches('/').to_string())
        });
        let address = at.unwrap_or_else(|| panic!("{before:?}")).parse().unwrap();
        let (send, said) = channel();
        std::thread::spawn(move || lines.for_each(|line| _ = send.send(line)));
        Self { child, address, said }
    }

    fn bars(query: &str, size: &str, fps: u32) -> Self {
        Self::start(&format!("test://bars?{size}&fps={fps}"), query, &[], Stdio::null())
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// An answer: its head, and its body.
    fn ask(&self, request: &str) -> (String, Vec<u8>) {
        let mut stream = self.connect();
        let _ = stream.write_all(request.as_bytes());
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        let body = all.split_off(end);
        (String::from_utf8(all).unwrap(), body)
    }

    fn get(&self, path: &str) -> (String, Vec<u8>) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    fn status(&self, request: &str) -> String {
        self.ask(request).0.split(' ').nth(1).unwrap_or_default().to_string()
    }

    fn stats(&self) -> serde_json::Value {
        let (head, body) = self.get("/stats.json");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        serde_json::from_slice(&body).unwrap()
    }

    /// Asks until it is so.
    fn await_stats(&self, what: &str, is: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let begin = Instant::now();
        loop {
            let stats = self.stats();
            if is(&stats) {
                return stats;
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: {stats}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn watch(&self, path: &str) -> Pictures {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Pictures(reader)
    }

    /// Files and sockets that the program has open.
    fn open(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    fn end(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        let said: Vec<String> = self.said.iter().collect();
        assert_eq!(code, Some(0), "{said:?}");
        let shown = said.iter().any(|line| line.contains(" shown, dropped "));
        assert!(shown && !said.iter().any(|line| line.contains(TOKEN)), "{said:?}");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stream of pictures.
struct Pictures(BufReader<TcpStream>);

impl Pictures {
    /// The next as it came; `None` at the end.
    fn jpeg(&mut self) -> Option<Vec<u8>> {
        let mut length = None;
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                result => result.unwrap(),
            };
            if let Some(given) = line.strip_prefix("Content-Length: ") {
                length = Some(given.trim().parse().unwrap());
            }
            if let (Some(length), "") = (length, line.trim()) {
                let mut jpeg = vec![0; length];
                return self.0.read_exact(&mut jpeg).ok().map(|()| jpeg);
            }
        }
    }

    fn next(&mut self) -> image::GrayImage {
        let jpeg = self.jpeg().expect("a picture");
        image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg).unwrap().to_luma8()
    }
}

/// The number on the test picture, in the rows from `top`.
fn number(picture: &image::GrayImage, source: Size, top: u32) -> u16 {
    let from = (top * picture.width()) as usize;
    read_counter(&picture.as_raw()[from..], source, 2).expect("a counter")
}

#[test]
fn the_page_and_its_limits() {
    let _alone = alone();
    let run = Run::bars("", "width=88&height=24", 20);
    for (path, kind, holds) in [
        ("/", "text/html; charset=utf-8", "<canvas"),
        ("/page.css", "text/css; charset=utf-8", "#stage"),
        ("/page.js", "text/javascript; charset=utf-8", "drawImage"),
    ] {
        let (head, body) = run.get(path);
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("Content-Type: {kind}\r\n")),
            "{head}"
        );
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        assert!(String::from_utf8(body).unwrap().contains(holds), "{path}");
        for field in [
            "Content-Security-Policy: default-src 'none'; ",
            "X-Content-Type-Options: nosniff",
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",
            "Cross-Origin-Resource-Policy: same-origin",
            "Connection: close",
        ] {
            assert!(head.contains(&format!("\r\n{field}")), "{field}: {head}");
        }
        let (only, nothing) = run.ask(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!((only, nothing.len()), (head, 0));
    }
    let status = |line: &str, fields: &str| run.status(&format!("{line} HTTP/1.1\r\n{fields}\r\n"));
    let own = "Host: localhost\r\n";
    for path in ["/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/page.js/..", "/favicon.ico"]
    {
        assert_eq!(status(&format!("GET {path}"), own), "404", "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let (head, _) = run.ask(&format!("{method} / HTTP/1.1\r\n{own}Content-Length: 5\r\n\r\nhello"));
        assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET, HEAD\r\n"), "{head}");
    }
    for (fields, expected) in [
        ("Host: evil.example\r\n", "403"),
        ("Host: 127.0.0.1.evil.example\r\n", "403"),
        ("Host: 192.168.1.9\r\n", "403"),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", "403"),
        ("", "400"),
        ("Host: localhost\r\nHost: localhost\r\n", "400"),
        ("Host: localhost\r\nno field\r\n", "400"),
        ("Host: 127.0.0.1:9\r\n", "200"),
        ("Host: [::1]:80\r\n", "200"),
    ] {
        assert_eq!(status("GET /stats.json", fields), expected, "{fields}");
    }
    assert_eq!(run.status("\x16\x03\x01\x02\0\x01\0\x01\u{fffd}"), "400", "TLS");
    assert_eq!(run.status(&format!("GET /{} HTTP/1.1\r\n{own}\r\n", "x".repeat(9000))), "431");
    assert_eq!(run.status(&format!("GET / HTTP/1.1\r\n{own}{}\r\n", "a: b\r\n".repeat(100))), "431");
    // Whatever it was, it did no harm.
    let stats = run.await_stats("the run goes on", |stats| stats["run"]["shown"].as_u64() > Some(0));
    assert_eq!((&stats["width"], &stats["source"]["height"]), (&176.into(), &24.into()));
    assert_eq!((&stats["run"]["model"], &stats["viewers"]), (&"ctnet-tiny-x2".into(), &0.into()));
    assert!(stats["run"]["latency_ms"]["p99"].as_f64() > Some(0.0), "{stats}");
    run.end();
}

#[test]
fn a_token_is_asked_for_and_never_shown() {
    let _alone = alone();
    let run = Run::bars(&format!("?token={TOKEN}"), "width=88&height=24", 20);
    let status =
        |path: &str, fields: &str| run.status(&format!("GET {path} HTTP/1.1\r\nHost: board.example\r\n{fields}\r\n"));
    for path in ["/", "/page.js", "/stats.json", "/pictures", "/after.mjpeg", "/nothing"] {
        assert_eq!(status(path, ""), "401", "{path}");
        assert_eq!(status(&format!("{path}?token={}", &TOKEN[1..]), ""), "403", "{path}");
        assert_eq!(status(path, "Cookie: token=x; bifocal-1=y\r\n"), "401", "{path}");
    }
    let (head, body) = run.get(&format!("/?token={TOKEN}"));
    let cookie = head.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap();
    let (pair, marks) = cookie.split_once(';').unwrap();
    assert_eq!(marks.trim(), "Path=/; HttpOnly; SameSite=Strict");
    assert!(!String::from_utf8(body).unwrap().contains(TOKEN));
    assert_eq!(status("/stats.json", &format!("Cookie: a=b; {pair}\r\n")), "200");
    assert_eq!(status("/nothing", &format!("Cookie: {pair}\r\n")), "404");
    let mut pictures = run.watch(&format!("/after.mjpeg?token={TOKEN}"));
    assert_eq!(pictures.next().dimensions(), (176, 48));
    run.end();
}

#[test]
fn both_halves_are_of_one_frame_and_move() {
    let _alone = alone();
    for (size, format) in [
        (Size::new(88, 24), "yuv420p"),
        (Size::new(90, 37), "gray"),
        (Size::new(97, 21), "yuv422p"),
        (Size::new(97, 20), "rgb24"),
    ] {
        let (width, height) = (2 * size.width as u32, 2 * size.height as u32);
        let source = format!("width={}&height={}&format={format}", size.width, size.height);
        let run = Run::bars("?quality=95", &source, 25);
        let (mut pair, mut after) = (run.watch("/pictures"), run.watch("/after.mjpeg"));
        let half = height.next_multiple_of(16);
        let mut last = None;
        for _ in 0..5 {
            let both = pair.next();
            assert_eq!(both.dimensions(), (width, half + height));
            let numbers = (number(&both, size, 0), number(&both, size, half));
            assert_eq!(numbers.0, numbers.1);
            assert!(last.is_none_or(|last| numbers.0 > last), "{numbers:?} after {last:?}");
            last = Some(numbers.0);
            let rows = |from: u32| &both.as_raw()[(from * width) as usize..][..(height * width) as usize];
            assert_ne!(rows(0), rows(half), "the network has done something");
            assert_eq!(after.next().dimensions(), (width, height));
        }
        assert_eq!(run.await_stats("two look", |s| s["viewers"] == 2)["places"], 4);
        drop((pair, after));
        run.await_stats("nobody looks", |s| s["viewers"] == 0);
        run.end();
    }
}

/// The frame below is what the filter makes of the source: the left half of `--compare`.
#[test]
fn before_is_what_compare_shows() {
    let _alone = alone();
    for format in ["yuv420p", "yuv422p", "yuv444p", "gray", "rgb24"] {
        let uri = format!("test://bars?width=50&height=22&fps=0&frames=1&format={format}");
        let mut source = uri.parse::<SourceUri>().unwrap().open().unwrap();
        let from = source.clip().format;
        let to = FrameFormat { size: from.size.scaled(2), ..from };
        let mut frame = vec![0; from.bytes()];
        source.read(&mut frame).unwrap();
        let options = Options { compare: true, ..OPTIONS };
        let (upscaler, _) = prepare(&options, from, to);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&shown);
        let look = move |frame: &[u8]| seen.lock().unwrap().extend_from_slice(frame);
        let source = uri.parse::<SourceUri>().unwrap().open().unwrap();
        live::run(&options, upscaler, source, Box::new(Look(look, Duration::ZERO)), |_| Wish::Run).unwrap();
        let shown = shown.lock().unwrap();
        let [first, cb, cr] = to.planes(&shown);
        let (mut plain, bytes, down) = (Plain::new(&from, &to), first.len() / 44, to.layout.subsampling().1);
        for (y, both) in first.chunks(bytes).enumerate() {
            let [row, blue, red] = plain.row(&frame, y);
            assert!(row[..bytes / 2] == both[..bytes / 2] && (y > 0 || row != both), "{format}, row {y}");
            let width = to.chroma().width;
            let chroma = |plane: &[u8]| plane[y / down * width..][..width].to_vec();
            assert!(blue == chroma(cb) && red == chroma(cr), "{format}, chroma of row {y}");
        }
    }
}

#[test]
fn ten_bits_are_shown_in_eight() {
    let _alone = alone();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let planes = [(400u16, 32 * 16), (512, 16 * 8 * 2)];
    let frame: Vec<u8> = planes.iter().flat_map(|(v, n)| v.to_le_bytes().repeat(*n)).collect();
    let feeder = std::thread::spawn(move || {
        let head = writer.write_all(b"YUV4MPEG2 W32 H16 F25:1 Ip A1:1 C420p10 XCOLORRANGE=FULL\n");
        // Until the program has ended.
        let mut frames = std::iter::repeat_with(|| writer.write_all(&[b"FRAME\n", &frame[..]].concat()));
        head.and(frames.find_map(Result::err).map_or(Ok(()), Err))
    });
    let run = Run::start("-", "", &[], reader.into());
    let picture = run.watch("/pictures").next();
    assert_eq!(picture.dimensions(), (64, 64));
    assert!(picture.pixels().all(|pixel| pixel.0[0].abs_diff(100) < 4), "both halves");
    run.end();
    assert!(feeder.join().unwrap().is_err());
}

#[test]
fn slow_readers_skip_frames_and_hold_nothing_up() {
    let _alone = alone();
    let size = Size::new(320, 180);
    let run = Run::bars("?quality=100&viewers=2", "width=320&height=180", 30);
    let slow = run.watch("/pictures");
    let mut quick = run.watch("/pictures");
    let (head, _) = run.get("/after.mjpeg");
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: "), "{head}");
    // The slow one takes nothing until the program gives it up; the quick one sees frame after frame.
    let (mut seen, mut last) = (0, None);
    while seen < 40 || run.stats()["viewers"] != 1 {
        let number = number(&quick.next(), size, 0);
        assert!(last.is_none_or(|last| number > last), "{number} after {last:?}");
        (seen, last) = (seen + 1, Some(number));
        assert!(seen < 100_000);
        if seen % 20 == 0 {
            let stats = run.stats();
            assert!(stats["run"].is_null() || stats["run"]["shown"].as_u64() > Some(0), "{stats}");
        }
    }
    // What it finds is whole pictures, then the end in the middle of one.
    let mut slow = slow;
    let mut kept = 0;
    while slow.jpeg().is_some() {
        kept += 1;
    }
    assert!(kept < seen, "{kept} of {seen}");
    // Its place is free.
    run.watch("/after.mjpeg").next();
    run.end();
}

#[test]
fn slow_requests_are_cut() {
    let _alone = alone();
    let run = Run::bars("", "width=88&height=24", 20);
    let mut pictures = run.watch("/pictures");
    let mut loris = run.connect();
    let mut answer = Vec::new();
    loris.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let letters = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
    // A letter at a time, and never the end; a request would have room for more of them.
    for (sent, letter) in letters.enumerate() {
        assert!(sent < 2000, "the program reads on");
        let _ = loris.write_all(&[*letter]);
        let mut some = [0; 1024];
        match loris.read(&mut some) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&some[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        pictures.next();
    }
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    pictures.next();
    run.end();
}

#[test]
fn a_thousand_connections_change_nothing() {
    let _alone = alone();
    use rustix::process::{Resource, getrlimit, setrlimit};
    let (wanted, mut limit) = (1000, getrlimit(Resource::Nofile));
    limit.current = limit.current.max(limit.maximum.map(|most| most.min(4096)));
    setrlimit(Resource::Nofile, limit).unwrap();
    let run = Run::bars("", "width=88&height=24", 20);
    let mut pictures = run.watch("/pictures");
    pictures.next();
    let before = run.open();
    let mut all = Vec::new();
    for _ in 0..wanted {
        match TcpStream::connect_timeout(&run.address, PATIENCE) {
            Ok(stream) => all.push(stream),
            Err(error) => panic!("{} connections: {error}", all.len()),
        }
        assert!(run.open() <= before + 18, "as many as there may be, and one that is turned away");
    }
    // Most were turned away, those with a place have their time for a request; the viewer sees all of it.
    let (first, mut last) = (number(&pictures.next(), Size::new(88, 24), 0), 0);
    for _ in 0..20 {
        last = number(&pictures.next(), Size::new(88, 24), 0);
    }
    assert!(last >= first + 20);
    let mut busy = 0;
    for stream in &mut all {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        busy += usize::from(answer.starts_with(b"HTTP/1.1 503 "));
    }
    assert!(busy > wanted * 9 / 10, "{busy}");
    drop(all);
    run.await_stats("requests are answered again", |stats| stats["viewers"] == 1);
    let begin = Instant::now();
    while run.open() > before {
        assert!(begin.elapsed() < PATIENCE, "{} open, {before} before", run.open());
        pictures.next();
    }
    run.end();
}

#[test]
fn the_end_of_the_run_is_the_end_for_viewers() {
    let _alone = alone();
    let run = Run::bars("", "width=88&height=24", 20);
    let (mut pair, mut after) = (run.watch("/pictures"), run.watch("/after.mjpeg"));
    pair.next();
    after.next();
    let silent = run.connect();
    let address = run.address;
    run.end();
    for pictures in [&mut pair, &mut after] {
        while pictures.jpeg().is_some() {}
    }
    assert!(matches!((&silent).read(&mut [0]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn addresses_that_cannot_be_had() {
    let _alone = alone();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = |sink: &str| {
        let output = bifocal(&["live", "test://bars?width=88&height=24", sink, "--frames", "3"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains(TOKEN), "{said}");
        (output.status.code(), said)
    };
    let (code, said) = refused(&format!("http://127.0.0.1:{port}/"));
    assert!(code == Some(1) && said.contains("another program"), "{said}");
    let (code, said) = refused("http://0.0.0.0:0/");
    assert!(code == Some(2) && said.contains("token="), "{said}");
    for sink in
        ["http://127.0.0.1:0/?viewers=0", "http://127.0.0.1:0/?fit=cover", "http://board:80/", "http://127.0.0.1/"]
    {
        assert_eq!(
            refused(&format!("{sink}{}token={TOKEN}", if sink.contains('?') { '&' } else { '?' })).0,
            Some(2),
            "{sink}"
        );
    }
    // TEST-NET-1 is nobody's.
    assert_eq!(refused(&format!("http://192.0.2.1:0/?token={TOKEN}")).0, Some(2));
}

/// A file is shown at its rate, whoever looks.
#[test]
fn files_keep_their_rate() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.y4m");
    let mut bytes = b"YUV4MPEG2 W16 H16 F20:1 Ip A1:1 Cmono\n".to_vec();
    (0..21).for_each(|_| bytes.extend([&b"FRAME\n"[..], &[90; 256]].concat()));
    std::fs::write(&file, bytes).unwrap();
    let begin = Instant::now();
    let output = bifocal(&["live", file.to_str().unwrap(), "http://127.0.0.1:0/"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(begin.elapsed() >= Duration::from_secs(1), "20 frames after the first");
}
