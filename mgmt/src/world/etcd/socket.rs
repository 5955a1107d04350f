//! An etcd on a unix socket of this host: its address, and connections to it.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use etcd_client::{Channel, Client, ConnectOptions, Error};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;

use crate::sys::local;

/// What the address of a socket begins with.
pub(in crate::world) const UNIX: &str = "unix:";

/// The directory and the name of the socket at `unix:/PATH`. `None`: it is no such address.
pub(super) fn socket(url: &str) -> Option<(&Path, &str)> {
    let path = url.strip_prefix(UNIX).filter(|path| path.starts_with('/') && !path.starts_with("//"))?;
    let (dir, name) = path.rsplit_once('/')?;
    let is_name = !matches!(name, "" | "." | "..");
    is_name.then_some((Path::new(if dir.is_empty() { "/" } else { dir }), name))
}

/// Opens the socket for each connection that the client makes.
struct Connector {
    dir: PathBuf,
    name: String,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<UnixStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (dir, name) = (self.dir.clone(), self.name.clone());
        Box::pin(async move { local::connect(&dir, &name).await.map(TokioIo::new) })
    }
}

/// A client of the etcd at this socket. It connects when it is first used. `endpoint`: times of the connection.
pub(super) async fn reach(
    (dir, name): (&Path, &str),
    endpoint: Endpoint,
    options: ConnectOptions,
) -> Result<Client, Error> {
    let connector = Connector { dir: dir.to_owned(), name: name.to_owned() };
    Client::from_channel(Channel::Tonic(endpoint.connect_with_connector_lazy(connector)), Some(options)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_socket_has_a_whole_path() {
        assert_eq!(socket("unix:/run/etcd/client:0"), Some((Path::new("/run/etcd"), "client:0")));
        assert_eq!(socket("unix:/s"), Some((Path::new("/"), "s")));
        // The second is a name in the working directory of etcd.
        for wrong in ["unix:s", "unix://client:0", "unix:", "unix:/", "unix:/a/..", "/run/s", "https://a:1"] {
            assert_eq!(socket(wrong), None, "{wrong}");
        }
    }
}
