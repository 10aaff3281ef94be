//! The vectors that must be refused, each made from a good one.

use super::files::frame;
use super::{Dialect, all_packets};

/// The layers that can detect a bad packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RefusedBy {
    /// Already the forwarder and the router, which read the first sixteen bytes.
    Forwarder,
    /// The member that it reaches.
    Member,
}

/// A packet to refuse.
pub(super) struct Bad {
    pub(super) file: &'static str,
    why: &'static str,
    pub(super) dialect: Dialect,
    pub(super) by: RefusedBy,
    from: &'static str,
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Bad {
    /// The file.
    pub(super) fn text(&self) -> String {
        let by = match self.by {
            RefusedBy::Forwarder => "forwarder, router, member",
            RefusedBy::Member => "member",
        };
        format!(
            "# Refused: {}\n# Made from {}.\norder: {}\nrefused by: {by}\n{}{}",
            self.why,
            self.from,
            self.dialect.name(),
            frame("header", &self.header),
            frame("body", &self.body)
        )
    }
}

use Change::{Cut, CutBody, Entries, More, MoreBody, Put, PutAndBody};

/// The change to make to a good packet.
enum Change {
    /// Keep this many bytes of the header.
    Cut(usize),
    /// Keep this many bytes of the body.
    CutBody(usize),
    /// Put these bytes there in the header.
    Put(usize, &'static [u8]),
    /// Put these bytes there in the header, and make that the body.
    PutAndBody(usize, &'static [u8], &'static [u8]),
    /// Append to the header.
    More(&'static [u8]),
    /// Append to the body.
    MoreBody(&'static [u8]),
    /// Make the header so long by repeating its last list entry, which has so many bytes; the length stands there.
    Entries { at: usize, entry: usize, count: u16 },
}

const FULL: &[u8] = &[0xff; 8];
const ZERO: &[u8] = &[0; 8];

/// The packets to refuse: the file, the good packet, its change, and the reason.
///
/// Where fields begin: the header has 16 bytes; in Data the packet number follows, then the message at 24.
#[rustfmt::skip]
const PACKETS: &[(&str, &str, Change, &str)] = &[
    ("bad/header_empty.hex", "probe_group.hex", Cut(0), "the header frame is empty"),
    ("bad/header_cut_in_magic.hex", "probe_group.hex", Cut(1), "the header ends in the magic"),
    ("bad/header_cut_before_version.hex", "probe_group.hex", Cut(2), "the header ends before the version"),
    ("bad/header_cut_before_kind.hex", "probe_group.hex", Cut(3), "the header ends before the kind"),
    ("bad/header_cut_in_sender.hex", "probe_group.hex", Cut(5), "the header ends in the sender"),
    ("bad/header_cut_in_to.hex", "probe_group.hex", Cut(7), "the header ends in the receiver"),
    ("bad/header_cut_in_run.hex", "probe_group.hex", Cut(15), "the header ends in the run"),
    ("bad/wrong_magic.hex", "status_ack.hex", Put(0, b"gc"), "the magic is not GC"),
    ("bad/wrong_version.hex", "status_ack.hex", Put(2, &[3]), "version 3 is not version 2"),
    ("bad/version_0.hex", "status_ack.hex", Put(2, &[0]), "there is no version 0"),
    ("bad/kind_0.hex", "status_ack.hex", Put(3, &[0]), "there is no kind 0"),
    ("bad/kind_8.hex", "status_ack.hex", Put(3, &[8]), "there is no kind 8"),
    ("bad/other_run.hex", "status_ack.hex", Put(8, &[0xee]), "it belongs to another run than 0000456789abcdef"),
    ("bad/other_view.hex", "status_ack.hex", Put(14, &[2]), "it belongs to another view than 1"),
    ("bad/data_cut_in_number.hex", "data_fifo.hex", Cut(23), "the header ends in the packet number"),
    ("bad/data_without_message.hex", "data_fifo.hex", Cut(24), "the header ends before the message"),
    ("bad/data_message_0.hex", "data_fifo.hex", Put(24, &[0]), "there is no message 0"),
    ("bad/data_message_4.hex", "data_fifo.hex", Put(24, &[4]), "message 4 is Replay, and these are not the fields of one"),
    ("bad/data_message_5.hex", "data_fifo.hex", Put(24, &[5]), "there is no message 5"),
    ("bad/data_cut_in_first.hex", "data_fifo.hex", Cut(32), "the header ends in the number of the first message"),
    ("bad/data_cut_in_count.hex", "data_fifo.hex", Cut(36), "the header ends in the count of messages"),
    ("bad/data_trailing_header.hex", "data_fifo.hex", More(&[0]), "a byte follows the last field of the header"),
    ("bad/data_first_0.hex", "data_fifo.hex", Put(25, ZERO), "messages are numbered from 1"),
    ("bad/data_first_overflows.hex", "data_fifo.hex", Put(25, FULL), "the number after the last message does not fit 64 bits"),
    ("bad/data_count_0.hex", "data_fifo.hex", PutAndBody(33, &[0; 4], b""), "a batch is never empty"),
    ("bad/data_count_too_small.hex", "data_fifo.hex", Put(33, &[2, 0, 0, 0]), "the body holds more messages than the count says"),
    ("bad/data_count_too_large.hex", "data_fifo.hex", Put(33, &[4, 0, 0, 0]), "the body holds fewer messages than the count says"),
    ("bad/data_count_over_limit.hex", "data_fifo.hex", Put(33, &[1, 0, 1, 0]), "a batch has at most 65536 messages, this claims 65537"),
    ("bad/data_count_absurd.hex", "data_fifo.hex", Put(33, &[0xff; 4]), "a batch has at most 65536 messages, this claims 4294967295"),
    ("bad/data_body_missing.hex", "data_fifo.hex", CutBody(0), "the body frame is empty, the count is 3"),
    ("bad/data_body_cut_in_text.hex", "data_fifo.hex", CutBody(16), "the last text ends with the body before it is complete"),
    ("bad/data_body_trailing.hex", "data_fifo.hex", MoreBody(&[0]), "a byte follows the last message of the body"),
    ("bad/data_text_beyond_body.hex", "data_fifo.hex", PutAndBody(33, &[1, 0, 0, 0], b"\x05help"), "the length says 5, four bytes follow"),
    ("bad/data_length_cut.hex", "data_fifo.hex", PutAndBody(33, &[1, 0, 0, 0], b"\x85"), "the body ends in a length"),
    ("bad/data_length_too_long.hex", "data_fifo.hex", PutAndBody(33, &[1, 0, 0, 0], b"\x82\x80\x80\x00hi"), "a length takes at most three bytes"),
    ("bad/data_text_over_limit.hex", "data_fifo.hex", PutAndBody(33, &[1, 0, 0, 0], b"\x81\x80\x40"), "a text has at most 1048576 bytes; 1048577 would be one byte of a text with an author, which is longer"),
    ("bad/author_cut.hex", "data_fifo_author.hex", PutAndBody(33, &[1, 0, 0, 0], b"\x82\x80\x40\x06W"), "the name of the author ends with its message before it is complete"),
    ("bad/author_without_name.hex", "data_fifo_author.hex", PutAndBody(33, &[1, 0, 0, 0], b"\x91\x80\x40\x00key-key-\x01\x00\x00\x00\x00\x00\x00\x00"), "an author has a name"),
    ("bad/author_with_slash.hex", "data_fifo_author.hex", PutAndBody(33, &[1, 0, 0, 0], b"\x94\x80\x40\x03a/bkey-key-\x01\x00\x00\x00\x00\x00\x00\x00"), "the name of an author is one that a member could have"),
    ("bad/author_text_0.hex", "data_fifo_author.hex", PutAndBody(33, &[1, 0, 0, 0], b"\x92\x80\x40\x01akey-key-\x00\x00\x00\x00\x00\x00\x00\x00"), "the texts of an author are counted from 1"),
    ("bad/total_0.hex", "data_total_body.hex", Put(25, &[0]), "there is no message 0 in order total"),
    ("bad/total_3.hex", "data_total_body.hex", Put(25, &[3]), "there is no message 3 in order total with method bb"),
    ("bad/total_body_cut.hex", "data_total_body.hex", Cut(26), "the header ends before the batch"),
    ("bad/numbers_cut_in_first.hex", "data_total_numbers.hex", Cut(33), "the header ends in the first global number"),
    ("bad/numbers_cut_in_length.hex", "data_total_numbers.hex", Cut(35), "the header ends in the number of ranges"),
    ("bad/numbers_cut_in_range.hex", "data_total_numbers.hex", Cut(63), "the header ends in the last range"),
    ("bad/numbers_first_0.hex", "data_total_numbers.hex", Put(26, ZERO), "global numbers begin with 1"),
    ("bad/numbers_first_overflows.hex", "data_total_numbers.hex", Put(26, &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), "the number after the last does not fit 64 bits"),
    ("bad/numbers_no_range.hex", "data_total_numbers.hex", Entries { at: 34, entry: 14, count: 0 }, "numbers without a range"),
    ("bad/numbers_count_0.hex", "data_total_numbers.hex", Put(46, &[0; 4]), "a range is never empty"),
    ("bad/numbers_length_beyond.hex", "data_total_numbers.hex", Put(34, &[3, 0]), "three ranges are claimed, two are there"),
    ("bad/numbers_length_too_small.hex", "data_total_numbers.hex", Put(34, &[1, 0]), "one range is claimed, two are there"),
    ("bad/numbers_with_body.hex", "data_total_numbers.hex", MoreBody(b"x"), "numbers have no body"),
    ("bad/basic_number_0.hex", "data_basic.hex", Put(25, ZERO), "multicasts are numbered from 1"),
    ("bad/basic_cut_in_number.hex", "data_basic.hex", Cut(32), "the header ends in the number of the multicast"),
    ("bad/flood_0.hex", "data_flood_own.hex", Put(25, &[0]), "there is no message 0 over flood"),
    ("bad/flood_3.hex", "data_flood_own.hex", Put(25, &[3]), "there is no message 3 over flood"),
    ("bad/flood_cut_in_origin.hex", "data_flood_sent_on.hex", Cut(27), "the header ends in the slot of the member that multicast it"),
    ("bad/flood_number_0.hex", "data_flood_sent_on.hex", Put(28, ZERO), "multicasts are numbered from 1"),
    ("bad/causal_cut_in_clock.hex", "data_causal.hex", Cut(56), "the header ends in the clock"),
    ("bad/causal_clock_length_beyond.hex", "data_causal.hex", Put(25, &[0xff, 0xff]), "65535 entries are claimed, three are there"),
    ("bad/causal_clock_not_ascending.hex", "data_causal.hex", Put(37, &[3, 0]), "the entries are not in ascending order of slots"),
    ("bad/causal_clock_named_twice.hex", "data_causal.hex", Put(37, &[0, 0]), "slot 0 is named twice"),
    ("bad/causal_clock_overflows.hex", "data_causal.hex", Put(39, FULL), "a count that one more message would overflow"),
    ("bad/ub_0.hex", "data_ub_raw.hex", Put(25, &[0]), "there is no message 0 in order total with method ub"),
    ("bad/ub_3.hex", "data_ub_sequenced.hex", Put(25, &[3]), "there is no message 3 in order total with method ub"),
    ("bad/ub_number_0.hex", "data_ub_sequenced.hex", Put(26, ZERO), "global numbers begin with 1"),
    ("bad/ub_number_overflows.hex", "data_ub_sequenced.hex", Put(26, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), "the number after the last does not fit 64 bits"),
    ("bad/ub_cut_in_sender.hex", "data_ub_sequenced.hex", Cut(35), "the header ends in the sender"),
    ("bad/uub_4.hex", "data_uub_request.hex", Put(25, &[4]), "there is no message 4 in order total with method uub"),
    ("bad/uub_request_first_0.hex", "data_uub_request.hex", Put(26, ZERO), "messages are numbered from 1"),
    ("bad/uub_request_count_0.hex", "data_uub_request.hex", Put(34, &[0; 4]), "a request for nothing"),
    ("bad/uub_request_overflows.hex", "data_uub_request.hex", Put(26, FULL), "the number after the last message does not fit 64 bits"),
    ("bad/uub_request_cut.hex", "data_uub_request.hex", Cut(37), "the header ends in the count"),
    ("bad/uub_grant_0.hex", "data_uub_grant.hex", Put(34, ZERO), "global numbers begin with 1"),
    ("bad/uub_grant_too_large.hex", "data_uub_grant.hex", Put(34, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), "a granted number is below 2^64 - 2^32"),
    ("bad/uub_grant_trailing.hex", "data_uub_grant.hex", More(&[0]), "a byte follows the last field"),
    ("bad/lamport_utterance_0.hex", "data_lamport_ack.hex", Put(25, ZERO), "utterances are numbered from 1"),
    ("bad/lamport_utterance_overflows.hex", "data_lamport_ack.hex", Put(25, FULL), "the utterance after it does not fit 64 bits"),
    ("bad/lamport_time_0.hex", "data_lamport_ack.hex", Put(33, ZERO), "times begin with 1"),
    ("bad/lamport_time_too_large.hex", "data_lamport_ack.hex", Put(33, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), "a time is below 2^63 - 1"),
    ("bad/lamport_flag_2.hex", "data_lamport_ack.hex", Put(41, &[2]), "the flag is 0 or 1"),
    ("bad/lamport_ack_with_body.hex", "data_lamport_ack.hex", MoreBody(b"x"), "an acknowledgement has no body"),
    ("bad/lamport_without_batch.hex", "data_lamport_ack.hex", Put(41, &[1]), "a batch is claimed, none is there"),
    ("bad/agreed_0.hex", "data_agreed_body.hex", Put(25, &[0]), "there is no message 0 in order agreed"),
    ("bad/agreed_4.hex", "data_agreed_body.hex", Put(25, &[4]), "there is no message 4 in order agreed"),
    ("bad/agreed_proposal_0.hex", "data_agreed_proposal.hex", Put(34, ZERO), "places are numbered from 1"),
    ("bad/agreed_proposal_too_large.hex", "data_agreed_proposal.hex", Put(34, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), "the number of a place is below 2^63 - 1"),
    ("bad/agreed_proposal_with_body.hex", "data_agreed_proposal.hex", MoreBody(b"x"), "a proposal has no body"),
    ("bad/agreed_cut_in_proposer.hex", "data_agreed_agreed.hex", Cut(43), "the header ends in the proposer"),
    ("bad/direct_cut.hex", "data_direct.hex", Cut(25), "the header ends before the batch"),
    ("bad/finished_cut_in_multicasts.hex", "data_finished.hex", Cut(32), "the header ends in the count of multicasts"),
    ("bad/finished_cut_in_length.hex", "data_finished.hex", Cut(34), "the header ends in the number of entries"),
    ("bad/finished_cut_in_entry.hex", "data_finished.hex", Cut(54), "the header ends in the last entry"),
    ("bad/finished_length_beyond.hex", "data_finished.hex", Put(33, &[0xff, 0xff]), "65535 entries are claimed, two are there"),
    ("bad/finished_not_ascending.hex", "data_finished.hex", Put(35, &[3, 0]), "the entries are not in ascending order of slots"),
    ("bad/finished_named_twice.hex", "data_finished.hex", Put(35, &[2, 0]), "slot 2 is named twice"),
    ("bad/finished_with_body.hex", "data_finished.hex", MoreBody(b"x"), "a tally has no body"),
    ("bad/status_cut_in_sent.hex", "status_ack.hex", Cut(23), "the header ends in the last packet number sent"),
    ("bad/status_cut_before_asks.hex", "status_ack.hex", Cut(24), "the header ends before the flag"),
    ("bad/status_cut_in_length.hex", "status_ack.hex", Cut(26), "the header ends in the number of entries"),
    ("bad/status_cut_in_entry.hex", "status_ack.hex", Cut(56), "the header ends in the last entry"),
    ("bad/status_asks_2.hex", "status_ack.hex", Put(24, &[2]), "the flag is 0 or 1"),
    ("bad/status_length_beyond.hex", "status_ack.hex", Put(25, &[4, 0]), "four entries are claimed, three are there"),
    ("bad/status_length_absurd.hex", "status_ack.hex", Put(25, &[0xff, 0xff]), "65535 entries are claimed, three are there"),
    ("bad/status_trailing.hex", "status_ack.hex", More(&[0]), "a byte follows the last entry"),
    ("bad/status_with_body.hex", "status_ack.hex", MoreBody(b"x"), "a status has no body"),
    ("bad/nack_cut_in_sender.hex", "nack_group.hex", Cut(17), "the header ends in the sender"),
    ("bad/nack_cut_in_length.hex", "nack_group.hex", Cut(19), "the header ends in the number of ranges"),
    ("bad/nack_cut_in_range.hex", "nack_group.hex", Cut(51), "the header ends in the last range"),
    ("bad/nack_no_range.hex", "nack_group.hex", Entries { at: 18, entry: 16, count: 0 }, "a request for nothing"),
    ("bad/nack_17_ranges.hex", "nack_group.hex", Entries { at: 18, entry: 16, count: 17 }, "at most 16 ranges"),
    ("bad/nack_from_0.hex", "nack_group.hex", Put(20, ZERO), "packets are numbered from 1"),
    ("bad/nack_range_backwards.hex", "nack_group.hex", Put(28, &[3]), "the range ends before it begins"),
    ("bad/nack_length_beyond.hex", "nack_group.hex", Put(18, &[3, 0]), "three ranges are claimed, two are there"),
    ("bad/outline_with_body.hex", "outline_fifo.hex", MoreBody(b"\x00\x00\x00"), "an outline has no body"),
    ("bad/outline_without_batch.hex", "data_finished.hex", Put(3, &[7]), "only a packet with a batch has an outline"),
    ("bad/outline_of_numbers.hex", "data_total_numbers.hex", Put(3, &[7]), "numbers have no texts to leave out"),
    ("bad/outline_count_0.hex", "outline_fifo.hex", Put(33, &[0; 4]), "a batch is never empty"),
    ("bad/outline_count_over_limit.hex", "outline_fifo.hex", Put(33, &[1, 0, 1, 0]), "a batch has at most 65536 messages, this claims 65537"),
    ("bad/outline_trailing.hex", "outline_total_body.hex", More(&[0]), "a byte follows the last field"),
    ("bad/word_missing.hex", "word_heartbeat.hex", Cut(16), "the header ends before the word"),
    ("bad/word_0.hex", "word_heartbeat.hex", Put(16, &[0]), "there is no word 0"),
    ("bad/word_20.hex", "word_heartbeat.hex", Put(16, &[20]), "there is no word 20"),
    ("bad/word_heartbeat_trailing.hex", "word_heartbeat.hex", More(&[0]), "a byte follows the word"),
    ("bad/word_heartbeat_with_body.hex", "word_heartbeat.hex", MoreBody(b"x"), "a Heartbeat has no body"),
    ("bad/word_verify_cut.hex", "word_verify.hex", Cut(18), "the header ends in the slot"),
    ("bad/word_prepare_cut.hex", "word_prepare.hex", Cut(22), "the header ends in the ballot"),
    ("bad/word_prepare_not_ascending.hex", "word_prepare.hex", Put(27, &[0, 0]), "slot 0 is named twice"),
    ("bad/word_prepare_length_beyond.hex", "word_prepare.hex", Put(23, &[4, 0]), "four members are claimed, three are there"),
    ("bad/word_state_flag_2.hex", "word_state.hex", Put(101, &[2]), "the flag is 0 or 1"),
    ("bad/word_state_range_0.hex", "word_state.hex", Put(29, ZERO), "packets are numbered from 1"),
    ("bad/word_state_range_backwards.hex", "word_state.hex", Put(29, &[8]), "the range ends before it begins"),
    ("bad/word_state_ranges_touch.hex", "word_state.hex", Put(65, &[3]), "two ranges without a number between them are one"),
    ("bad/word_state_without_proposal.hex", "word_state.hex", Put(101, &[1]), "a proposal is claimed, none is there"),
    ("bad/word_state_length_beyond.hex", "word_state.hex", Put(23, &[0xff, 0xff]), "65535 entries are claimed, three are there"),
    ("bad/word_propose_view_1.hex", "word_propose.hex", Put(23, &[1]), "view 1 is made by nobody: a proposed view has number 2 or more"),
    ("bad/word_propose_two_sequencers.hex", "word_propose.hex", Put(39, &[2, 0]), "a view has one sequencer or none"),
    ("bad/word_propose_cut_range_0.hex", "word_propose.hex", Put(49, ZERO), "packets are numbered from 1"),
    ("bad/word_propose_cut_ends_nowhere.hex", "word_propose.hex", Put(57, FULL), "the number after a range fits 64 bits"),
    ("bad/word_ready_cut.hex", "word_ready.hex", Cut(20), "the header ends in the ballot"),
    ("bad/word_ready_trailing.hex", "word_ready.hex", More(&[0]), "a byte follows the ballot"),
    ("bad/word_install_cut.hex", "word_install.hex", Cut(40), "the header ends in the view"),
    ("bad/word_fetch_cut.hex", "word_fetch.hex", Cut(20), "the header ends in the second slot"),
    ("bad/word_fetch_ranges_touch.hex", "word_fetch.hex", Put(39, &[5]), "two ranges without a number between them are one"),
    ("bad/word_relay_length_beyond.hex", "word_relay.hex", Put(17, &[0xff]), "the length is that of more than follows"),
    ("bad/word_relay_length_too_small.hex", "word_relay.hex", Put(17, &[16]), "bytes follow the relayed header"),
    ("bad/word_behind_cut.hex", "word_behind.hex", Cut(26), "the header ends in the view's number"),
    ("bad/word_admit_slot_65535.hex", "word_admit.hex", Put(17, &[0xff, 0xff]), "65535 is no slot"),
    ("bad/word_admit_flags_9.hex", "word_admit.hex", Put(23, &[9]), "a seat is that of a client or of a standby, not both"),
    ("bad/word_admit_flags_16.hex", "word_admit.hex", Put(23, &[17]), "there is no flag 16"),
    ("bad/word_admit_id_with_slash.hex", "word_admit.hex", Put(25, b"/"), "the id is no name"),
    ("bad/word_admit_id_too_long.hex", "word_admit.hex", Put(24, &[3]), "the id ends before its length"),
    ("bad/word_welcome_cut.hex", "word_welcome.hex", Cut(80), "the header ends in the admission"),
    ("bad/word_exclude_cut.hex", "word_exclude.hex", Cut(28), "the header ends in the time"),
    ("bad/word_here_cut.hex", "word_here.hex", Cut(40), "the header ends in the view"),
    ("bad/word_here_view_0.hex", "word_here.hex", Put(23, ZERO), "a view that a ballot made has number 2 or more"),
    ("bad/nack_with_body.hex", "nack_group.hex", MoreBody(b"x"), "a request has no body"),
];

/// Every packet to refuse.
pub(super) fn packets() -> Vec<Bad> {
    let good = all_packets();
    let make = |&(file, from, ref change, why): &(_, _, _, _)| {
        let vector = good.iter().find(|vector| vector.file == from).expect("made from a good one");
        let frames = vector.value.encode();
        let (mut header, mut body) = (frames.header.to_vec(), frames.body.to_vec());
        apply(change, &mut header, &mut body);
        let is_bare_header = header.len() < 16 || header[..3] != *b"GC\x02" || !(1..=7).contains(&header[3]);
        let by = if is_bare_header { RefusedBy::Forwarder } else { RefusedBy::Member };
        Bad { file, why, dialect: vector.dialect, by, from, header, body }
    };
    PACKETS.iter().map(make).collect()
}

fn apply(change: &Change, header: &mut Vec<u8>, body: &mut Vec<u8>) {
    match *change {
        Cut(length) => {
            assert!(length < header.len(), "cuts something off");
            header.truncate(length);
        }
        CutBody(length) => {
            assert!(length < body.len(), "cuts something off");
            body.truncate(length);
        }
        Put(at, bytes) => header[at..at + bytes.len()].copy_from_slice(bytes),
        PutAndBody(at, bytes, new) => {
            header[at..at + bytes.len()].copy_from_slice(bytes);
            *body = new.to_vec();
        }
        More(bytes) => header.extend(bytes),
        MoreBody(bytes) => body.extend(bytes),
        Entries { at, entry, count } => {
            let last = header[header.len() - entry..].to_vec();
            header[at..at + 2].copy_from_slice(&count.to_le_bytes());
            header.truncate(at + 2);
            (0..count).for_each(|_| header.extend(&last));
        }
    }
}

/// A message on the sync port to refuse.
pub(super) struct BadControl {
    pub(super) file: &'static str,
    pub(super) text: &'static str,
    /// The version that it speaks, where that is what is wrong with it.
    pub(super) version: Option<u64>,
}

/// Every message on the sync port to refuse, as request and as reply.
#[rustfmt::skip]
pub(super) fn controls() -> Vec<BadControl> {
    let rows = [
        ("bad/control_empty.json", "", None),
        ("bad/control_list.json", "[]", None),
        ("bad/control_no_version.json", r#"{"seq":1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"join","say":"bye"}"#, None),
        ("bad/control_version_3.json", r#"{"v":3,"seq":1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"join","say":"bye"}"#, Some(3)),
        ("bad/control_version_300.json", r#"{"v":300,"seq":1}"#, Some(300)),
        ("bad/control_version_text.json", r#"{"v":"2","seq":1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"join","say":"bye"}"#, None),
        ("bad/control_no_seq.json", r#"{"v":2,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"join","say":"bye"}"#, None),
        ("bad/control_negative_seq.json", r#"{"v":2,"seq":-1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"join","say":"bye"}"#, None),
        ("bad/control_seq_text.json", r#"{"v":2,"seq":"1","group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"join","say":"bye"}"#, None),
        ("bad/control_unknown.json", r#"{"v":2,"seq":1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"dance","say":"dance"}"#, None),
        ("bad/control_twice.json", r#"{"v":2,"v":2,"seq":1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"join","say":"bye"}"#, None),
        ("bad/control_missing_fields.json", r#"{"v":2,"seq":1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"leave","say":"welcome"}"#, None),
        ("bad/control_code_256.json", r#"{"v":2,"seq":1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"leave","say":"abort","code":256,"reason":""}"#, None),
        ("bad/control_trailing.json", r#"{"v":2,"seq":1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"total","method":"bb","ask":"join","say":"bye"}{}"#, None),
    ];
    rows.into_iter().map(|(file, text, version)| BadControl { file, text, version }).collect()
}
