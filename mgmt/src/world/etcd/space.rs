//! The space of etcd: which members have none left, and how they get some again.

use std::time::Duration;

use etcd_client::{AlarmAction, AlarmOptions, AlarmType, CompactionOptions, GetOptions};

use crate::world::etcd::cluster::{ANSWER_MAX, Listed, within};
use crate::world::etcd::member::{ANY_KEY, code};
use crate::world::etcd::world::Etcd;

/// How long it may take to forget history, and to write the file of a member again: that reads and writes all of it.
const WORK_MAX: Duration = Duration::from_secs(120);
/// How a member reports the alarm.
const NO_SPACE: &str = "NOSPACE";
/// A code of gRPC: that history is forgotten already.
const OUT_OF_RANGE: i32 = 11;

impl Etcd {
    /// Whether the member at one of these addresses reports that some member has no space left. Only that member is
    /// asked.
    pub(in crate::world) async fn is_full(&self, addresses: &[String]) -> Option<bool> {
        let address = addresses.iter().find(|address| self.accepts(address))?;
        let client = self.reach(address).await.ok()?;
        let status = within(ANSWER_MAX, client.maintenance_client().status()).await.ok()?;
        Some(status.errors().iter().any(|error| error.contains(NO_SPACE)))
    }

    /// The members that have no space left.
    pub(in crate::world) async fn full(&self) -> Result<Vec<u64>, String> {
        let (client, _) = self.client().await?;
        let alarms = within(ANSWER_MAX, async {
            client.maintenance_client().alarm(AlarmAction::Get, AlarmType::Nospace, None).await
        });
        Ok(alarms.await?.alarms().iter().map(|alarm| alarm.member_id()).collect())
    }

    /// Forgets history, lets a member write its file again without what is forgotten, and ends its alarm. If what is
    /// left is too much for it, the next write raises the alarm again.
    pub(in crate::world) async fn make_space(&self, member: &Listed) -> Result<(), String> {
        let (client, _) = self.client().await?;
        let compacted = within(WORK_MAX, async {
            let mut kv = client.kv_client();
            let now = kv.get(ANY_KEY, Some(GetOptions::new().with_count_only())).await?;
            let revision = now.header().map_or(0, etcd_client::ResponseHeader::revision);
            match kv.compact(revision, Some(CompactionOptions::new().with_physical())).await {
                Err(error) if code(&error) == Some(OUT_OF_RANGE) => Ok(()),
                other => other.map(drop),
            }
        });
        compacted.await.map_err(|why| format!("its history can't be forgotten: {why}"))?;
        let address = member.clients.iter().find(|address| self.accepts(address));
        let address = address.ok_or("it has no address that can be used")?;
        let own = self.reach(address).await?;
        let defragmented = within(WORK_MAX, async { own.maintenance_client().defragment().await }).await;
        defragmented.map_err(|why| format!("its file can't be written again: {why}"))?;
        let mut options = AlarmOptions::new();
        options.with_member(member.id);
        let disarmed = within(ANSWER_MAX, async {
            client.maintenance_client().alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(options)).await
        });
        disarmed.await.map(drop).map_err(|why| format!("its alarm can't be ended: {why}"))
    }
}
