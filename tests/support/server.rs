//! Servers of video on loopback, as small as ffmpeg bears: RTSP with the packets in its own connection, and HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The lines of a request, `None` at the end.
fn request(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line.trim().is_empty() && !lines.is_empty() => return Some(lines),
            Ok(_) => lines.push(line.trim().to_string()),
        }
    }
}

const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
                   a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n";

/// A camera that loses all its connections after `packets` packets of each, and answers again at once. Gives its port and how
/// many have played.
pub fn rtsp(packets: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, played) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&played);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || talk(stream, packets, &count));
        }
    });
    (port, played)
}

fn talk(mut stream: TcpStream, packets: usize, played: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(lines) = request(&mut reader) {
        let number = lines.iter().find(|line| line.starts_with("CSeq")).cloned().unwrap_or_default();
        let (more, body) = match lines[0].split(' ').next() {
            Some("OPTIONS") => ("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n".to_string(), ""),
            Some("DESCRIBE") => (format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n", SDP.len()), SDP),
            Some("SETUP") => ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n".to_string(), ""),
            _ => ("Session: 1\r\n".to_string(), ""),
        };
        let _ = write!(stream, "RTSP/1.0 200 OK\r\n{number}\r\n{more}\r\n{body}");
        if lines[0].starts_with("PLAY") {
            played.fetch_add(1, Ordering::SeqCst);
            return play(stream, packets);
        }
    }
}

fn play(mut stream: TcpStream, packets: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let to = format!("rtp://127.0.0.1:{}?pkt_size=1200", socket.local_addr().unwrap().port());
    let words = "-v error -re -f lavfi -i testsrc2=s=64x48:r=25 -c:v libx264 -preset ultrafast -tune zerolatency -g 5 -bsf:v dump_extra -f rtp";
    let mut camera = Command::new("ffmpeg")
        .args(words.split(' '))
        .arg(to)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut packet = [0; 2048];
    for _ in 0..packets {
        let Ok(length) = socket.recv(&mut packet) else { break };
        let head = [b'$', 0, (length >> 8) as u8, length as u8];
        if stream.write_all(&[&head, &packet[..length]].concat()).is_err() {
            break;
        }
    }
    camera.kill().unwrap();
    camera.wait().unwrap();
}

/// A server that gives `file` to whoever asks for anything.
pub fn http(file: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let file = file.clone();
            std::thread::spawn(move || {
                if request(&mut BufReader::new(stream.try_clone().unwrap())).is_some() {
                    let head = format!(
                        "HTTP/1.0 200 OK\r\nContent-Type: video/x-matroska\r\nContent-Length: {}\r\n\r\n",
                        file.len()
                    );
                    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&file));
                    // Whoever has not read all of it does not want to.
                    let _ = stream.shutdown(std::net::Shutdown::Write).and_then(|()| stream.read(&mut [0]).map(drop));
                }
            });
        }
    });
    port
}
