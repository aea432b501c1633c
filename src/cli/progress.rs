//! A bar with the time left, on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

use super::report::shown;

/// Whether and how progress shows.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub(super) quiet: bool,
}

impl Progress {
    /// A bar over `rows`; it draws nothing unless standard error is a terminal.
    pub(super) fn bar(self, label: &str, rows: usize) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(rows as u64).with_prefix(shown(label).into_owned());
        match ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3}%  {eta} left") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}
