//! `http://` as a sink: a page that shows the run in a browser, before and after, to few people at once.
//!
//! ```text
//! sink --(newest frame)--> encoder --(newest picture)--> a thread for each connection
//! ```
//!
//! The pipeline copies a frame, and only while somebody looks; it waits for nobody. The encoder takes the newest frame once a
//! viewer is ready for a picture, and makes one JPEG for all of them. A viewer who is slow skips what came meanwhile.
//!
//! Before and after are one picture, one below the other, which the page lays over each other: both sides of the slider are
//! always of the same frame, and there is one stream to read, not two that drift apart.
//!
//! | bound | |
//! | --- | --- |
//! | connections | viewers and 12 more; others get 503 |
//! | viewers | `viewers=`, 4 where it is left out; others get 503 |
//! | requests on a connection | 1 |
//! | head of a request | 8 KiB and 64 fields, else 431; whole within 5 s, else 408 |
//! | an answer, a picture | taken within 10 s, else the connection is closed |
//! | bytes on their way to a viewer | a picture, and what the system keeps for it, 256 KiB |

mod jpeg;
mod page;
mod pictures;
mod request;
mod server;
mod sink;
pub(in crate::io) mod spec;

pub use request::{Access, Asked, Refusal, What};
pub use server::MOST_HEAD;
pub(in crate::io) use sink::PageSink;
