//! The commands `cluster init`, `token`, `hosts`, `allow`, `forbid`, `forget` and `size`: the hosts of a cluster.

#[cfg(feature = "etcd")]
use std::path::Path;

use crate::cli::cluster::ClusterCommand;
#[cfg(feature = "etcd")]
use crate::cli::cluster::TokenOptions;
use crate::cli::report::CommandError;
use crate::cli::session::Session;
#[cfg(feature = "etcd")]
use crate::gapi::DeployError;
#[cfg(feature = "etcd")]
use crate::id::{in_json, in_one_line};
#[cfg(feature = "etcd")]
use crate::resource::{Member, World as _};
#[cfg(feature = "etcd")]
use crate::world::{Authority, Invitation, JoinedHost, Membership, ServerCount, TrustError};

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
        ClusterCommand::Size { servers, json } => {
            // Only a host that may serve can change it, if users are set up.
            let member = match Membership::open(prefix) {
                Ok(membership) => membership.world().member(""),
                Err(_) => session.world()?.ok_or(DeployError::NoWorld)?.member(""),
            };
            size(*servers, *json, &*member).await
        }
        ClusterCommand::Status { .. } => Ok(String::new()),
    }
}

/// Shows which hosts run a server, or sets how many should.
#[cfg(feature = "etcd")]
async fn size(wanted: Option<u16>, json: bool, member: &dyn Member) -> Result<String, CommandError> {
    let count = ServerCount::read(member).await?;
    if count.serving.is_empty() {
        let why = "no host of this world runs a server of etcd by itself (`mgmt run --server-urls`)";
        return Err(CommandError::Other(why.to_owned()));
    }
    let names = |hosts: &[String]| in_one_line(&hosts.join(", ")).into_owned();
    let Some(wanted) = wanted else {
        if json {
            let text = serde_json::to_string_pretty(&count).map_err(std::io::Error::from)?;
            return Ok(format!("{}\n", in_json(&text)));
        }
        let ready = match count.ready.is_empty() {
            true => String::new(),
            false => format!("ready: {}\n", names(&count.ready)),
        };
        return Ok(format!("servers: {} of {}: {}\n{ready}", count.serving.len(), count.ideal, names(&count.serving)));
    };
    ServerCount::set(member, wanted).await?;
    let hosts = count.serving.len() + count.ready.len();
    let more = match (hosts < usize::from(wanted), hosts) {
        (false, _) => String::new(),
        (true, 1) => ", which are more than the 1 host that can be one now".to_owned(),
        (true, hosts) => format!(", which are more than the {hosts} hosts that can be one now"),
    };
    Ok(format!("servers: {} now, and {wanted} in the end{more}\n", count.serving.len()))
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
