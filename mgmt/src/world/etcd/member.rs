//! The access of a host to etcd: reads, transactions and leases.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::{
    Client, Compare, CompareOp, Error, GetOptions, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse,
};

use crate::resource::{
    BoxFuture, Condition, Entry, Keys, LeaseId, Limits, Member, Revision, Snapshot, Transaction, WorldError,
    WorldWatch, Write,
};
use crate::world::etcd::Etcd;
use crate::world::etcd::watch::watch;
use crate::world::trust::Grant;

/// How long an answer may take.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The pause before a question is asked again that a change of users or roles has overtaken.
pub(super) const OUTDATED: Duration = Duration::from_millis(20);
/// A connection that is lost is noticed within this time; a server that only falls silent is not.
const LOST_MAX: Duration = Duration::from_secs(1);
/// What a transaction can hold: the defaults of etcd are 128 operations and 1.5 MiB, less what each operation needs
/// besides its key and its value.
pub(super) const LIMITS: Limits = Limits { operations: 128, bytes: (3 << 19) - (1 << 15) };
/// How long to wait until this host may write what it has asked for, and how often to look.
const PERMITTED_MAX: Duration = Duration::from_secs(3);
const PERMITTED_PAUSE: Duration = Duration::from_millis(50);
const PERMITTED_PAUSE_MAX: Duration = Duration::from_millis(400);
/// The most bytes of an answer.
pub(super) const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Reading nothing still returns a revision: this key is read then.
pub(super) const ANY_KEY: &str = "/mgmt";

/// How etcd answers to a write when its alarm NOSPACE is raised.
const NO_SPACE: &str = "database space exceeded";
const MAKE_SPACE: &str = "compact and defragment etcd and disarm its alarm, which servers that mgmt runs do by \
                          themselves, or let it have more (--quota-backend-bytes)";

/// Codes of gRPC.
const NOT_FOUND: i32 = 5;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNAUTHENTICATED: i32 = 16;

#[derive(Debug)]
pub(super) struct EtcdMember {
    pub(super) world: Etcd,
    pub(super) host: String,
}

/// The users or roles have changed while etcd was at it. It has done nothing.
pub(super) fn is_outdated(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message().contains("revision of auth store is old"))
}

/// What etcd answered, or why there is no answer.
enum Failure {
    Etcd(Error),
    World(WorldError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Etcd(error)
    }
}

pub(super) fn code(error: &Error) -> Option<i32> {
    match error {
        Error::GRpcStatus(status) => Some(status.code() as i32),
        _ => None,
    }
}

/// The error in words. A status shows its cause in a form for programmers only.
pub(super) fn words(error: &Error) -> String {
    let Error::GRpcStatus(status) = error else { return error.to_string() };
    let mut innermost: Option<&dyn std::error::Error> = std::error::Error::source(status);
    while let Some(source) = innermost.and_then(std::error::Error::source) {
        innermost = Some(source);
    }
    match innermost {
        Some(source) => format!("{}: {source}", status.message()),
        None => status.message().to_owned(),
    }
}

/// The error of the world. Whatever is not certainly refused may have been done.
pub(super) fn world_error(error: &Error) -> WorldError {
    match code(error) {
        Some(PERMISSION_DENIED | UNAUTHENTICATED) => WorldError::Denied(words(error)),
        // The same code is that of too many requests.
        Some(RESOURCE_EXHAUSTED) if words(error).contains(NO_SPACE) => {
            WorldError::Full(format!("{}; {MAKE_SPACE}", words(error)))
        }
        _ => WorldError::Unreachable(words(error)),
    }
}

impl EtcdMember {
    /// Asks etcd what can be asked twice: if the connection turns out to be lost, another server is asked at once.
    fn ask_again<T, F>(
        &self,
        question: impl Fn(Client) -> F + Send + Sync + 'static,
    ) -> BoxFuture<Result<T, WorldError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let question = Arc::new(question);
        let [first, second] = [(); 2].map(|()| {
            let question = Arc::clone(&question);
            self.ask(move |client| question(client))
        });
        Box::pin(async move {
            let began = Instant::now();
            match first.await {
                Err(WorldError::Unreachable(_)) if began.elapsed() < LOST_MAX => second.await,
                answer => answer,
            }
        })
    }

    /// Asks etcd, with a time limit for the answer.
    fn ask<T, F>(&self, question: impl Fn(Client) -> F + Send + Sync + 'static) -> BoxFuture<Result<T, WorldError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let world = self.world.clone();
        Box::pin(async move {
            let answer = async {
                let (client, number) = world.client().await.map_err(WorldError::Unreachable)?;
                let late = |_| Err(Failure::World(WorldError::Unreachable(format!("no answer within {ANSWER_MAX:?}"))));
                let asked = async {
                    loop {
                        match question(client.clone()).await {
                            Err(Failure::Etcd(error)) if is_outdated(&error) => tokio::time::sleep(OUTDATED).await,
                            answer => break answer,
                        }
                    }
                };
                let answer = tokio::time::timeout(ANSWER_MAX, asked).await.unwrap_or_else(late);
                let answer = answer.map_err(|failure| match failure {
                    Failure::Etcd(error) => world_error(&error),
                    Failure::World(error) => error,
                });
                if let Err(WorldError::Unreachable(_)) = answer {
                    world.lose(number).await;
                }
                answer
            };
            answer.await
        })
    }
}

/// The key and the entry; `None`: this key is not one that this library has written.
pub(super) fn entry(kv: &KeyValue) -> Option<(String, Entry)> {
    let key = kv.key_str().ok()?.to_owned();
    let lease = (kv.lease() != 0).then(|| LeaseId(kv.lease().cast_unsigned()));
    Some((key, Entry { value: kv.value().into(), written: revision(kv.mod_revision()), lease }))
}

pub(super) fn revision(number: i64) -> Revision {
    Revision(number.cast_unsigned())
}

fn revision_of(response: &TxnResponse) -> Revision {
    revision(response.header().map_or(0, etcd_client::ResponseHeader::revision))
}

/// All entries of these keys.
async fn snapshot(client: Client, keys: Vec<Keys>) -> Result<Snapshot, Error> {
    let mut client = client.kv_client().max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut snapshot = Snapshot::default();
    let mut keys = keys.into_iter().peekable();
    loop {
        let at = snapshot.revision;
        let part = keys.by_ref().take(LIMITS.operations).map(|keys| read(keys, at));
        let mut reads: Vec<TxnOp> = part.collect();
        if reads.is_empty() {
            reads.push(TxnOp::get(ANY_KEY, Some(GetOptions::new().with_count_only())));
        }
        let response = client.txn(Txn::new().and_then(reads)).await?;
        for part in response.op_responses() {
            if let TxnOpResponse::Get(found) = part {
                snapshot.entries.extend(found.kvs().iter().filter_map(entry));
            }
        }
        // What is read after the first transaction is read as of its revision.
        if at == Revision::default() {
            snapshot.revision = revision_of(&response);
        }
        if keys.peek().is_none() {
            return Ok(snapshot);
        }
    }
}

/// Reads these keys as of a revision; of the first one there is: as they are now.
fn read(keys: Keys, at: Revision) -> TxnOp {
    let options = GetOptions::new().with_revision(at.0.cast_signed());
    match keys {
        Keys::One(key) => TxnOp::get(key, Some(options)),
        Keys::Below(prefix) => TxnOp::get(prefix, Some(options.with_prefix())),
    }
}

async fn committed(mut client: Client, transaction: Transaction) -> Result<Option<Revision>, Failure> {
    let condition = |Condition { key, written }: Condition| match written {
        Some(Revision(number)) => Compare::mod_revision(key, CompareOp::Equal, number.cast_signed()),
        None => Compare::create_revision(key, CompareOp::Equal, 0),
    };
    let conditions: Vec<Compare> = transaction.conditions.into_iter().map(condition).collect();
    let mut lease = None;
    let write = |(key, write): (String, Write)| match write {
        Write::Put(value, None) => TxnOp::put(key, &*value, None),
        Write::Put(value, Some(held)) => {
            lease = Some(held);
            TxnOp::put(key, &*value, Some(PutOptions::new().with_lease(held.0.cast_signed())))
        }
        Write::Remove => TxnOp::delete(key, None),
    };
    let writes: Vec<TxnOp> = transaction.writes.into_iter().map(write).collect();
    let done = client.txn(Txn::new().when(conditions).and_then(writes)).await;
    match (done, lease) {
        (Ok(response), _) => Ok(response.succeeded().then(|| revision_of(&response))),
        (Err(error), Some(lease)) if code(&error) == Some(NOT_FOUND) => Err(Failure::World(WorldError::NoLease(lease))),
        (Err(error), _) => Err(error.into()),
    }
}

/// Asks for these grants. The error is `denied` if that does not help.
async fn ask_for(client: &Client, host: &str, grants: BTreeSet<Grant>, denied: Error) -> Result<(), Failure> {
    if grants.is_empty() {
        return Err(denied.into());
    }
    let mut client = client.kv_client();
    for grant in grants {
        // What was asked for before is not written again: each write wakes the host that grants.
        let key = grant.key(host);
        let absent = Compare::create_revision(key.as_str(), CompareOp::Equal, 0);
        let ask = Txn::new().when([absent]).and_then([TxnOp::put(key, "", None)]);
        match client.txn(ask).await {
            // The host may not even ask: users are not set up by mgmt here, or it was forgotten.
            Err(error) if code(&error) == Some(PERMISSION_DENIED) => return Err(denied.into()),
            asked => drop(asked?),
        }
    }
    Ok(())
}

/// Tries until it is permitted, for a moment. The caller tries again later.
async fn until_permitted<T, F: Future<Output = Result<T, Failure>>>(tries: impl Fn() -> F) -> Result<T, Failure> {
    let began = Instant::now();
    let mut pause = PERMITTED_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        match tries().await {
            Err(Failure::Etcd(error)) if code(&error) == Some(PERMISSION_DENIED) => {
                if began.elapsed() > PERMITTED_MAX {
                    let why = "it does not permit this host to write there yet: a host that serves etcd must do that, \
                               and none has done so";
                    return Err(Failure::World(WorldError::Unreachable(why.to_owned())));
                }
                pause = (pause * 2).min(PERMITTED_PAUSE_MAX);
            }
            done => return done,
        }
    }
}

impl Member for EtcdMember {
    fn host(&self) -> &str {
        &self.host
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn get(&self, keys: Vec<Keys>) -> BoxFuture<Result<Snapshot, WorldError>> {
        let host = self.host.clone();
        self.ask_again(move |client| {
            let (host, keys) = (host.clone(), keys.clone());
            async move {
                match snapshot(client.clone(), keys.clone()).await {
                    Err(error) if code(&error) == Some(PERMISSION_DENIED) => {
                        // The exports of this host for another one can be read when they may be written.
                        let own = keys.iter().filter_map(|keys| match keys {
                            Keys::One(key) => Grant::of_write(&host, key),
                            Keys::Below(_) => None,
                        });
                        let own = own.filter(|grant| matches!(grant, Grant::Exports { .. })).collect();
                        ask_for(&client, &host, own, error).await?;
                        let read = move || {
                            let (client, keys) = (client.clone(), keys.clone());
                            async move { Ok(snapshot(client, keys).await?) }
                        };
                        until_permitted(read).await
                    }
                    read => Ok(read?),
                }
            }
        })
    }

    fn watch(&self, keys: Vec<Keys>, after: Revision) -> WorldWatch {
        watch(self.world.clone(), keys, after)
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<Result<Option<Revision>, WorldError>> {
        let host = self.host.clone();
        self.ask(move |client| {
            let (host, transaction) = (host.clone(), transaction.clone());
            async move {
                let (is, max) = (transaction.size(), LIMITS);
                if is.operations > max.operations || is.bytes > max.bytes {
                    return Err(Failure::World(WorldError::TooLarge { is, max }));
                }
                match committed(client.clone(), transaction.clone()).await {
                    Err(Failure::Etcd(error)) if code(&error) == Some(PERMISSION_DENIED) => {
                        let written = transaction.conditions.iter().map(|condition| &condition.key);
                        let written = transaction.writes.keys().chain(written);
                        let grants = written.filter_map(|key| Grant::of_write(&host, key)).collect();
                        ask_for(&client, &host, grants, error).await?;
                        until_permitted(move || committed(client.clone(), transaction.clone())).await
                    }
                    done => done,
                }
            }
        })
    }

    fn lease(&self, ttl: Duration) -> BoxFuture<Result<LeaseId, WorldError>> {
        self.ask_again(move |mut client| async move {
            // Whole seconds, rounded up.
            let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
            let seconds = i64::try_from(seconds.max(1)).unwrap_or(i64::MAX).min(SECONDS_MAX);
            let granted = client.lease_grant(seconds, None).await?;
            Ok(LeaseId(granted.id().cast_unsigned()))
        })
    }

    fn renew(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        self.ask_again(move |mut client| async move {
            match client.lease_keep_alive(lease.0.cast_signed()).await {
                Ok(_) => Ok(()),
                // Its first answer has no time left.
                Err(Error::LeaseKeepAliveError(_)) => Err(Failure::World(WorldError::NoLease(lease))),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn revoke(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        self.ask_again(move |mut client| async move {
            match client.lease_revoke(lease.0.cast_signed()).await {
                Err(error) if code(&error) != Some(NOT_FOUND) => Err(error.into()),
                _ => Ok(()),
            }
        })
    }
}

/// The longest time of a lease in etcd.
const SECONDS_MAX: i64 = 9_000_000_000;
