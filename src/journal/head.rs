//! The head of a journal file: the page before redb's pages. It names the owner, and remembers the last commit that was
//! durable.
//!
//! redb returns to the commit before the last one if a page of the last one is damaged, as it must after a loss of power
//! in the midst of a commit. The mark tells the two apart: it is written after a commit has become durable.

use std::ops::Range;

use super::Identity;
use crate::exit::{Exit, Failure};
use crate::ids::MemberId;
use crate::wire::{Reader, Writer};

/// The length of the head in bytes: a page of redb, so that its pages stay on pages of the system.
pub(super) const LENGTH: u64 = PAGE;
/// The unit that a disk writes whole.
const SECTOR: usize = 512;
/// The places of the owner and of the mark in the head.
pub(super) const OWNER: Range<usize> = 0..SECTOR;
pub(super) const MARK: Range<usize> = SECTOR..SECTOR + 28;

const MAGIC: &[u8; 20] = b"groupcast journal 1\n";
/// Longest id of a member in bytes.
const LONGEST_ID: usize = 255;

/// Returns the sector that names the owner, with its CRC-32 at the end.
///
/// # Errors
/// [`Exit::Usage`] if the id is longer than 255 bytes.
pub(super) fn owner_to_bytes(owner: &Identity) -> Result<[u8; SECTOR], Failure> {
    let length = owner.member.len();
    if length > LONGEST_ID {
        let message = format!("cannot name the owner of a journal: its id has {length} bytes");
        return Err(Failure::new(Exit::Usage, message).help("an id has at most 255 bytes"));
    }
    let mut out = Writer::default();
    out.raw(MAGIC);
    out.u64(owner.cluster);
    out.member(MemberId(owner.slot));
    out.length(length);
    out.raw(owner.member.as_bytes());
    let (fields, _) = out.finish();
    let mut sector = [0; SECTOR];
    sector[..fields.len()].copy_from_slice(&fields);
    let sum = crc32fast::hash(&sector[..SECTOR - 4]);
    sector[SECTOR - 4..].copy_from_slice(&sum.to_le_bytes());
    Ok(sector)
}

/// Returns the owner that a sector names, if it is as it was written.
pub(super) fn owner_of(sector: &[u8]) -> Option<Identity> {
    let (fields, sum) = sector.split_at_checked(SECTOR - 4)?;
    if sum != crc32fast::hash(fields).to_le_bytes() {
        return None;
    }
    let mut from = Reader::new(bytes::Bytes::copy_from_slice(fields), bytes::Bytes::new());
    let mut read = || {
        let magic = from.take::<20>()?;
        let (cluster, slot) = (from.u64()?, from.member()?);
        let length = usize::from(from.u16()?);
        Ok::<_, crate::wire::Malformed>((magic, cluster, slot, from.raw(length)?))
    };
    let (magic, cluster, MemberId(slot), member) = read().ok()?;
    let member = String::from_utf8(member.to_vec()).ok()?;
    (magic == *MAGIC).then_some(Identity { cluster, member, slot })
}

/// The state after a durable commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    /// The index of the next record.
    pub(super) next: u64,
    /// The number of records.
    pub(super) records: u64,
    /// The length of the file in bytes, which never shrinks.
    pub(super) length: u64,
}

impl Mark {
    pub(super) fn to_bytes(self) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[..8].copy_from_slice(&self.next.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.records.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.length.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Returns the mark in these bytes, if they are as they were written.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (fields, sum) = bytes.split_at_checked(24)?;
        let number = |at: usize| Some(u64::from_le_bytes(*fields.get(at..)?.first_chunk()?));
        let mark = Self { next: number(0)?, records: number(8)?, length: number(16)? };
        (sum == crc32fast::hash(fields).to_le_bytes()).then_some(mark)
    }

    /// Returns whether a journal can have this next index and so many records after it was in the state of the mark:
    /// without further records, it can only have lost some.
    pub(super) const fn may_become(self, next: u64, records: u64) -> bool {
        next > self.next || (next == self.next && records <= self.records)
    }
}

/// The size of redb's pages in bytes.
pub(super) const PAGE: u64 = 4096;
/// The most pages of a region of redb.
const REGION_PAGES: u32 = 1 << 20;
/// The first bytes of redb's part, and the places of its fields.
const REDB_MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";
const FLAGS: usize = 9;
const PAGE_SIZE: usize = 12;
const REGION_HEADER: usize = 16;
const MOST_PAGES: usize = 20;
const REGIONS: usize = 24;
const LAST_PAGES: usize = 28;

/// The file was not closed.
const NOT_CLOSED: u8 = 2;
/// The last commit needs no check.
const TRUSTED: u8 = 4;

/// Returns redb's first page so that redb trusts nothing else: it checks every page, as after a crash, and takes the
/// file to be of the length that it has. Returns nothing if redb has not written the page: it would panic.
///
/// `length` is the length of redb's part in bytes, a multiple of a page. The layout is that of redb's file format 3
/// (its docs/design.md).
pub(super) fn to_be_checked(mut page: Vec<u8>, length: u64) -> Option<Vec<u8>> {
    let field = |at: usize| page.get(at..at + 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let is_known = page.starts_with(REDB_MAGIC)
        && (field(PAGE_SIZE), field(REGION_HEADER), field(MOST_PAGES))
            == (Some(PAGE as u32), Some(0), Some(REGION_PAGES));
    let pages = (length / PAGE).checked_sub(1).filter(|&pages| pages > 0)?;
    let regions = u32::try_from(pages / u64::from(REGION_PAGES)).ok()?;
    let last = (pages % u64::from(REGION_PAGES)) as u32;
    if !is_known {
        return None;
    }
    page[FLAGS] = (page[FLAGS] | NOT_CLOSED) & !TRUSTED;
    page[REGIONS..REGIONS + 4].copy_from_slice(&regions.to_le_bytes());
    page[LAST_PAGES..LAST_PAGES + 4].copy_from_slice(&last.to_le_bytes());
    Some(page)
}
