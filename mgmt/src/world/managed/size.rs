//! How many servers there should be, and which hosts run one.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::resource::{Keys, Member, Transaction, WorldError, Write};
use crate::world::managed::records::{PREFIX, Records, SIZE};

/// The servers of etcd that hosts run themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerCount {
    /// How many there should be.
    pub ideal: usize,
    /// The hosts that run one.
    pub serving: Vec<String>,
    /// The hosts that are ready to run one.
    pub ready: Vec<String>,
}

impl ServerCount {
    /// What the world knows of them.
    ///
    /// # Errors
    /// The world can't be reached, or does not permit it.
    pub async fn read(member: &dyn Member) -> Result<ServerCount, WorldError> {
        let snapshot = member.get(vec![Keys::Below(PREFIX.to_owned())]).await?;
        let records = Records::of(&snapshot.entries);
        let mut count = ServerCount { ideal: records.ideal, ..ServerCount::default() };
        for (host, volunteer) in records.volunteers {
            match volunteer.id {
                Some(_) => count.serving.push(host),
                None => count.ready.push(host),
            }
        }
        Ok(count)
    }

    /// Sets how many there should be, at least 1. They come and go one after the other.
    ///
    /// # Errors
    /// The world can't be reached, or does not permit it.
    pub async fn set(member: &dyn Member, ideal: u16) -> Result<(), WorldError> {
        let writes =
            BTreeMap::from([(SIZE.to_owned(), Write::Put(ideal.max(1).to_string().into_bytes().into(), None))]);
        member.commit(Transaction { conditions: Vec::new(), writes }).await.map(drop)
    }
}
