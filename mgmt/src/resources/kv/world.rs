//! Values in the world that this host shares with others.

use std::sync::Arc;

use crate::id::in_one_line;
use crate::resource::{
    Condition, Entry, Error, Keys, Obstacle, ObstacleKind, Result, Revision, Transaction, WorldRead, WorldWrite, Write,
    value_key,
};

/// How often a change that another host has overtaken is made again at once.
const RACES_MAX: usize = 16;

/// What the world has under a key.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Nothing,
    Text(String),
    /// Another program has written something that is no text.
    NoText(usize),
}

impl Found {
    fn of(entry: Option<&Entry>) -> Found {
        let Some(entry) = entry else { return Found::Nothing };
        match std::str::from_utf8(&entry.value) {
            Ok(text) => Found::Text(text.to_owned()),
            Err(_) => Found::NoText(entry.value.len()),
        }
    }

    /// The value. What is no text is none.
    pub(super) fn text(&self) -> Option<&String> {
        match self {
            Found::Text(text) => Some(text),
            Found::Nothing | Found::NoText(_) => None,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Found::Nothing)
    }
}

async fn entry(world: &WorldRead, at: &str) -> Result<Option<Entry>> {
    Ok(world.get(vec![Keys::One(at.to_owned())]).await?.entries.remove(at))
}

/// The value under a key: that of the host, or without a host the one that all share.
pub(super) async fn read(world: &WorldRead, key: &str, host: Option<&str>) -> Result<Found> {
    Ok(Found::of(entry(world, &value_key(key, host)).await?.as_ref()))
}

/// Sets or removes a value, unless what is found then `stays`, which is called before each attempt, with what is there.
/// So no change of another host is overwritten unseen. Returns what is there now, and whether that was changed.
pub(super) async fn write(
    world: &WorldWrite,
    (key, host): (&str, Option<&str>),
    value: Option<&String>,
    mut stays: impl FnMut(&Found) -> Result<bool>,
) -> Result<(Found, bool)> {
    let at = value_key(key, host);
    for _ in 0..RACES_MAX {
        let entry = entry(world, &at).await?;
        let found = Found::of(entry.as_ref());
        if stays(&found)? {
            return Ok((found, false));
        }
        let write = value.map_or(Write::Remove, |value| Write::Put(Arc::from(value.as_bytes()), None));
        let written: Option<Revision> = entry.map(|entry| entry.written);
        let transaction = Transaction {
            conditions: vec![Condition { key: at.clone(), written }],
            writes: [(at.clone(), write)].into(),
        };
        if world.commit(transaction).await?.is_some() {
            return Ok((value.cloned().map_or(Found::Nothing, Found::Text), true));
        }
    }
    let why = format!("other hosts change the value of `{}` in the world all the time", in_one_line(key));
    Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Changing)))
}
