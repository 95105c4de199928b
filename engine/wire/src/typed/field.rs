//! Fields of the Protocol Buffers encoding: taken from the front of bytes from outside, and appended.
//!
//! Nothing is copied and nothing allocated while fields are read. A field is a tag (number and wire type, as a varint)
//! and its content. Groups, which only old files have, are passed over; they may lie [`GROUPS_MAX`] deep.

/// Groups inside each other, at most: what a message of a reader that knows none may make it remember.
const GROUPS_MAX: usize = 32;

/// The largest field number of the encoding.
const LAST_NUMBER: u64 = (1 << 29) - 1;

/// Content of a field as it stands in the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Content<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire types 3 and 5: no field of ours.
    Other,
}

/// Bytes that are no message: which field, where its number could be read, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Malformed {
    pub(crate) number: Option<u32>,
    pub(crate) why: &'static str,
}

/// Takes fields from the front of a message.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// The next field with its number; none at the end of the message.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Content<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        let content = match wire_type {
            3 => self.skip_group(number).map(|()| Content::Other),
            4 => Err("a group ends that never began"),
            _ => self.content(wire_type),
        };
        content.map(|content| Some((number, content))).map_err(|why| Malformed { number: Some(number), why })
    }

    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let tag = self.varint().map_err(|why| Malformed { number: None, why })?;
        match tag >> 3 {
            0 => Err(Malformed { number: None, why: "a field has the number 0" }),
            number if number > LAST_NUMBER => {
                Err(Malformed { number: None, why: "a field has a number above 536870911" })
            }
            number => Ok((number as u32, (tag & 7) as u8)),
        }
    }

    /// The content of a field that is no group.
    #[inline]
    fn content(&mut self, wire_type: u8) -> Result<Content<'a>, &'static str> {
        match wire_type {
            0 => self.varint().map(Content::Varint),
            1 => self.take(8).map(|bytes| {
                Content::Fixed64(u64::from_le_bytes(bytes.try_into().expect("eight bytes were taken")))
            }),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| "its length is beyond the message")?;
                self.take(length).map(Content::Bytes)
            }
            5 => self.take(4).map(|_| Content::Other),
            _ => Err("its wire type is none of 0 to 5"),
        }
    }

    #[inline]
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or("the message ends inside it")?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut number = 0;
        for (at, &byte) in self.rest.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                if at == 9 && byte > 1 {
                    break;
                }
                self.rest = &self.rest[at + 1..];
                return Ok(number);
            }
        }
        match self.rest.len() < 10 {
            true => Err("the message ends inside a number"),
            false => Err("a number has more than 64 bits"),
        }
    }

    fn skip_group(&mut self, number: u32) -> Result<(), &'static str> {
        let (mut open, mut depth) = ([0; GROUPS_MAX], 1);
        open[0] = number;
        while depth > 0 {
            let (number, wire_type) = self.tag().map_err(|malformed| malformed.why)?;
            match wire_type {
                3 if depth == GROUPS_MAX => return Err("groups lie too deep in each other"),
                3 => {
                    open[depth] = number;
                    depth += 1;
                }
                4 if open[depth - 1] == number => depth -= 1,
                4 => return Err("a group ends with the number of another"),
                _ => {
                    self.content(wire_type)?;
                }
            }
        }
        Ok(())
    }
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a field of a whole number.
#[inline]
pub(crate) fn put_number(number: u32, value: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3, out);
    put_varint(value, out);
}

/// Appends a field of eight bytes.
#[inline]
pub(crate) fn put_fixed64(number: u32, value: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | 1, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of bytes.
#[inline]
pub(crate) fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends a field whose content `write` appends: a message in a message, or a text made in place.
#[inline]
pub(crate) fn put_nested(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    put_varint(u64::from(number) << 3 | 2, out);
    // One byte holds the length of most; a longer content moves to make room.
    let start = out.len() + 1;
    out.push(0);
    write(out);
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length as u8;
        return;
    }
    let (end, more) = (out.len(), varint_bytes(length as u64) - 1);
    out.resize(end + more, 0);
    out.copy_within(start..end, start + more);
    let mut rest = length;
    for byte in &mut out[start - 1..start + more] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out[start + more - 1] &= 0x7f;
}

/// How many bytes a varint has.
fn varint_bytes(number: u64) -> usize {
    (70 - (number | 1).leading_zeros() as usize) / 7
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Content<'_>)>, Malformed> {
        let (mut fields, mut found) = (Fields::of(bytes), Vec::new());
        while let Some(field) = fields.next()? {
            found.push(field);
        }
        Ok(found)
    }

    #[test]
    fn what_is_appended_is_read_back() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 70_000] {
            let (content, mut out) = (vec![7; length], vec![]);
            put_number(1, u64::MAX, &mut out);
            put_nested(2, &mut out, |out| out.extend_from_slice(&content));
            put_fixed64(3, 5, &mut out);
            put_bytes(70_000, &content, &mut out);
            let expected = [
                (1, Content::Varint(u64::MAX)),
                (2, Content::Bytes(&content)),
                (3, Content::Fixed64(5)),
                (70_000, Content::Bytes(&content)),
            ];
            assert_eq!(all(&out).as_deref(), Ok(expected.as_slice()), "{length}");
        }
    }

    #[test]
    fn groups_are_passed_over_as_deep_as_they_may_lie() {
        let deep = |count: usize| [vec![0x0b; count], vec![0x0c; count]].concat();
        assert_eq!(all(&deep(GROUPS_MAX)), Ok(vec![(1, Content::Other)]));
        let too_deep = all(&deep(GROUPS_MAX + 1)).unwrap_err();
        assert_eq!((too_deep.number, too_deep.why), (Some(1), "groups lie too deep in each other"));
        assert!(all(&[0x0b, 0x14]).unwrap_err().why.contains("number of another"));
        assert!(all(&[0x0c]).unwrap_err().why.contains("never began"));
        assert!(all(&[0x0b]).unwrap_err().why.contains("ends inside"));
    }

    #[test]
    fn bytes_that_are_no_fields_are_told_apart() {
        for (bytes, number, why) in [
            (&[0x80][..], None, "inside a number"),
            (&[0x00], None, "the number 0"),
            (&[0x08], Some(1), "inside a number"),
            (&[0x0a, 5, 1], Some(1), "ends inside it"),
            (&[0x09, 0, 0, 0, 0, 0, 0, 0], Some(1), "ends inside it"),
            (&[0x0d, 0, 0, 0], Some(1), "ends inside it"),
            (&[0x0e], Some(1), "wire type"),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], Some(1), "64 bits"),
            (&[0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], Some(1), "ends inside it"),
            (&[255, 255, 255, 255, 255, 255, 255, 255, 255, 1], None, "536870911"),
        ] {
            let malformed = all(bytes).unwrap_err();
            assert_eq!(malformed.number, number, "{bytes:?}");
            assert!(malformed.why.contains(why), "{bytes:?}: {}", malformed.why);
        }
    }
}
