//! Reading bytes from outside, piece by piece, without a panic.

use crate::row::{ROW_HEADER_BYTES, row_length};

/// What is still to be read. Numbers are little endian.
#[derive(Clone, Copy, Debug)]
pub struct Rest<'r>(pub &'r [u8]);

/// Why something cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The bytes end before.
    Short,
    /// It has no meaning: what it is.
    Meaning(&'static str),
}

impl<'r> Rest<'r> {
    /// The next `length` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn take(&mut self, length: usize) -> Result<&'r [u8], Unread> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unread::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Unread> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Unread::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// There is none.
    pub fn byte(&mut self) -> Result<u8, Unread> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A number of two bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u16(&mut self) -> Result<u16, Unread> {
        self.array().map(u16::from_le_bytes)
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u32(&mut self) -> Result<u32, Unread> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of eight bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u64(&mut self) -> Result<u64, Unread> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes behind their length of four bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn long(&mut self) -> Result<&'r [u8], Unread> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    /// A text behind its length of four bytes.
    ///
    /// # Errors
    /// There are fewer bytes, or they are not UTF-8.
    pub fn text(&mut self) -> Result<&'r str, Unread> {
        std::str::from_utf8(self.long()?).map_err(|_| Unread::Meaning("a text"))
    }

    /// A packed row, as far as its length says; what is in it is for [`crate::Row::check`].
    ///
    /// # Errors
    /// There are fewer bytes, or no row is so short.
    #[inline]
    pub fn row(&mut self) -> Result<&'r [u8], Unread> {
        match row_length(self.0).ok_or(Unread::Short)? {
            length if length < ROW_HEADER_BYTES => Err(Unread::Meaning("the length of a row")),
            length => self.take(length),
        }
    }
}
