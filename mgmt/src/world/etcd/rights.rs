//! The users and roles of an etcd, and the removal of many keys.

use std::future::Future;
use std::time::Duration;

use etcd_client::{Client, DeleteOptions, Error, Permission, PermissionType, UserAddOptions};

use crate::resource::Keys;
use crate::world::etcd::member::{is_outdated, words};
use crate::world::etcd::world::Etcd;

/// How long a request may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How often a request is sent again that was overtaken by another change of users or roles.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);

/// Whether the error has this text of etcd, which has no codes for them.
fn is(error: &Error, text: &str) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message().contains(text))
}

const EXISTS: &str = "already exists";
const USER_ABSENT: &str = "user name not found";
const ROLE_ABSENT: &str = "role name not found";
const NOT_GRANTED: &str = "is not granted";

impl Etcd {
    async fn ask<T, F>(&self, question: impl Fn(Client) -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tries = 0;
        loop {
            let (client, number) = self.client().await?;
            let answer = tokio::time::timeout(ANSWER_MAX, question(client)).await;
            match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if is_outdated(&error) && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(Err(error @ Error::GRpcStatus(_))) => return Err(words(&error)),
                Ok(Err(error)) => {
                    self.lose(number).await;
                    return Err(words(&error));
                }
                Err(_) => {
                    self.lose(number).await;
                    return Err(format!("no answer within {ANSWER_MAX:?}"));
                }
            }
        }
    }

    /// Adds a user that is known by a certificate, and has no password. Nothing happens if there is one.
    pub(in crate::world) async fn add_user(&self, name: &str) -> Result<(), String> {
        self.ask(|client| async move {
            let options = UserAddOptions::new().with_no_pwd();
            match client.auth_client().user_add(name, "", Some(options)).await {
                Err(error) if is(&error, EXISTS) => Ok(()),
                other => other.map(drop),
            }
        })
        .await
    }

    /// Removes a user, if there is one.
    pub(in crate::world) async fn remove_user(&self, name: &str) -> Result<(), String> {
        self.ask(|client| async move {
            match client.auth_client().user_delete(name).await {
                Err(error) if is(&error, USER_ABSENT) => Ok(()),
                other => other.map(drop),
            }
        })
        .await
    }

    /// The names of all users.
    pub(in crate::world) async fn users(&self) -> Result<Vec<String>, String> {
        self.ask(|client| async move { Ok(client.auth_client().user_list().await?.users().to_vec()) }).await
    }

    /// The roles of a user; `None`: there is no such user.
    pub(in crate::world) async fn roles_of(&self, user: &str) -> Result<Option<Vec<String>>, String> {
        self.ask(|client| async move {
            match client.auth_client().user_get(user).await {
                Ok(found) => Ok(Some(found.roles().to_vec())),
                Err(error) if is(&error, USER_ABSENT) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Gives a role to a user.
    pub(in crate::world) async fn give_role(&self, user: &str, role: &str) -> Result<(), String> {
        self.ask(|client| async move { client.auth_client().user_grant_role(user, role).await.map(drop) }).await
    }

    /// Takes a role from a user, if it has it.
    pub(in crate::world) async fn take_role(&self, user: &str, role: &str) -> Result<(), String> {
        self.ask(|client| async move {
            match client.auth_client().user_revoke_role(user, role).await {
                Err(error) if is(&error, NOT_GRANTED) => Ok(()),
                other => other.map(drop),
            }
        })
        .await
    }

    /// Adds a role. Nothing happens if there is one.
    pub(in crate::world) async fn add_role(&self, name: &str) -> Result<(), String> {
        self.ask(|client| async move {
            match client.auth_client().role_add(name).await {
                Err(error) if is(&error, EXISTS) => Ok(()),
                other => other.map(drop),
            }
        })
        .await
    }

    /// Removes a role, also from its users.
    pub(in crate::world) async fn remove_role(&self, name: &str) -> Result<(), String> {
        self.ask(|client| async move {
            match client.auth_client().role_delete(name).await {
                Err(error) if is(&error, ROLE_ABSENT) => Ok(()),
                other => other.map(drop),
            }
        })
        .await
    }

    /// What a role permits: keys, with whether it may write them.
    pub(in crate::world) async fn permissions(&self, role: &str) -> Result<Vec<(Keys, bool)>, String> {
        let found = self.ask(|client| async move { client.auth_client().role_get(role).await }).await?;
        Ok(found.permissions().iter().filter_map(permitted).collect())
    }

    /// Lets a role read these keys, and write them too if `writes`.
    pub(in crate::world) async fn permit(&self, role: &str, keys: &Keys, writes: bool) -> Result<(), String> {
        self.ask(|client| async move {
            let kind = if writes { PermissionType::Readwrite } else { PermissionType::Read };
            let permission = match keys {
                Keys::One(key) => Permission::new(kind, key.as_str()),
                Keys::Below(prefix) => Permission::new(kind, prefix.as_str()).with_prefix(),
            };
            client.auth_client().role_grant_permission(role, permission).await.map(drop)
        })
        .await
    }

    /// From now on, users can do what their roles permit, and nothing else.
    pub(in crate::world) async fn enable_users(&self) -> Result<(), String> {
        self.ask(|client| async move { client.auth_client().auth_enable().await.map(drop) }).await
    }

    /// Removes keys, also more than one transaction holds.
    pub(in crate::world) async fn remove_keys(&self, keys: &Keys) -> Result<(), String> {
        self.ask(|client| async move {
            let (key, options) = match keys {
                Keys::One(key) => (key, DeleteOptions::new()),
                Keys::Below(prefix) => (prefix, DeleteOptions::new().with_prefix()),
            };
            client.kv_client().delete(key.as_str(), Some(options)).await.map(drop)
        })
        .await
    }
}

/// `None`: it is no permission that this library gives.
fn permitted(permission: &Permission) -> Option<(Keys, bool)> {
    let key = permission.key_str().ok()?.to_owned();
    let end = permission.range_end();
    let keys = if end.is_empty() { Keys::One(key) } else { Keys::Below(key) };
    let writes = permission.get_type() == PermissionType::Readwrite as i32;
    Some((keys, writes))
}
