//! What is sent: heads of answers, the page, and numbers.

use std::borrow::Cow;

use super::pictures::Pictures;
use super::request::{Access, Refusal, What};

/// Before, between and after pictures of a stream.
pub(super) const BOUNDARY: &str = "\r\n--bifocal\r\n";
const MULTIPART: &str = "multipart/x-mixed-replace; boundary=bifocal";

/// What a browser may do with what it gets: nothing but show this page, by itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The head of an answer. Without a length it ends with the connection.
pub(super) fn head(status: &str, kind: &str, length: Option<usize>, more: &str) -> String {
    let length = length.map_or_else(String::new, |length| format!("Content-Length: {length}\r\n"));
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{length}Connection: close\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: {POLICY}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Cross-Origin-Opener-Policy: same-origin\r\n{more}\r\n"
    )
}

/// Of what is ours alone, which pages of others cannot show.
const OURS: &str = "Cross-Origin-Resource-Policy: same-origin\r\n";

/// What is sent at once; `None` of a stream.
pub(super) fn text(what: What, pictures: &Pictures) -> Option<Cow<'static, str>> {
    match what {
        What::Page => Some(include_str!("page/index.html").into()),
        What::Style => Some(include_str!("page/page.css").into()),
        What::Script => Some(include_str!("page/page.js").into()),
        What::Stats => Some(numbers(pictures).into()),
        What::Pair | What::After => None,
    }
}

/// Head of the answer to what was granted; `length` of a text.
pub(super) fn granted(what: What, length: Option<usize>, keep: bool, access: &Access) -> String {
    let kind = match what {
        // Browsers take a multipart stream apart themselves, each in its own way; the page must get the bytes.
        What::Pair => "application/octet-stream",
        What::After => MULTIPART,
        What::Page => "text/html; charset=utf-8",
        What::Style => "text/css; charset=utf-8",
        What::Script => "text/javascript; charset=utf-8",
        What::Stats => "application/json",
    };
    let cookie = access.token.as_ref().filter(|_| keep && what == What::Page).map_or_else(String::new, |token| {
        format!("Set-Cookie: {}={}; Path=/; HttpOnly; SameSite=Strict\r\n", access.cookie(), token.text())
    });
    let ours = if keep && what == What::After { "Cross-Origin-Resource-Policy: cross-origin\r\n" } else { OURS };
    head("200 OK", kind, length, &format!("{ours}{cookie}"))
}

/// Head and body of the answer where there is nothing.
pub(super) fn refused(refusal: Refusal) -> (String, String) {
    let more = match refusal {
        Refusal::Method => "Allow: GET, HEAD\r\n",
        Refusal::Busy | Refusal::Full => "Retry-After: 2\r\n",
        _ => "",
    };
    let body = format!("{}\n", refusal.reason());
    let head = head(refusal.status(), "text/plain; charset=utf-8", Some(body.len()), &format!("{OURS}{more}"));
    (head, body)
}

/// What the page shows in numbers; those of the run are as it tells them, or null before it does.
fn numbers(pictures: &Pictures) -> String {
    let ((from, to), (viewers, places)) = (pictures.formats(), pictures.viewers());
    let said = pictures.audience().said();
    let said = if said.is_empty() { "null" } else { &said };
    format!(
        "{{\"source\":{{\"width\":{},\"height\":{}}},\"width\":{},\"height\":{},\"viewers\":{viewers},\"places\":{places},\
         \"run\":{said}}}",
        from.size.width, from.size.height, to.size.width, to.size.height
    )
}
