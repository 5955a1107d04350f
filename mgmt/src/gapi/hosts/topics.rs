//! What is read of the world, and what is known of it. What no graph reads any more is dropped.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::resource::{Entry, Keys};

/// Entries that were read, by key.
pub(super) type Entries = BTreeMap<String, Arc<[u8]>>;

/// Makes a value of entries.
pub(super) type Decode<T> = Arc<dyn Fn(&Entries) -> T + Send + Sync>;

/// One thing that is read, as values of one type.
pub(super) struct Topic {
    /// Which thing it is: what has the same type and the same words is the same.
    words: String,
    pub(super) keys: Keys,
    /// What is known of it, as far as `is_read`.
    entries: Entries,
    is_read: bool,
    outlet: Box<dyn Outlet>,
}

/// Where the values go.
trait Outlet: Any + Send + Sync {
    fn send(&self, entries: &Entries);
    fn is_used(&self) -> bool;
    fn as_any(&self) -> &dyn Any;
}

struct Values<T> {
    decode: Decode<T>,
    sender: watch::Sender<T>,
}

impl<T: Send + Sync + 'static> Outlet for Values<T> {
    fn send(&self, entries: &Entries) {
        self.sender.send_replace((self.decode)(entries));
    }

    fn is_used(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// All that is read.
#[derive(Default)]
pub(super) struct Topics(Vec<Topic>);

impl Topics {
    /// A receiver of the values of a topic, which is a new one if it was not read before.
    pub(super) fn receiver<T: Send + Sync + 'static>(
        &mut self,
        words: &str,
        keys: &Keys,
        decode: &Decode<T>,
    ) -> watch::Receiver<T> {
        let values = |topic: &Topic| {
            let values = topic.outlet.as_any().downcast_ref::<Values<T>>()?;
            (topic.words == words && topic.keys == *keys).then(|| values.sender.subscribe())
        };
        if let Some(receiver) = self.0.iter().find_map(values) {
            return receiver;
        }
        let (sender, receiver) = watch::channel(decode(&Entries::new()));
        let outlet = Box::new(Values { decode: Arc::clone(decode), sender });
        let (words, keys) = (words.to_owned(), keys.clone());
        self.0.push(Topic { words, keys, entries: Entries::new(), is_read: false, outlet });
        receiver
    }

    /// All keys, each once.
    pub(super) fn keys(&self) -> Vec<Keys> {
        let mut keys: Vec<Keys> = self.0.iter().map(|topic| topic.keys.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    pub(super) fn drop_unused(&mut self) {
        self.0.retain(|topic| topic.outlet.is_used());
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether something is not read yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.iter().any(|topic| !topic.is_read)
    }

    /// These keys have been read: all entries that they have now. A topic whose entries are as before sends nothing.
    pub(super) fn learn(&mut self, keys: &[Keys], state: &BTreeMap<String, Entry>) {
        for topic in self.0.iter_mut().filter(|topic| keys.contains(&topic.keys)) {
            topic.is_read = true;
            let entries: Entries = match &topic.keys {
                Keys::One(key) => state.get_key_value(key).map(|(key, entry)| of(key, entry)).into_iter().collect(),
                Keys::Below(prefix) => {
                    let from = state.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(prefix.as_str()));
                    from.map(|(key, entry)| of(key, entry)).collect()
                }
            };
            if entries != topic.entries {
                topic.outlet.send(&entries);
                topic.entries = entries;
            }
        }
    }
}

fn of(key: &str, entry: &Entry) -> (String, Arc<[u8]>) {
    (key.to_owned(), Arc::clone(&entry.value))
}
