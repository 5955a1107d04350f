//! The members of an etcd: their list, whether they answer, and requests to change them.

use std::future::Future;
use std::time::Duration;

use etcd_client::{Client, Error, GetOptions, MemberAddOptions};

use crate::world::etcd::member::{ANY_KEY, words};
use crate::world::etcd::world::Etcd;

/// How long a member may take to answer.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long a change of the members may take. The host that asks for one must be elected for longer.
pub(in crate::world) const CHANGE_MAX: Duration = Duration::from_secs(5);

/// Codes of gRPC.
const NOT_FOUND: i32 = 5;

/// A member as etcd lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::world) struct Listed {
    pub(in crate::world) id: u64,
    /// Empty: it has not started yet.
    pub(in crate::world) name: String,
    pub(in crate::world) peers: Vec<String>,
    pub(in crate::world) clients: Vec<String>,
    pub(in crate::world) is_learner: bool,
}

/// All members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::world) struct Members {
    /// The number of the cluster.
    pub(in crate::world) cluster: u64,
    pub(in crate::world) all: Vec<Listed>,
}

/// What a member answers about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::world) struct Health {
    pub(in crate::world) id: u64,
    /// The member that leads the others.
    pub(in crate::world) leader: u64,
}

pub(super) async fn within<T>(time: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match tokio::time::timeout(time, answer).await {
        Ok(answer) => answer.map_err(|error| words(&error)),
        Err(_) => Err(format!("no answer within {time:?}")),
    }
}

impl Etcd {
    /// All members, as of now: the server that lists them has caught up with the others.
    pub(in crate::world) async fn listed(&self) -> Result<Members, String> {
        let (client, number) = self.client().await?;
        let answer = within(ANSWER_MAX, async {
            client.kv_client().get(ANY_KEY, Some(GetOptions::new().with_count_only())).await?;
            client.cluster_client().member_list().await
        });
        let answer = answer.await;
        if answer.is_err() {
            self.lose(number).await;
        }
        let members = answer?;
        let listed = |member: &etcd_client::Member| Listed {
            id: member.id(),
            name: member.name().to_owned(),
            peers: member.peer_urls().to_vec(),
            clients: member.client_urls().to_vec(),
            is_learner: member.is_learner(),
        };
        let cluster = members.header().map_or(0, etcd_client::ResponseHeader::cluster_id);
        Ok(Members { cluster, all: members.members().iter().map(listed).collect() })
    }

    /// Asks the member at one of these addresses about itself. It answers only if it has a leader.
    pub(in crate::world) async fn health(&self, addresses: &[String]) -> Option<Health> {
        for address in addresses.iter().filter(|address| self.accepts(address)) {
            let Ok(client) = self.reach(address).await else { continue };
            if let Ok(status) = within(ANSWER_MAX, client.maintenance_client().status()).await {
                let id = status.header().map_or(0, etcd_client::ResponseHeader::member_id);
                return Some(Health { id, leader: status.leader() });
            }
        }
        None
    }

    async fn change<F>(&self, request: impl FnOnce(Client) -> F) -> Result<(), String>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let (client, _) = self.client().await?;
        within(CHANGE_MAX, request(client)).await
    }

    /// Adds a member without a vote.
    pub(in crate::world) async fn add_learner(&self, peers: Vec<String>) -> Result<(), String> {
        let options = MemberAddOptions::new().with_is_learner();
        self.change(|client| async move { client.cluster_client().member_add(peers, Some(options)).await.map(drop) })
            .await
    }

    /// Gives a member a vote. etcd refuses it if the member has not caught up.
    pub(in crate::world) async fn promote(&self, id: u64) -> Result<(), String> {
        self.change(|client| async move { client.cluster_client().member_promote(id).await.map(drop) }).await
    }

    /// Removes a member; nothing happens if there is none.
    pub(in crate::world) async fn remove(&self, id: u64) -> Result<(), String> {
        self.change(|client| async move {
            match client.cluster_client().member_remove(id).await {
                Err(Error::GRpcStatus(status)) if status.code() as i32 == NOT_FOUND => Ok(()),
                other => other.map(drop),
            }
        })
        .await
    }

    /// Lets others reach a member at these addresses.
    pub(in crate::world) async fn relocate(&self, id: u64, peers: Vec<String>) -> Result<(), String> {
        self.change(|client| async move { client.cluster_client().member_update(id, peers).await.map(drop) }).await
    }

    /// The member that leads, at one of these addresses, lets another one lead.
    pub(in crate::world) async fn lead(&self, leader: &[String], next: u64) -> Result<(), String> {
        let address = leader.iter().find(|address| self.accepts(address));
        let address = address.ok_or("the member that leads has no address that can be used")?;
        let client = self.reach(address).await?;
        within(CHANGE_MAX, async move { client.maintenance_client().move_leader(next).await.map(drop) }).await
    }
}
