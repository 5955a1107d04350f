//! The commands `cluster init`, `token`, `hosts`, `allow`, `forbid` and `forget`: the hosts of a cluster.

#[cfg(feature = "etcd")]
use std::path::Path;

use crate::cli::cluster::ClusterCommand;
#[cfg(feature = "etcd")]
use crate::cli::cluster::TokenOptions;
use crate::cli::report::CommandError;
use crate::cli::session::Session;
#[cfg(feature = "etcd")]
use crate::id::{in_json, in_one_line};
#[cfg(feature = "etcd")]
use crate::world::{Authority, Invitation, JoinedHost, Membership, TrustError};

#[cfg(feature = "etcd")]
impl From<TrustError> for CommandError {
    fn from(error: TrustError) -> CommandError {
        CommandError::Other(error.to_string())
    }
}

/// Executes the command. Returns what to print.
#[cfg(feature = "etcd")]
pub(crate) async fn change(session: &Session, what: &ClusterCommand) -> Result<String, CommandError> {
    let makes = matches!(what, ClusterCommand::Init { .. });
    let prefix = session.prefix(!makes)?;
    let prefix = prefix.path();
    match what {
        ClusterCommand::Init { certificate_life } => {
            let mut new = Authority::builder();
            if let Some(life) = certificate_life {
                new = new.certificate_life(*life);
            }
            let authority = new.create(prefix)?;
            Ok(format!(
                "the authority of a new cluster is below {}: every user that can read it can let hosts in\n\
                 fingerprint {}\n\
                 next: `mgmt run` on this prefix, and `mgmt cluster token` for each further host\n",
                prefix.display(),
                authority.fingerprint()
            ))
        }
        ClusterCommand::Token(options) => {
            Ok(token(prefix, options, session.options.world.servers.join_url.as_deref())?)
        }
        ClusterCommand::Hosts { json } => {
            let hosts = Membership::open(prefix)?.hosts().await?;
            Ok(if *json { as_json(&hosts)? } else { lines(&hosts) })
        }
        ClusterCommand::Allow { host, .. } => {
            Membership::open(prefix)?.set_deploys(host, true).await?;
            Ok(format!("{} may deploy\n", in_one_line(host)))
        }
        ClusterCommand::Forbid { host, .. } => {
            Membership::open(prefix)?.set_deploys(host, false).await?;
            Ok(format!("{} may not deploy\n", in_one_line(host)))
        }
        ClusterCommand::Forget { host } => {
            Membership::open(prefix)?.forget(host).await?;
            Ok(format!("{} is forgotten: its certificates are refused\n", in_one_line(host)))
        }
        ClusterCommand::Status { .. } => Ok(String::new()),
    }
}

#[cfg(feature = "etcd")]
fn token(prefix: &Path, options: &TokenOptions, join_url: Option<&str>) -> Result<String, TrustError> {
    let authority = Authority::open(prefix)?.ok_or_else(|| TrustError::NoAuthority(prefix.to_owned()))?;
    let mut invitation = Invitation::default().server(options.server).deploy(options.may_deploy);
    if let Some(ttl) = options.ttl {
        invitation = invitation.ttl(ttl);
    }
    if let Some(url) = join_url {
        invitation = invitation.url(url);
    }
    if let Some(purpose) = &options.purpose {
        invitation = invitation.label(purpose);
    }
    Ok(format!("{}\n", invitation.token(&authority)?))
}

#[cfg(feature = "etcd")]
fn as_json(hosts: &[JoinedHost]) -> Result<String, CommandError> {
    let data = serde_json::to_string_pretty(hosts).map_err(std::io::Error::from)?;
    Ok(format!("{}\n", in_json(&data)))
}

#[cfg(feature = "etcd")]
fn lines(hosts: &[JoinedHost]) -> String {
    let line = |host: &JoinedHost| {
        let may = match (host.serves, host.deploys) {
            (true, _) => "  may serve and deploy",
            (false, true) => "  may deploy",
            (false, false) => "",
        };
        format!("{}{may}\n", in_one_line(&host.name))
    };
    hosts.iter().map(line).collect()
}

/// A program without etcd has no clusters.
#[cfg(not(feature = "etcd"))]
pub(crate) async fn change(_: &Session, _: &ClusterCommand) -> Result<String, CommandError> {
    Err(CommandError::Other(
        "a cluster needs the Cargo feature `etcd`, which this program was built without: build it with it".to_owned(),
    ))
}
