//! Lines for every console at once.

use std::fs::File;
use std::io::{BufRead, Read, Write};

/// The kernel takes records of somewhat under 1 KiB and refuses longer ones.
const LONGEST: usize = 900;

/// The kernel's log, as a place to write to. Where there is none, lines get lost: nobody is there to be told.
pub(super) struct Kmsg(Option<File>);

impl Kmsg {
    pub(super) fn open() -> Self {
        Self(File::options().write(true).open("/dev/kmsg").ok())
    }

    /// Says what happens (priority notice).
    pub(super) fn say(&mut self, line: &str) {
        self.write(5, line);
    }

    /// Says what went wrong (priority error).
    pub(super) fn error(&mut self, line: &str) {
        self.write(3, line);
    }

    /// Says that something is over, or why it failed.
    pub(super) fn report(&mut self, what: &str, error: Option<&str>) {
        match error {
            None => self.say(&format!("{what} is over")),
            Some(error) => self.error(&format!("{what} failed: {error}")),
        }
    }

    fn write(&mut self, priority: u8, text: &str) {
        let Some(file) = &mut self.0 else { return };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            // One write is one record.
            let _ = file.write_all(format!("<{priority}>bifocal: {}\n", cut(line)).as_bytes());
        }
    }
}

/// Says every line of a reader until its end. Lines without end are cut, so memory is bounded.
pub(super) fn forward(mut reader: impl BufRead, kmsg: &mut Kmsg) {
    let mut line = Vec::with_capacity(LONGEST);
    loop {
        line.clear();
        match reader.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => kmsg.say(&String::from_utf8_lossy(&line)),
        }
    }
}

/// At most [`LONGEST`] bytes of a line, in whole characters.
fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_one_by_one_and_long_ones_in_pieces() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut kmsg = Kmsg(Some(file.reopen().unwrap()));
        let long = "x".repeat(LONGEST + 7);
        forward(format!("one\n\ntwo\n{long}\nend").as_bytes(), &mut kmsg);
        kmsg.error("wrong\nin two lines");
        let written = std::fs::read_to_string(file.path()).unwrap();
        let x = |n| format!("<5>bifocal: {}", "x".repeat(n));
        let expected = ["<5>bifocal: one", "<5>bifocal: two", &x(LONGEST), &x(7), "<5>bifocal: end"];
        let errors = ["<3>bifocal: wrong", "<3>bifocal: in two lines"];
        assert_eq!(written.lines().collect::<Vec<_>>(), [&expected[..], &errors].concat());
    }

    #[test]
    fn characters_stay_whole() {
        let line = "é".repeat(LONGEST);
        assert!(cut(&line).len() <= LONGEST && cut(&line).chars().all(|c| c == 'é'));
        assert_eq!(cut("short"), "short");
    }
}
