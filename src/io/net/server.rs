//! Connections: who is served, for how long, and that all end.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::page::{self, BOUNDARY};
use super::pictures::{Kind, Next, Pictures};
use super::request::{Access, Asked, Refusal, What};

/// Bytes of the head of a request.
pub const MOST_HEAD: usize = 8 << 10;
/// Connections beside those of viewers.
const MORE: usize = 12;
/// For a whole head.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// For a whole answer, and for each picture.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// For what a client still says after its answer, which would take the answer from it if nobody read it.
const LINGER: Duration = Duration::from_millis(500);
/// How often a viewer is asked whether it is there while there are no pictures.
const LOOK: Duration = Duration::from_secs(1);
/// What the system keeps for a viewer, which gets old there.
#[cfg(unix)]
const KEPT: usize = 128 << 10; // Linux takes it twice
/// How long the end waits for threads, which have nothing to wait for themselves.
const END: Duration = Duration::from_secs(1);
/// Stack of a thread.
pub(super) const STACK: usize = 128 << 10;

/// Bytes of the threads, beside the encoder's.
pub(super) const fn bytes(viewers: usize) -> usize {
    (viewers + MORE + 1) * STACK
}

/// What the threads share.
struct Shared {
    name: String,
    access: Access,
    most: usize,
    pictures: Arc<Pictures>,
    open: Mutex<Vec<Arc<TcpStream>>>,
    left: Condvar,
    closed: AtomicBool,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Vec<Arc<TcpStream>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection among those that are open; it is closed when this goes.
struct Connection {
    shared: Arc<Shared>,
    stream: Arc<TcpStream>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.shared.open().retain(|other| !Arc::ptr_eq(other, &self.stream));
        self.shared.left.notify_all();
    }
}

/// Serves until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves whoever comes to `listener`.
    pub(super) fn start(
        name: &str,
        listener: TcpListener,
        access: Access,
        viewers: usize,
        pictures: Arc<Pictures>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (open, left, closed) = (Mutex::default(), Condvar::new(), AtomicBool::new(false));
        let shared = Arc::new(Shared { name: name.into(), access, most: viewers + MORE, pictures, open, left, closed });
        let own = Arc::clone(&shared);
        let acceptor = thread("bifocal-page", move || accept(&listener, &own))?;
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.pictures.close();
        // The acceptor looks up when somebody comes.
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
            _ => Ipv6Addr::LOCALHOST.into(),
        };
        let woken = TcpStream::connect_timeout(&(ip, self.address.port()).into(), END);
        if let (Ok(_), Some(acceptor)) = (woken, self.acceptor.take()) {
            let _ = acceptor.join();
        }
        for stream in self.shared.open().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let open = self.shared.left.wait_timeout_while(self.shared.open(), END, |open| !open.is_empty());
        drop(open);
    }
}

pub(super) fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.into()).stack_size(STACK).spawn(work)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closed.load(Ordering::Acquire) {
            return;
        }
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                // Those who gave up while they waited, and files that are all open for the moment.
                log::debug!("{}: {error}", shared.name);
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
        };
        let mut open = shared.open();
        if open.len() >= shared.most {
            drop(open);
            turn_away(&stream);
            continue;
        }
        let stream = Arc::new(stream);
        open.push(Arc::clone(&stream));
        drop(open);
        let connection = Connection { shared: Arc::clone(shared), stream };
        // Where there is no thread for it, the connection is closed with the connection.
        if let Err(error) = thread("bifocal-viewer", move || serve(&connection)) {
            log::debug!("{}: {error}", shared.name);
        }
    }
}

/// Says that there is no room, and waits for nothing.
fn turn_away(stream: &TcpStream) {
    let (head, body) = page::refused(Refusal::Busy);
    let _ = stream.set_nonblocking(true);
    let _ = (&*stream).write(format!("{head}{body}").as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
}

/// One request; then the connection ends.
fn serve(connection: &Connection) {
    let (stream, shared) = (&*connection.stream, &*connection.shared);
    let _ = stream.set_nodelay(true);
    #[cfg(unix)]
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(stream, KEPT);
    let done = match read_head(stream, &shared.access) {
        Ok(Asked::Granted { what, head, keep }) => answer(stream, shared, what, head, keep),
        Ok(Asked::Refused(refusal)) => refuse(stream, refusal),
        Ok(Asked::More) => return,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => linger(stream),
        Err(error) => log::debug!("{}: {error}", shared.name),
    }
}

/// What the head asks for; [`Asked::More`] where the client leaves before it is whole.
fn read_head(mut stream: &TcpStream, access: &Access) -> io::Result<Asked> {
    let end = Instant::now() + HEAD_TIME;
    let (mut head, mut length) = ([0; MOST_HEAD], 0);
    while length < MOST_HEAD {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Asked::Refused(Refusal::Slow));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut head[length..]) {
            Ok(0) => return Ok(Asked::More),
            Ok(read) => length += read,
            Err(error) if is_late(&error) || error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match Asked::of(&head[..length], access) {
            Asked::More => {}
            asked => return Ok(asked),
        }
    }
    Ok(Asked::Refused(Refusal::Long))
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Writes all of it in time.
fn send(mut stream: &TcpStream, parts: &[&[u8]]) -> io::Result<()> {
    let end = Instant::now() + WRITE_TIME;
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_write_timeout(Some(left))?;
            match stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if is_late(&error) || error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Lets the client have its answer before the connection goes: what it says meanwhile is read and forgotten.
fn linger(mut stream: &TcpStream) {
    let end = Instant::now() + LINGER;
    let _ = stream.shutdown(Shutdown::Write);
    let mut some = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() || !matches!(stream.read(&mut some), Ok(1..))
        {
            return;
        }
    }
}

fn refuse(stream: &TcpStream, refusal: Refusal) -> io::Result<()> {
    let (head, body) = page::refused(refusal);
    send(stream, &[head.as_bytes(), body.as_bytes()])
}

fn answer(stream: &TcpStream, shared: &Shared, what: What, head_only: bool, keep: bool) -> io::Result<()> {
    if let Some(text) = page::text(what, &shared.pictures) {
        let head = page::granted(what, Some(text.len()), keep, &shared.access);
        return send(stream, &[head.as_bytes(), if head_only { b"" } else { text.as_bytes() }]);
    }
    let head = page::granted(what, None, keep, &shared.access);
    if head_only {
        return send(stream, &[head.as_bytes()]);
    }
    let kind = if what == What::Pair { Kind::Pair } else { Kind::After };
    let Some(mut viewer) = shared.pictures.watch(kind) else { return refuse(stream, Refusal::Full) };
    send(stream, &[head.as_bytes(), BOUNDARY.as_bytes()])?;
    loop {
        match viewer.next(LOOK) {
            Next::Picture(picture) => {
                let mut head = [0; 64];
                let mut rest = &mut head[..];
                write!(rest, "Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.jpeg.len())?;
                let length = 64 - rest.len();
                // Browsers show a picture once they see where it ends.
                send(stream, &[&head[..length], &picture.jpeg, BOUNDARY.as_bytes()])?;
            }
            Next::Nothing if has_left(stream) => return Ok(()),
            Next::Nothing => {}
            Next::End => return Ok(()),
        }
    }
}

fn has_left(stream: &TcpStream) -> bool {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
    match stream.peek(&mut [0]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => !is_late(&error),
    }
}
