//! The users and roles of etcd that hosts are: set up, changed when hosts join and are forgotten. Each step can be done
//! again after a crash.

use std::collections::BTreeSet;

use crate::resource::{Keys, World as _};
use crate::world::etcd::Etcd;
use crate::world::trust::access::{
    Access, all_grants, grant_of, host_of_user, keys_of, of_deploying, of_each, of_host,
};
use crate::world::trust::error::TrustError;

/// The user that etcd requires.
pub(super) const ROOT: &str = "root";
/// The role that may write deploys.
pub(super) const DEPLOY: &str = "deploy";
/// A role without permissions, of hosts that may run a server.
pub(super) const SERVER: &str = "server";

/// What a host may do besides what each one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::world) struct Allowed {
    pub(in crate::world) serves: bool,
    pub(in crate::world) deploys: bool,
}

/// The user with all rights that the server of a host is. No host has this name, since `/` is escaped there.
pub(super) fn root_of(user: &str) -> String {
    format!("{ROOT}/{user}")
}

async fn permit(etcd: &Etcd, role: &str, access: &[Access]) -> Result<(), String> {
    etcd.add_role(role).await?;
    let permitted = etcd.permissions(role).await?;
    for Access { keys, writes } in access {
        if !permitted.contains(&(keys.clone(), *writes)) {
            etcd.permit(role, keys, *writes).await?;
        }
    }
    Ok(())
}

/// Sets up a new etcd: only users may do something from then on.
pub(in crate::world) async fn begin(etcd: &Etcd, host: &str, user: &str) -> Result<(), TrustError> {
    let all = async {
        for role in [ROOT, SERVER] {
            etcd.add_role(role).await?;
        }
        etcd.add_user(ROOT).await?;
        etcd.give_role(ROOT, ROOT).await?;
        permit(etcd, DEPLOY, &of_deploying()).await?;
        add(etcd, host, user, Allowed { serves: true, deploys: true }).await?;
        etcd.enable_users().await
    };
    all.await.map_err(TrustError::Users)
}

/// Adds the user of a host, with what it may do.
pub(super) async fn admit(etcd: &Etcd, host: &str, user: &str, allowed: Allowed) -> Result<(), TrustError> {
    add(etcd, host, user, allowed).await.map_err(TrustError::Users)
}

async fn add(etcd: &Etcd, host: &str, user: &str, allowed: Allowed) -> Result<(), String> {
    permit(etcd, user, &of_each(host)).await?;
    etcd.add_user(user).await?;
    etcd.give_role(user, user).await?;
    if allowed.serves {
        let root = root_of(user);
        etcd.add_user(&root).await?;
        etcd.give_role(&root, ROOT).await?;
        etcd.give_role(user, SERVER).await?;
    }
    // A host that serves can let itself do this, and moves deploys in waves on.
    if allowed.deploys || allowed.serves {
        etcd.give_role(user, DEPLOY).await?;
    }
    Ok(())
}

/// Why this user can't have the name of its host, if another host has it.
pub(super) async fn conflict(etcd: &Etcd, host: &str, user: &str) -> Result<Option<String>, TrustError> {
    let users = etcd.users().await.map_err(TrustError::Users)?;
    let other = users.iter().find(|other| other.starts_with(&of_host(host)) && *other != user);
    Ok(other.map(|_| {
        format!(
            "a host with the name {host} has joined already: give this one another name, or `mgmt cluster forget {host}` \
             first, where the authority is"
        )
    }))
}

/// What this user may do; `None`: it is none, for example since it was forgotten.
pub(super) async fn allowed(etcd: &Etcd, user: &str) -> Result<Option<Allowed>, TrustError> {
    let roles = etcd.roles_of(user).await.map_err(TrustError::Users)?;
    let has = |roles: &[String], role: &str| roles.iter().any(|other| other == role);
    Ok(roles.map(|roles| Allowed { serves: has(&roles, SERVER), deploys: has(&roles, DEPLOY) }))
}

/// The users that may run a server.
pub(super) async fn serving(etcd: &Etcd) -> Result<BTreeSet<String>, TrustError> {
    let users = etcd.users().await.map_err(TrustError::Users)?;
    Ok(users.iter().filter_map(|user| user.strip_prefix(&root_of(""))).map(str::to_owned).collect())
}

/// Lets a host deploy, or no longer.
pub(super) async fn set_deploys(etcd: &Etcd, host: &str, deploys: bool) -> Result<(), TrustError> {
    let users = users_of(etcd, host).await?;
    for user in &users {
        let done = match deploys {
            true => etcd.give_role(user, DEPLOY).await,
            false => etcd.take_role(user, DEPLOY).await,
        };
        done.map_err(TrustError::Users)?;
    }
    if users.is_empty() { Err(TrustError::NoHost(host.to_owned())) } else { Ok(()) }
}

async fn users_of(etcd: &Etcd, host: &str) -> Result<Vec<String>, TrustError> {
    let mut users = etcd.users().await.map_err(TrustError::Users)?;
    users.retain(|user| user.starts_with(&of_host(host)));
    Ok(users)
}

/// The hosts that have joined, in the order of their names.
pub(super) async fn hosts(etcd: &Etcd) -> Result<Vec<(String, Allowed)>, TrustError> {
    let mut hosts = Vec::new();
    for user in etcd.users().await.map_err(TrustError::Users)? {
        if user.starts_with(&root_of("")) {
            continue;
        }
        if let (Some(host), Some(allowed)) = (host_of_user(&user), allowed(etcd, &user).await?) {
            hosts.push((host, allowed));
        }
    }
    hosts.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(hosts)
}

/// Removes a host: its certificates count no more, and nothing of it is left. If this is cut short, it can be done
/// again.
pub(super) async fn forget(etcd: &Etcd, host: &str) -> Result<(), TrustError> {
    let users = users_of(etcd, host).await?;
    let asked = etcd.member("").get(vec![all_grants()]).await.map_err(|error| TrustError::Users(error.to_string()))?;
    let asked: Vec<_> = asked.entries.keys().filter_map(|key| grant_of(key)).filter(|(by, _)| by == host).collect();
    if users.is_empty() && asked.is_empty() {
        return Err(TrustError::NoHost(host.to_owned()));
    }
    let all = async {
        // From here on it can write nothing more.
        for user in &users {
            etcd.remove_user(&root_of(user)).await?;
            etcd.remove_user(user).await?;
            etcd.remove_role(user).await?;
        }
        // What it has asked for goes last: it names the other keys.
        let own = asked.iter().flat_map(|(_, grant)| grant.own_keys(host));
        for keys in own.collect::<Vec<Keys>>().iter().chain(&keys_of(host)) {
            etcd.remove_keys(keys).await?;
        }
        Ok(())
    };
    all.await.map_err(TrustError::Users)
}
