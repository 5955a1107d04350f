//! Requests to the kernel, each with its answer. They wait in the kernel, so they belong on a thread that may block.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, parse_i32, parse_string,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::error::{NetlinkError, Result};
use super::wire::{Message, attributes, messages};

/// How long the kernel may take for a part of an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The size of the largest part of an answer, in bytes: the kernel makes none that is larger.
const PART_BYTES_MAX: usize = 64 << 10;
/// How often a table is read that changes meanwhile.
const READS_MAX: usize = 20;
/// Where an error has the length of its number and of the header of the request.
const ERROR_HEADER: usize = 20;
/// The attribute of an error with the words of the kernel.
const ERROR_TEXT: u16 = 1;

/// A connection for requests: one at a time.
pub(super) struct Requests {
    socket: Socket,
    sequence: u32,
    part: Vec<u8>,
}

/// How reading a table has ended.
enum Ended {
    Complete,
    /// It has changed meanwhile: entries may be missing.
    Interrupted,
}

impl Requests {
    pub(super) fn open() -> Result<Requests> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            // Older kernels lack these: they answer with more entries, and with errors without a text.
            let _ = socket.set_netlink_get_strict_chk(true);
            let _ = socket.set_ext_ack(true);
            let _ = socket.set_cap_ack(true);
            set_socket_timeout(socket.as_fd(), Timeout::Recv, Some(ANSWER_MAX))?;
            Ok(socket)
        };
        let socket = open().map_err(NetlinkError::Connection)?;
        Ok(Requests { socket, sequence: 0, part: vec![0; PART_BYTES_MAX] })
    }

    fn send(&mut self, request: RouteNetlinkMessage, flags: u16) -> Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (NLM_F_REQUEST | flags, self.sequence);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let sent = rustix::io::retry_on_intr(|| send(self.socket.as_fd(), &bytes, SendFlags::empty()));
        sent.map(drop).map_err(|errno| NetlinkError::Connection(errno.into()))
    }

    /// Receives one part, and passes its messages on, until one of them is the last.
    fn receive(&mut self, what: &'static str, mut each: impl FnMut(Message<'_>) -> Result<bool>) -> Result<()> {
        loop {
            let received =
                rustix::io::retry_on_intr(|| recv(self.socket.as_fd(), &mut self.part[..], RecvFlags::TRUNC));
            let (_, length) = received.map_err(|errno| NetlinkError::Connection(errno.into()))?;
            let Some(part) = self.part.get(..length) else {
                return Err(NetlinkError::Unreadable(what, format!("a part of it has {length} bytes")));
            };
            for message in messages(part) {
                let message = message.map_err(|error| NetlinkError::Unreadable(what, error.to_string()))?;
                if message.sequence == self.sequence && each(message)? {
                    return Ok(());
                }
            }
        }
    }

    /// Asks for a change, or for one entry. Returns the entry.
    pub(super) fn ask(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        doing: impl FnOnce() -> String,
    ) -> Result<Option<Vec<u8>>> {
        let (mut answer, mut doing) = (None, Some(doing));
        self.send(request, NLM_F_ACK | flags)?;
        self.receive("a request", |message| match message.kind {
            NLMSG_ERROR => refusal(&message, || doing.take().map(|doing| doing()).unwrap_or_default()).map(|()| true),
            _ => {
                answer = Some(message.payload.to_vec());
                Ok(false)
            }
        })?;
        Ok(answer)
    }

    /// Reads a table, or the part of it that the request asks for.
    pub(super) fn dump<T>(
        &mut self,
        what: &'static str,
        request: &RouteNetlinkMessage,
        parse: impl Fn(&[u8]) -> std::result::Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>> {
        for _ in 0..READS_MAX {
            let mut all = Vec::new();
            if let Ended::Complete = self.dump_once(what, request, &parse, &mut all)? {
                return Ok(all);
            }
        }
        Err(NetlinkError::Changing(what))
    }

    fn dump_once<T>(
        &mut self,
        what: &'static str,
        request: &RouteNetlinkMessage,
        parse: &impl Fn(&[u8]) -> std::result::Result<Option<T>, DecodeError>,
        all: &mut Vec<T>,
    ) -> Result<Ended> {
        let mut ended = Ended::Complete;
        self.send(request.clone(), NLM_F_DUMP)?;
        self.receive(what, |message| {
            if message.flags & NLM_F_DUMP_INTR != 0 {
                ended = Ended::Interrupted;
            }
            match message.kind {
                NLMSG_ERROR | NLMSG_DONE => refusal(&message, || format!("reading {what}")).map(|()| true),
                _ => {
                    let entry = parse(message.payload);
                    all.extend(entry.map_err(|error| NetlinkError::Unreadable(what, error.to_string()))?);
                    Ok(false)
                }
            }
        })?;
        Ok(ended)
    }
}

/// The error of a last message, if it is one.
fn refusal(message: &Message<'_>, doing: impl FnOnce() -> String) -> Result<()> {
    let number = message.payload.get(..4).and_then(|bytes| parse_i32(bytes).ok()).unwrap_or(0);
    if number == 0 {
        return Ok(());
    }
    let texts = attributes(message.payload, ERROR_HEADER).flatten();
    let said = (message.flags & NLM_F_ACK_TLVS != 0)
        .then(|| texts.filter(|(kind, _)| *kind == ERROR_TEXT).find_map(|(_, text)| parse_string(text).ok()))
        .flatten();
    let source = io::Error::from_raw_os_error(number.saturating_abs());
    Err(NetlinkError::Refused { doing: doing(), source, said: said.filter(|said| !said.is_empty()) })
}
