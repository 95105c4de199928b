//! Rows that are made of the columns of another row and constants, prepared once.
//!
//! Most rows that rules write are the row that came in, with a column or two more. Where such columns stand side by
//! side in both rows they are copied together, so such a row costs little more than its bytes.

use super::{ROW_HEADER_BYTES, RowError, SlotKind, array};
use crate::row::MAX_ROW_BYTES;
use crate::types::{ColumnId, Shape};

/// What a column of a templated row gets.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplateCell {
    /// The same column value as a column of the same type of the source row.
    Copy(ColumnId),
    /// These bytes ([`crate::Row::slot_bytes`]) in every row.
    Constant(Box<[u8]>),
}

/// A prepared row.
///
/// ```
/// use anabranch_model::row::{Row, RowWriter, Template, TemplateCell};
/// use anabranch_model::{Column, ColumnId, Shape, Type, Value};
/// let column = |name: &str| Column { name: name.into(), ty: Type::Text, nullable: false, default: None };
/// let source = Shape::new(vec![column("name"), column("value")]);
/// let target = Shape::new(vec![column("value"), column("node")]);
/// let cells = [TemplateCell::Copy(ColumnId(1)), TemplateCell::Constant(Box::from(*b"A"))];
/// let template = Template::new(&source, &target, &cells);
///
/// let (mut row, mut made) = (Vec::new(), Vec::new());
/// let mut writer = RowWriter::new(&mut row, &source);
/// writer.value(&Value::from("a")).unwrap();
/// writer.value(&Value::from("1")).unwrap();
/// writer.finish().unwrap();
/// template.write(&row, &mut made).unwrap();
/// assert_eq!(format!("{:?}", Row::new(&made, &target)), r#"{"value": Text("1"), "node": Text("A")}"#);
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    /// The target row up to the end of its slots, with the constants that stand in slots.
    image: Box<[u8]>,
    /// Bytes of the constants of variable columns.
    constant_bytes: usize,
    /// Bytes up to the end of the slots of a source row.
    source_fixed: usize,
    /// Null bits to copy, for nullable columns.
    nulls: Vec<(Bit, Bit)>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug)]
struct Bit {
    byte: usize,
    mask: u8,
}

#[derive(Clone, Debug)]
enum Piece {
    /// Slots side by side in both rows.
    Fixed { from: usize, to: usize, bytes: usize },
    /// Variable columns side by side in both rows.
    Run {
        /// Where the source says that the column before the run ends; the run begins the values where there is none.
        before: Option<usize>,
        /// Where source and target say that each column ends.
        ends: Vec<(usize, usize)>,
    },
    /// A constant of a variable column, and where the target says that it ends.
    Constant { bytes: Box<[u8]>, end: usize },
}

impl Template {
    /// The template of rows of `target` with these cells, in column order, over rows of `source`. Copied columns have
    /// the same type; one that may be null goes where null may be.
    pub fn new(source: &Shape, target: &Shape, cells: &[TemplateCell]) -> Self {
        let (from, to) = (source.layout(), target.layout());
        let mut template = Template {
            image: to.blank.clone(),
            constant_bytes: 0,
            source_fixed: from.fixed_bytes(),
            nulls: Vec::new(),
            pieces: Vec::new(),
        };
        let mut previous = None;
        for (at, (cell, slot)) in cells.iter().zip(&to.slots).enumerate() {
            match (cell, slot.kind) {
                (TemplateCell::Constant(bytes), SlotKind::Fixed(width)) => {
                    template.image[slot.offset..slot.offset + width].copy_from_slice(bytes);
                }
                (TemplateCell::Constant(bytes), SlotKind::Variable { .. }) => {
                    template.constant_bytes += bytes.len();
                    template.pieces.push(Piece::Constant { bytes: bytes.clone(), end: slot.offset });
                }
                (TemplateCell::Copy(column), kind) => {
                    if source.column(*column).nullable {
                        template.nulls.push((Bit::of(column.0 as usize), Bit::of(at)));
                    }
                    let source = from.slots[column.0 as usize];
                    template.copy(source.offset, slot.offset, kind, source.kind, previous);
                    previous =
                        matches!(kind, SlotKind::Variable { .. }).then_some(source.offset).or(previous);
                }
            }
        }
        template
    }

    /// Adds a copied column, to the piece before it where it stands beside that in both rows.
    fn copy(&mut self, from: usize, to: usize, kind: SlotKind, source: SlotKind, previous: Option<usize>) {
        match (kind, source, self.pieces.last_mut()) {
            (SlotKind::Fixed(width), _, Some(Piece::Fixed { from: start, to: target, bytes }))
                if *start + *bytes == from && *target + *bytes == to =>
            {
                *bytes += width;
            }
            (SlotKind::Fixed(width), _, _) => self.pieces.push(Piece::Fixed { from, to, bytes: width }),
            (
                SlotKind::Variable { .. },
                SlotKind::Variable { previous: before },
                Some(Piece::Run { ends, .. }),
            ) if before.is_some() && before == previous => {
                ends.push((from, to));
            }
            (SlotKind::Variable { .. }, SlotKind::Variable { previous: before }, _) => {
                self.pieces.push(Piece::Run { before, ends: vec![(from, to)] });
            }
            (SlotKind::Variable { .. }, SlotKind::Fixed(_), _) => {
                unreachable!("a copied column has the same type in both rows")
            }
        }
    }

    /// Packs the row over `source` at the end of `out`.
    ///
    /// # Errors
    /// The row is larger than [`MAX_ROW_BYTES`]; `out` is as it was.
    pub fn write(&self, source: &[u8], out: &mut Vec<u8>) -> Result<(), RowError> {
        let (start, bytes) = (out.len(), self.row_bytes(source)?);
        out.resize(start + bytes, 0);
        self.fill(source, &mut out[start..]);
        Ok(())
    }

    /// The length of the row over `source`.
    ///
    /// # Errors
    /// It is larger than [`MAX_ROW_BYTES`].
    #[inline]
    pub fn row_bytes(&self, source: &[u8]) -> Result<usize, RowError> {
        let mut bytes = self.image.len() + self.constant_bytes;
        for piece in &self.pieces {
            if let Piece::Run { before, ends } = piece {
                let (first, last) = run(source, *before, ends);
                bytes += (last - first) as usize;
            }
        }
        if bytes > MAX_ROW_BYTES { Err(RowError::Length { bytes }) } else { Ok(bytes) }
    }

    /// Packs the row over `source` into `row`, which is [`Template::row_bytes`] long.
    #[inline]
    pub fn fill(&self, source: &[u8], row: &mut [u8]) {
        let fixed = self.image.len();
        row[..fixed].copy_from_slice(&self.image);
        let length = row.len() as u32;
        row[..4].copy_from_slice(&length.to_le_bytes());
        for (from, to) in &self.nulls {
            if source[from.byte] & from.mask != 0 {
                row[to.byte] |= to.mask;
            }
        }
        let mut filled = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Fixed { from, to, bytes } => {
                    row[*to..][..*bytes].copy_from_slice(&source[*from..][..*bytes]);
                }
                Piece::Run { before, ends } => {
                    let (first, last) = run(source, *before, ends);
                    let values = &source[self.source_fixed..][first as usize..last as usize];
                    row[fixed + filled as usize..][..values.len()].copy_from_slice(values);
                    for (from, to) in ends {
                        let end = number(source, *from) - first + filled;
                        row[*to..][..4].copy_from_slice(&end.to_le_bytes());
                    }
                    filled += last - first;
                }
                Piece::Constant { bytes, end } => {
                    row[fixed + filled as usize..][..bytes.len()].copy_from_slice(bytes);
                    filled += bytes.len() as u32;
                    row[*end..][..4].copy_from_slice(&filled.to_le_bytes());
                }
            }
        }
    }
}

/// Where the values of a run begin and end in its source.
#[inline]
fn run(source: &[u8], before: Option<usize>, ends: &[(usize, usize)]) -> (u32, u32) {
    let first = before.map_or(0, |before| number(source, before));
    (first, ends.last().map_or(first, |(from, _)| number(source, *from)))
}

impl Bit {
    fn of(column: usize) -> Self {
        Bit { byte: ROW_HEADER_BYTES + column / 8, mask: 1 << (column % 8) }
    }
}

#[inline]
fn number(row: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(&row[at..at + 4]))
}
