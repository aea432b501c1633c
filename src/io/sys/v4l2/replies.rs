//! A driver made of bytes, for tests in which a driver says anything.
//!
//! Each call takes one byte that says how it is answered: 0 that there is nothing, 1 with what was asked, 2 with bytes in the place of
//! the whole structure, 3 with pairs of place and value, their number before them; others are errors of that number.

use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::abi::Plain;

#[derive(Debug)]
pub(super) struct Replies(Mutex<Vec<u8>>);

impl Replies {
    pub(super) fn new(bytes: &[u8]) -> Self {
        // Taken from the end.
        Self(Mutex::new(bytes.iter().rev().copied().collect()))
    }

    /// What no call has taken.
    pub(super) fn rest(&self) -> Vec<u8> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.iter().rev().copied().collect()
    }

    pub(super) fn answer<T: Plain>(&self, value: &mut T) -> rustix::io::Result<()> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the bytes of one value, borrowed as long as that is; `Plain` promises that every pattern of them is valid, and
        // what has one for each pattern has no padding.
        #[allow(unsafe_code)]
        let value = unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(value).cast::<u8>(), size_of::<T>()) };
        let mut next = || bytes.pop().ok_or(Errno::NODEV);
        match next()? {
            0 => return Err(Errno::INVAL),
            1 => {}
            2 => {
                for byte in value {
                    *byte = next()?;
                }
            }
            3 => {
                for _ in 0..next()? {
                    let (place, byte) = (usize::from(next()?), next()?);
                    value[place % size_of::<T>()] = byte;
                }
            }
            other => return Err(Errno::from_raw_os_error(other.into())),
        }
        Ok(())
    }
}
