//! What the head of a request asks for, and whether it gets it. Nothing is read or sent here.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::spec::Token;

/// Fields of a head.
const MOST_FIELDS: usize = 64;

/// Who is let in.
#[derive(Clone, Debug)]
pub struct Access {
    /// Is it enough to come from this machine? Then the name of another one is a page of the web that was led here (DNS rebinding).
    pub loopback: bool,
    /// Of the address; cookies are not kept apart by port.
    pub port: u16,
    /// What they must know.
    pub token: Option<Token>,
}

impl Access {
    /// Lets in whoever reaches the loopback address, or knows `token`.
    ///
    /// # Errors
    ///
    /// When the token is none.
    pub fn new(port: u16, token: Option<&str>) -> Result<Self, String> {
        let token = token.map(|token| Token::new(token.into())).transpose()?;
        Ok(Self { loopback: token.is_none(), port, token })
    }

    /// Name of the cookie that holds the token.
    pub(super) fn cookie(&self) -> String {
        format!("bifocal-{}", self.port)
    }
}

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The page.
    Page,
    /// How it looks.
    Style,
    /// What it does.
    Script,
    /// Before and after in one picture, for the page, which takes the stream apart itself.
    Pair,
    /// After alone, as Motion JPEG for other programs.
    After,
    /// Numbers.
    Stats,
}

const PATHS: &[(&str, What)] = &[
    ("/", What::Page),
    ("/page.css", What::Style),
    ("/page.js", What::Script),
    ("/pictures", What::Pair),
    ("/after.mjpeg", What::After),
    ("/stats.json", What::Stats),
];

/// What came of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is not whole yet.
    More,
    /// It gets nothing.
    Refused(Refusal),
    /// It gets this.
    Granted {
        /// What.
        what: What,
        /// Only the head of the answer?
        head: bool,
        /// Did the token come in the URL? Then a cookie keeps it for what the page asks for.
        keep: bool,
    },
}

/// Why somebody gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400.
    Malformed,
    /// 401.
    NoToken,
    /// 403: another token.
    WrongToken,
    /// 403: for another machine, or from a page of another.
    Foreign,
    /// 404.
    Unknown,
    /// 405.
    Method,
    /// 408.
    Slow,
    /// 431.
    Long,
    /// 503: too many connections.
    Busy,
    /// 503: too many viewers.
    Full,
}

impl Refusal {
    /// The line of the answer that says so.
    pub(super) const fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::NoToken => "401 Unauthorized",
            Self::WrongToken | Self::Foreign => "403 Forbidden",
            Self::Unknown => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::Slow => "408 Request Timeout",
            Self::Long => "431 Request Header Fields Too Large",
            Self::Busy | Self::Full => "503 Service Unavailable",
        }
    }

    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "this is no request that is understood here",
            Self::NoToken => "open the page with ?token= and the token that bifocal was started with",
            Self::WrongToken => "the token is another",
            Self::Foreign => "this is only for the page of this machine",
            Self::Unknown => "there is nothing here; the page is at /",
            Self::Method => "only GET and HEAD",
            Self::Slow => "the request took too long",
            Self::Long => "the request is too long",
            Self::Busy => "too many connections",
            Self::Full => "all places are taken",
        }
    }
}

impl Asked {
    /// Reads what came so far.
    pub fn of(bytes: &[u8], access: &Access) -> Self {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => granted(&request, access).unwrap_or_else(Self::Refused),
            Ok(httparse::Status::Partial) => Self::More,
            Err(httparse::Error::TooManyHeaders) => Self::Refused(Refusal::Long),
            Err(_) => Self::Refused(Refusal::Malformed),
        }
    }
}

fn granted(request: &httparse::Request, access: &Access) -> Result<Asked, Refusal> {
    let head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Refusal::Method),
    };
    let target = request.path.filter(|target| target.starts_with('/')).ok_or(Refusal::Malformed)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let field = |name: &'static str| {
        let named = request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| std::str::from_utf8(field.value).unwrap_or_default())
    };
    let mut hosts = field("host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refusal::Malformed) };
    if access.loopback && !is_this_machine(host) {
        return Err(Refusal::Foreign);
    }
    let mut keep = false;
    if let Some(token) = &access.token {
        let cookie = access.cookie();
        let value = |pair: &str, name: &str| pair.trim().strip_prefix(name)?.strip_prefix('=').map(|v| token.is(v));
        let url = query.split('&').filter_map(|pair| value(pair, "token")).next();
        let kept = || field("cookie").flat_map(|line| line.split(';')).filter_map(|pair| value(pair, &cookie)).max();
        keep = url == Some(true);
        match url.filter(|right| *right).or_else(kept).or(url) {
            Some(true) => {}
            Some(false) => return Err(Refusal::WrongToken),
            None => return Err(Refusal::NoToken),
        }
    }
    // Another page may lead here; it has what is here inside itself only if it knows the token.
    if path != "/" && !keep && field("sec-fetch-site").any(|site| site == "cross-site" || site == "same-site") {
        return Err(Refusal::Foreign);
    }
    let (_, what) = PATHS.iter().find(|(known, _)| *known == path).ok_or(Refusal::Unknown)?;
    Ok(Asked::Granted { what: *what, head, keep })
}

/// Is this a name of this machine for itself? Any port will do: that of a tunnel is another, and those who lead a page of
/// theirs here cannot choose the name.
fn is_this_machine(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()) => ("localhost", rest),
        Some(_) => return false,
        None => host.find(':').map_or((host, ""), |at| host.split_at(at)),
    };
    let numbered = match port.strip_prefix(':') {
        Some(number) => number.bytes().all(|b| b.is_ascii_digit()) && number.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    numbered && (name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn ask(line: &str, fields: &[&str], token: Option<&str>) -> Asked {
        let access = Access::new(8080, token).unwrap();
        Asked::of(format!("{line} HTTP/1.1\r\n{}\r\n\r\n", fields.join("\r\n")).as_bytes(), &access)
    }

    fn granted(what: What) -> Asked {
        Asked::Granted { what, head: false, keep: false }
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        let get = |target: &str| ask(&format!("GET {target}"), &["Host: localhost:8080"], None);
        assert_eq!(get("/"), granted(What::Page));
        assert_eq!(get("/stats.json?x=1"), granted(What::Stats));
        for none in ["/..", "/../etc/passwd", "//", "/./", "/%2e%2e/", "/page.js/", "/PAGE.JS", "/page.js%00", "/a b"] {
            assert!(matches!(get(none), Asked::Refused(Refusal::Unknown | Refusal::Malformed)), "{none}");
        }
        for wrong in ["http://localhost/", "*", "page.js", "localhost:8080"] {
            assert_eq!(get(wrong), Asked::Refused(Refusal::Malformed), "{wrong}");
        }
        for method in ["POST", "PUT", "OPTIONS", "CONNECT", "get"] {
            let asked = ask(&format!("{method} /"), &["Host: localhost"], None);
            assert_eq!(asked, Asked::Refused(Refusal::Method), "{method}");
        }
        let head = Asked::Granted { what: What::Page, head: true, keep: false };
        assert_eq!(ask("HEAD /", &["Host: localhost"], None), head);
    }

    #[test]
    fn names_of_this_machine() {
        for own in ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "[::1]"] {
            assert!(is_this_machine(own), "{own}");
        }
        let names = "evil.org 127.0.0.1.evil.org localhost. 10.0.0.1 [::2] [::1 [::1]x ::1 127.1 a@localhost";
        let ports = "localhost: localhost:x localhost:99999 localhost:+1 [::1]:";
        for foreign in names.split(' ').chain(ports.split(' ')).chain([""]) {
            assert!(!is_this_machine(foreign), "{foreign}");
        }
        let twice = ask("GET /", &["Host: localhost", "Host: localhost"], None);
        assert_eq!(twice, Asked::Refused(Refusal::Malformed));
        assert_eq!(ask("GET /", &["X: y"], None), Asked::Refused(Refusal::Malformed));
        assert_eq!(ask("GET /", &["Host: evil.org"], None), Asked::Refused(Refusal::Foreign));
        assert_eq!(ask("GET /", &["Host: board.lan"], Some(TOKEN)), Asked::Refused(Refusal::NoToken));
    }

    #[test]
    fn tokens_open_the_door() {
        let get = |target: &str, cookie: &str| {
            ask(&format!("GET {target}"), &["Host: board:8080", &format!("Cookie: {cookie}")], Some(TOKEN))
        };
        let kept = Asked::Granted { what: What::Page, head: false, keep: true };
        assert_eq!(get(&format!("/?token={TOKEN}"), "a=b"), kept);
        assert_eq!(get(&format!("/?x&token={TOKEN}"), &format!("bifocal-8080={TOKEN}")), kept);
        assert_eq!(get("/", &format!("a=b; bifocal-8080={TOKEN}")), granted(What::Page));
        assert_eq!(get("/?token=0", &format!("bifocal-8080={TOKEN}")), granted(What::Page));
        assert_eq!(get("/", "bifocal-8081=0123456789abcdef"), Asked::Refused(Refusal::NoToken));
        for (target, cookie) in [("/?token=", "a=b"), ("/x?token=0123456789abcdeF", ""), ("/", "bifocal-8080=x")] {
            assert_eq!(get(target, cookie), Asked::Refused(Refusal::WrongToken), "{target} {cookie}");
        }
        // Nothing is told without it.
        assert_eq!(get("/nowhere", ""), Asked::Refused(Refusal::NoToken));
    }

    #[test]
    fn pages_of_others_get_no_pictures() {
        let from = |site: &str, path: &str| {
            ask(&format!("GET {path}"), &["Host: localhost", &format!("Sec-Fetch-Site: {site}")], None)
        };
        assert_eq!(from("cross-site", "/"), granted(What::Page), "a link");
        assert_eq!(from("cross-site", "/after.mjpeg"), Asked::Refused(Refusal::Foreign));
        let fields = ["Host: board", "Sec-Fetch-Site: cross-site"];
        let told = ask(&format!("GET /after.mjpeg?token={TOKEN}"), &fields, Some(TOKEN));
        assert_eq!(told, Asked::Granted { what: What::After, head: false, keep: true });
        for own in ["same-origin", "none"] {
            assert_eq!(from(own, "/after.mjpeg"), granted(What::After));
        }
    }

    #[test]
    fn heads_come_in_pieces() {
        let access = Access::new(80, None).unwrap();
        let head = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(Asked::of(&head[..end], &access), Asked::More, "{end}");
        }
        assert_eq!(Asked::of(head, &access), granted(What::Page));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert_eq!(Asked::of(many.as_bytes(), &access), Asked::Refused(Refusal::Long));
    }
}
