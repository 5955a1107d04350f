//! What the kernel reports, who waits for it, and what must be read again because of it.

use std::collections::HashMap;

use netlink_packet_core::DecodeError;
use netlink_packet_route::route::RouteHeader;
use tokio::sync::watch;

use super::dump::Dirty;
use super::subscription::{Subscription, Wanted};
use super::wire::{self, Message, messages};

/// What a message is about.
#[derive(Debug, PartialEq, Eq)]
enum About {
    Nothing,
    /// An interface: it is there with this name, or has gone.
    Link {
        index: u32,
        name: String,
        is_gone: bool,
    },
    /// The addresses of an interface.
    Addresses(u32),
    /// The settings of an interface, such as forwarding.
    Settings(u32),
    /// A default route, over these interfaces.
    Default(Vec<u32>),
}

fn about(message: &Message<'_>) -> Result<About, DecodeError> {
    Ok(match message.kind {
        wire::NEW_LINK | wire::DEL_LINK => match wire::link(message.payload)? {
            Some(link) => About::Link { index: link.index, name: link.name, is_gone: message.kind == wire::DEL_LINK },
            None => About::Nothing,
        },
        wire::NEW_ADDRESS | wire::DEL_ADDRESS => About::Addresses(wire::address_index(message.payload)?),
        wire::NEW_NETCONF | wire::DEL_NETCONF => {
            wire::netconf_index(message.payload)?.map_or(About::Nothing, About::Settings)
        }
        wire::NEW_ROUTE | wire::DEL_ROUTE => {
            let header = RouteHeader::parse(message.payload)?;
            match header.destination_prefix_length == 0 && header.table == RouteHeader::RT_TABLE_MAIN {
                true => {
                    let route = wire::default_route(message.payload)?;
                    About::Default(route.into_iter().flat_map(|route| route.hops).map(|hop| hop.index).collect())
                }
                false => About::Nothing,
            }
        }
        _ => About::Nothing,
    })
}

/// What was reported so far.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) dirty: Dirty,
    /// The names of the interfaces, by number.
    names: HashMap<u32, String>,
    /// All interfaces are in `names`, but those whose coming will be reported.
    are_names_known: bool,
    /// What waits for the interface of a name.
    by_name: HashMap<String, Vec<watch::Sender<u64>>>,
    /// What waits for default routes of any interface.
    for_defaults: Vec<watch::Sender<u64>>,
    /// No further report will come.
    pub(super) is_over: bool,
    /// How often reports were lost.
    pub(super) overruns: u64,
}

impl Heard {
    pub(super) fn new() -> Heard {
        Heard {
            dirty: Dirty::all(),
            names: HashMap::new(),
            are_names_known: false,
            by_name: HashMap::new(),
            for_defaults: Vec::new(),
            is_over: false,
            overruns: 0,
        }
    }

    /// Waits for reports about the interface of this name, from now on.
    pub(super) fn subscribe(&mut self, name: &str, wanted: Wanted) -> Subscription {
        let (sender, receiver) = watch::channel(0);
        if !self.is_over {
            if wanted == Wanted::WithDefaults {
                tidy(&mut self.for_defaults);
                self.for_defaults.push(sender.clone());
            }
            let all = self.by_name.entry(name.to_owned()).or_default();
            tidy(all);
            all.push(sender);
        }
        Subscription::new(receiver)
    }

    /// The names of all interfaces, as they were read.
    pub(super) fn learn(&mut self, names: HashMap<u32, String>) {
        (self.names, self.are_names_known) = (names, true);
    }

    /// No report will come any more: all subscriptions end.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        self.by_name.clear();
        self.for_defaults.clear();
    }

    /// Reports were lost, or can't be read: everything is looked at again.
    pub(super) fn lost(&mut self) {
        self.overruns += 1;
        self.dirty = Dirty::all();
        self.are_names_known = false;
        self.by_name.values_mut().for_each(wake);
    }

    /// Takes what was received.
    pub(super) fn hear(&mut self, received: &[u8]) {
        for message in messages(received) {
            match message.and_then(|message| about(&message)) {
                Ok(about) => self.take(about),
                Err(_) => self.lost(),
            }
        }
    }

    fn take(&mut self, about: About) {
        match about {
            About::Nothing => {}
            About::Link { index, name, is_gone } => {
                self.dirty.interface(index);
                self.dirty.defaults = true;
                let before = match is_gone {
                    true => self.names.remove(&index),
                    false => self.names.insert(index, name.clone()),
                };
                if let Some(before) = before.filter(|before| *before != name) {
                    self.wake_named(&before);
                }
                self.wake_named(&name);
            }
            About::Addresses(index) => {
                self.dirty.interface(index);
                // The kernel removes routes with addresses, and does not report that for IPv4.
                self.dirty.defaults = true;
                self.wake(index);
            }
            About::Settings(index) => self.wake(index),
            About::Default(indexes) => {
                self.dirty.defaults = true;
                indexes.into_iter().for_each(|index| self.wake(index));
                wake(&mut self.for_defaults);
            }
        }
    }

    fn wake(&mut self, index: u32) {
        match self.names.get(&index).cloned() {
            Some(name) => self.wake_named(&name),
            // It has just been made: the report with its name comes.
            None if self.are_names_known => {}
            None => self.by_name.values_mut().for_each(wake),
        }
    }

    fn wake_named(&mut self, name: &str) {
        if let Some(all) = self.by_name.get_mut(name) {
            wake(all);
            if all.is_empty() {
                self.by_name.remove(name);
            }
        }
    }
}

fn tidy(all: &mut Vec<watch::Sender<u64>>) {
    all.retain(|sender| !sender.is_closed());
}

fn wake(all: &mut Vec<watch::Sender<u64>>) {
    tidy(all);
    all.iter().for_each(|sender| sender.send_modify(|count| *count = count.wrapping_add(1)));
}
