//! Subscriptions of engines to D-Bus signals: one task for each bus brings each signal to the nodes that it may
//! concern.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use zbus::message::Message;
use zbus::{Connection, MessageStream};

use crate::resource::{BusDoor, Connections, SignalRule, WatchEvent, first_text};
use crate::sys::dbus::{Bus, Peer};

/// A lost bus is tried again for this long; then its watches have failed, and begin again by the retry policy of their
/// resources.
const LOST_MAX: Duration = Duration::from_secs(10);
/// The first pause between such tries; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long the bus may take to answer about a rule.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Called for each event of one subscription.
type Listener = Box<dyn Fn(Result<WatchEvent, String>) + Send>;

/// All subscriptions to signals, of one engine or of those that share doors.
#[derive(Clone, Debug)]
pub(crate) struct SignalHub {
    connections: Connections,
    buses: Arc<Mutex<HashMap<Bus, Orders>>>,
    last: Arc<AtomicU64>,
}

type Orders = mpsc::UnboundedSender<Order>;

enum Order {
    Add { number: u64, rule: SignalRule, listener: Listener },
    Remove(u64),
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Add { number, rule, .. } => write!(f, "Add({number}, {})", rule.text()),
            Order::Remove(number) => write!(f, "Remove({number})"),
        }
    }
}

/// A subscription. Its drop ends it.
#[derive(Debug)]
pub(crate) struct Subscription {
    orders: Orders,
    number: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // If the task has ended, nothing is subscribed any more.
        let _ = self.orders.send(Order::Remove(self.number));
    }
}

impl SignalHub {
    pub(crate) fn new(connections: Connections) -> SignalHub {
        SignalHub { connections, buses: Arc::default(), last: Arc::default() }
    }

    /// Listens to signals. The listener gets `Ready` once the bus has acknowledged the rule; `Changed` for each signal,
    /// and when a lost bus is back, since signals may have been missed; an error when there is no bus, which ends the
    /// subscription.
    pub(crate) fn subscribe(&self, bus: &Bus, rule: SignalRule, listener: Listener) -> Subscription {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let (orders, task) = {
            let mut buses = self.buses.lock().unwrap_or_else(PoisonError::into_inner);
            let (orders, task) = match buses.get(bus) {
                Some(orders) => (orders.clone(), None),
                None => {
                    let (orders, inbox) = mpsc::unbounded_channel();
                    buses.insert(bus.clone(), orders.clone());
                    let listeners = Listeners::default();
                    (orders, Some(BusTask { bus: bus.clone(), hub: self.clone(), inbox, listeners }))
                }
            };
            // The receiver exists: its end takes the same lock, and removes itself from the map.
            let _ = orders.send(Order::Add { number, rule, listener });
            (orders, task)
        };
        if let Some(task) = task {
            // Without the lock: a runtime that is ending drops the task here, which takes the lock.
            tokio::spawn(task.run());
        }
        Subscription { orders, number }
    }
}

/// One distinct rule.
struct Rule {
    rule: SignalRule,
    /// Distinguishes this rule from an earlier one with the same text.
    serial: u64,
    /// The bus has acknowledged the rule.
    is_armed: bool,
    listeners: HashSet<u64>,
}

struct Listening {
    text: String,
    listener: Listener,
    /// The listener has got `Ready`.
    is_ready: bool,
}

#[derive(Default)]
struct Listeners {
    by_number: HashMap<u64, Listening>,
    rules: HashMap<String, Rule>,
    /// Rules about one object, by its path: most rules are of this form.
    by_object: HashMap<String, HashSet<String>>,
    general: HashSet<String>,
    serial: u64,
}

impl Listeners {
    /// Adds a subscription; returns the request to the bus, if any.
    fn add(&mut self, number: u64, rule: SignalRule, listener: Listener) -> Option<Arm> {
        let text = rule.text();
        let mut listening = Listening { text: text.clone(), listener, is_ready: false };
        let arm = match self.rules.get_mut(&text) {
            Some(known) => {
                known.listeners.insert(number);
                if known.is_armed {
                    listening.is_ready = true;
                    (listening.listener)(Ok(WatchEvent::Ready));
                }
                None
            }
            None => {
                self.serial += 1;
                match rule.object() {
                    Some(path) => self.by_object.entry(path.to_owned()).or_default().insert(text.clone()),
                    None => self.general.insert(text.clone()),
                };
                let listeners = HashSet::from([number]);
                self.rules.insert(text.clone(), Rule { rule, serial: self.serial, is_armed: false, listeners });
                Some(Arm::Add(text, self.serial))
            }
        };
        self.by_number.insert(number, listening);
        arm
    }

    /// Removes a subscription; returns the request to the bus, if any.
    fn remove(&mut self, number: u64) -> Option<Arm> {
        let text = self.by_number.remove(&number)?.text;
        let rule = self.rules.get_mut(&text)?;
        rule.listeners.remove(&number);
        if !rule.listeners.is_empty() {
            return None;
        }
        let rule = self.rules.remove(&text)?;
        self.general.remove(&text);
        if let Some(path) = rule.rule.object()
            && let Some(texts) = self.by_object.get_mut(path)
        {
            texts.remove(&text);
            if texts.is_empty() {
                self.by_object.remove(path);
            }
        }
        Some(Arm::Remove(text))
    }

    /// Applies an order; returns the request to the bus, if any.
    fn order(&mut self, order: Order) -> Option<Arm> {
        match order {
            Order::Add { number, rule, listener } => self.add(number, rule, listener),
            Order::Remove(number) => self.remove(number),
        }
    }

    /// The bus has answered about a rule.
    fn armed(&mut self, text: &str, serial: u64, answer: Result<(), String>) {
        let Some(rule) = self.rules.get_mut(text).filter(|rule| rule.serial == serial) else { return };
        if let Err(problem) = answer {
            for number in rule.listeners.clone() {
                if let Some(listening) = self.by_number.get(&number) {
                    (listening.listener)(Err(problem.clone()));
                }
                self.remove(number);
            }
            return;
        }
        rule.is_armed = true;
        for number in &rule.listeners {
            if let Some(listening) = self.by_number.get_mut(number) {
                // After a loss: the check that follows finds what was missed.
                let was_ready = std::mem::replace(&mut listening.is_ready, true);
                (listening.listener)(Ok(if was_ready { WatchEvent::Changed } else { WatchEvent::Ready }));
            }
        }
    }

    /// Brings a signal to all listeners that it may concern.
    fn route(&self, message: &Message) {
        let path = message.header().path().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let texts = self.by_object.get(&path).into_iter().flatten().chain(&self.general);
        let arg0 = first_text(message);
        let matching = |rule: &&Rule| rule.rule.may_match(message, arg0.as_deref());
        for rule in texts.filter_map(|text| self.rules.get(text)).filter(matching) {
            for listening in rule.listeners.iter().filter_map(|number| self.by_number.get(number)) {
                if listening.is_ready {
                    (listening.listener)(Ok(WatchEvent::Changed));
                }
            }
        }
    }

    /// There is no bus: all subscriptions have failed.
    fn fail(&mut self, problem: &str) {
        for listening in self.by_number.values() {
            (listening.listener)(Err(problem.to_owned()));
        }
        *self = Listeners { serial: self.serial, ..Listeners::default() };
    }

    /// A new connection has no rules yet: returns the requests for all of them.
    fn disarm(&mut self) -> Vec<Arm> {
        self.rules.values_mut().for_each(|rule| rule.is_armed = false);
        self.rules.iter().map(|(text, rule)| Arm::Add(text.clone(), rule.serial)).collect()
    }
}

/// A request to the bus.
enum Arm {
    Add(String, u64),
    Remove(String),
}

/// The bus itself, as a service.
const BUS: Peer<'static> =
    Peer { name: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

type Answer = (String, u64, Result<(), String>);

/// Sends requests to the bus, one after the other. Answers come only while messages are taken, so the task that takes
/// them cannot wait for them. If the bus does not answer one request, all that wait for their turn fail with it.
async fn arm(connection: Connection, mut wanted: mpsc::UnboundedReceiver<Arm>, answers: mpsc::UnboundedSender<Answer>) {
    let call = async |method: &'static str, text: &str| {
        let answer = BUS.call(&connection, method, text.to_owned());
        Some(timeout(ANSWER_MAX, answer).await.ok()?.map(drop))
    };
    let silent =
        |text: &str| Err(format!("the bus has not answered about the rule {text} within {} s", ANSWER_MAX.as_secs()));
    while let Some(arm) = wanted.recv().await {
        match arm {
            Arm::Add(text, serial) => {
                let answer = call("AddMatch", &text).await;
                // A lost connection gives no answers: the rule is requested again on the next one.
                if connection.is_closed() {
                    continue;
                }
                let is_silent = answer.is_none();
                let answer = match answer {
                    Some(answer) => answer.map_err(|error| format!("the bus refuses the rule {text}: {error}")),
                    None => silent(&text),
                };
                if answers.send((text, serial, answer)).is_err() {
                    return;
                }
                while is_silent && let Ok(arm) = wanted.try_recv() {
                    // A rule that stays at the bus only costs signals that match nothing here.
                    if let Arm::Add(text, serial) = arm {
                        let answer = silent(&text);
                        let _ = answers.send((text, serial, answer));
                    }
                }
            }
            Arm::Remove(text) => match call("RemoveMatch", &text).await {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::debug!(%error, "a rule for signals stays at the bus"),
                None => tracing::debug!("a rule for signals stays at the bus, which does not answer"),
            },
        }
    }
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The next message; `None`: the connection has ended.
async fn next(messages: &mut MessageStream) -> Option<zbus::Result<Message>> {
    poll_fn(|cx| Pin::new(&mut *messages).poll_next(cx)).await
}

/// The task of a bus, which runs until nothing is subscribed at it any more.
struct BusTask {
    bus: Bus,
    hub: SignalHub,
    inbox: mpsc::UnboundedReceiver<Order>,
    listeners: Listeners,
}

impl BusTask {
    async fn run(mut self) {
        let mut lost: Option<Instant> = None;
        let mut pause = PAUSE;
        while !self.is_over() {
            let begun = Instant::now();
            match self.hub.connections.door::<BusDoor>(&self.bus).await {
                Ok(door) => {
                    self.take_orders();
                    self.serve(&door).await;
                    lost = Some(Instant::now());
                    if begun.elapsed() > LOST_MAX {
                        pause = PAUSE;
                    }
                }
                Err(error) => {
                    self.take_orders();
                    if lost.is_none_or(|since| since.elapsed() > LOST_MAX) {
                        self.listeners.fail(&error.to_string());
                        lost = None;
                    }
                }
            }
            if !self.listeners.by_number.is_empty() {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }

    /// Takes the orders that came meanwhile; the bus gets the requests on the next connection.
    fn take_orders(&mut self) {
        while let Ok(order) = self.inbox.try_recv() {
            self.listeners.order(order);
        }
    }

    /// Nothing is subscribed, and no order can come any more: the next subscription begins another task.
    fn is_over(&mut self) -> bool {
        let hub = self.hub.clone();
        let mut buses = hub.buses.lock().unwrap_or_else(PoisonError::into_inner);
        self.take_orders();
        let over = self.listeners.by_number.is_empty();
        if over {
            buses.remove(&self.bus);
        }
        over
    }

    /// Listens until the connection is lost, or nothing is subscribed any more.
    async fn serve(&mut self, door: &BusDoor) {
        let connection = &door.connection;
        let mut messages = MessageStream::from(connection);
        let (wanted, asked) = mpsc::unbounded_channel();
        let (answers, mut answered) = mpsc::unbounded_channel();
        let mut arming = Owned(tokio::spawn(arm(connection.clone(), asked, answers)));
        // The other side ends only with this one, or with the connection.
        self.listeners.disarm().into_iter().for_each(|arm| drop(wanted.send(arm)));
        while !self.listeners.by_number.is_empty() {
            tokio::select! {
                order = self.inbox.recv() => match order {
                    Some(order) => self.listeners.order(order).into_iter().for_each(|arm| drop(wanted.send(arm))),
                    None => return,
                },
                Some((text, serial, answer)) = answered.recv() => self.listeners.armed(&text, serial, answer),
                message = next(&mut messages) => match message {
                    Some(Ok(message)) => self.listeners.route(&message),
                    Some(Err(error)) => tracing::debug!(%error, "a message of {} can't be read", self.bus),
                    None => return,
                },
                () = door.lost() => return,
            }
        }
        // The bus must be asked to remove the rules that are not needed any more.
        drop(wanted);
        let rest = async {
            loop {
                tokio::select! {
                    _ = &mut arming.0 => return,
                    message = next(&mut messages) => if message.is_none() { return },
                }
            }
        };
        // Requests that are not answered by then end with the connection.
        let _ = timeout(PAUSE_MAX, rest).await;
    }
}

impl Drop for BusTask {
    /// If its runtime ends before it does, engines on other runtimes may still listen: their watches have failed, and
    /// begin again with a task of their own runtime.
    fn drop(&mut self) {
        {
            let hub = self.hub.clone();
            let mut buses = hub.buses.lock().unwrap_or_else(PoisonError::into_inner);
            // From here on, a subscription begins another task.
            self.inbox.close();
            self.take_orders();
            if buses.get(&self.bus).is_some_and(Orders::is_closed) {
                buses.remove(&self.bus);
            }
        }
        self.listeners.fail("the runtime that listened to the bus has ended");
    }
}
