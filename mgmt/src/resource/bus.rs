//! D-Bus for kinds: one connection for each bus, and signals that wake a resource.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use zbus::Connection;
use zbus::Structure;
use zbus::message::{Message, Type};

use crate::resource::door::Door;
use crate::resource::error::Result;
use crate::sys::dbus::{Bus, RuntimeLife, connect};

/// The connection to a bus.
#[derive(Debug)]
pub(crate) struct BusDoor {
    pub(crate) connection: Connection,
    /// The life of the runtime that reads from the connection. The connection itself does not notice when it ends.
    life: RuntimeLife,
}

impl BusDoor {
    /// Waits until the connection can't be used any more.
    pub(crate) async fn lost(&self) {
        let (mut closed, mut over) = (pin!(self.connection.closed()), pin!(self.life.over()));
        poll_fn(|cx| match closed.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => over.as_mut().poll(cx),
        })
        .await;
    }
}

impl Door for BusDoor {
    type Key = Bus;

    async fn open(bus: &Bus) -> Result<BusDoor> {
        Ok(BusDoor { life: RuntimeLife::here(), connection: connect(bus).await? })
    }

    fn is_lost(&self) -> bool {
        self.connection.is_closed() || self.life.is_over()
    }

    async fn close(&self) {
        // The connection may be closed already.
        let _ = self.connection.clone().close().await;
    }
}

/// The signals that wake a resource. A property that is not set may have any value. A signal that does not concern the
/// resource costs no more than a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct SignalRule {
    sender: Option<String>,
    path: Option<String>,
    below: Option<String>,
    interface: Option<String>,
    member: Option<String>,
    arg0: Option<String>,
}

impl SignalRule {
    /// A rule that every signal matches.
    pub fn new() -> SignalRule {
        SignalRule::default()
    }

    /// Restricts the rule to signals of this connection: a name such as `org.freedesktop.systemd1`.
    pub fn sender(mut self, name: impl Into<String>) -> Self {
        self.sender = Some(name.into());
        self
    }

    /// Restricts the rule to signals of the object at this path.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Restricts the rule to signals of the object at this path and of all objects below it.
    pub fn below(mut self, path: impl Into<String>) -> Self {
        self.below = Some(path.into());
        self
    }

    /// Restricts the rule to signals of this interface.
    pub fn interface(mut self, interface: impl Into<String>) -> Self {
        self.interface = Some(interface.into());
        self
    }

    /// Restricts the rule to signals with this name.
    pub fn member(mut self, member: impl Into<String>) -> Self {
        self.member = Some(member.into());
        self
    }

    /// Restricts the rule to signals whose first argument is this text.
    pub fn arg0(mut self, text: impl Into<String>) -> Self {
        self.arg0 = Some(text.into());
        self
    }

    /// The path of the object to which the rule is restricted.
    pub(crate) fn object(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The rule in the syntax of the bus.
    pub(crate) fn text(&self) -> String {
        let mut text = "type='signal'".to_owned();
        let parts = [
            ("sender", &self.sender),
            ("path", &self.path),
            ("path_namespace", &self.below),
            ("interface", &self.interface),
            ("member", &self.member),
            ("arg0", &self.arg0),
        ];
        for (key, value) in parts {
            if let Some(value) = value {
                // An apostrophe ends the quotation, is written escaped, and begins the next quotation.
                text.push_str(&format!(",{key}='{}'", value.replace('\'', r"'\''")));
            }
        }
        text
    }

    /// Whether a message with this first argument may be one of these signals. The sender's name is not checked: the
    /// bus forwards only signals that match some rule.
    pub(crate) fn may_match(&self, message: &Message, arg0: Option<&str>) -> bool {
        let header = message.header();
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let path = header.path().map(|path| path.as_str());
        header.message_type() == Type::Signal
            && is(&self.path, path)
            && is(&self.arg0, arg0)
            && is(&self.interface, header.interface().map(|interface| interface.as_str()))
            && is(&self.member, header.member().map(|member| member.as_str()))
            && self.below.as_deref().is_none_or(|below| path.is_some_and(|path| is_below(path, below)))
    }
}

/// The first argument of a message, if it is a text.
pub(crate) fn first_text(message: &Message) -> Option<String> {
    let body = message.body();
    let arguments: Structure<'_> = body.deserialize().ok()?;
    arguments.fields().first().and_then(|first| <&str>::try_from(first).ok()).map(str::to_owned)
}

fn is_below(path: &str, root: &str) -> bool {
    root == "/" || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(path: &str, interface: &str, member: &str) -> Message {
        Message::signal(path, interface, member).build(&()).unwrap()
    }

    #[test]
    fn a_rule_is_written_as_the_bus_takes_it() {
        assert_eq!(SignalRule::new().text(), "type='signal'");
        let rule = SignalRule::new().sender("a.b").path("/x").below("/y").interface("i.j").member("M").arg0("it's");
        let wanted =
            r"type='signal',sender='a.b',path='/x',path_namespace='/y',interface='i.j',member='M',arg0='it'\''s'";
        assert_eq!(rule.text(), wanted);
    }

    #[test]
    fn a_rule_matches_by_path_interface_and_member() {
        let message = signal("/units/a", "x.y.Unit", "Changed");
        let rule = SignalRule::new;
        for matching in [
            rule(),
            rule().path("/units/a").interface("x.y.Unit").member("Changed"),
            rule().below("/units"),
            rule().below("/units/a"),
            rule().below("/"),
            rule().sender("org.example"),
        ] {
            assert!(matching.may_match(&message, None), "{matching:?}");
        }
        for other in [
            rule().path("/units"),
            rule().below("/unit"),
            rule().below("/units/a/b"),
            rule().interface("x.y"),
            rule().member("Change"),
        ] {
            assert!(!other.may_match(&message, None), "{other:?}");
        }
        let call = Message::method_call("/units/a", "Changed").build(&()).unwrap();
        assert!(!rule().may_match(&call, None));
    }

    #[test]
    fn a_rule_matches_by_the_first_argument_of_one_or_several() {
        let signal = || Message::signal("/units", "x.y", "UnitNew");
        let one = signal().build(&"nginx.service").unwrap();
        let two = signal().build(&("nginx.service", 5_u32)).unwrap();
        let rule = SignalRule::new().arg0("nginx.service");
        for message in [&one, &two] {
            assert_eq!(first_text(message).as_deref(), Some("nginx.service"));
            assert!(rule.may_match(message, first_text(message).as_deref()));
            assert!(!SignalRule::new().arg0("other").may_match(message, first_text(message).as_deref()));
        }
        let number = signal().build(&5_u32).unwrap();
        assert!(!rule.may_match(&number, first_text(&number).as_deref()) && SignalRule::new().may_match(&number, None));
    }
}
