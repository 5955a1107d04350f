//! How servers of etcd are reached: directly, or through another program that can reach them.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use etcd_client::{Channel, Client, ConnectOptions, Error};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;

use crate::resource::BoxFuture;
use crate::sys::local;
use crate::world::etcd::address::{EtcdError, check, host_and_port};
use crate::world::etcd::socket::socket;

/// Both directions of a connection.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection to a server.
pub(crate) type Connection = Box<dyn Io>;

/// Makes connections to servers at addresses.
pub(crate) trait Way: fmt::Debug + Send + Sync {
    /// A connection to the server at this address. What is sent on it is encrypted by its user, if the address
    /// requires that.
    fn connect(&self, address: &str) -> BoxFuture<io::Result<Connection>>;
}

/// The network and the sockets of this host.
#[derive(Debug)]
pub(crate) struct Direct;

impl Way for Direct {
    fn connect(&self, address: &str) -> BoxFuture<io::Result<Connection>> {
        let address = address.to_owned();
        Box::pin(async move {
            if let Some((dir, name)) = socket(&address) {
                return Ok(Box::new(local::connect(dir, name).await?) as Connection);
            }
            let invalid = |error: EtcdError| io::Error::new(io::ErrorKind::InvalidInput, error);
            check(&address).map_err(invalid)?;
            let (host, port) = host_and_port(&address).ok_or_else(|| invalid(EtcdError::NoUrl(address.clone())))?;
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Connection)
        })
    }
}

/// Through a host that can reach the servers.
#[cfg(feature = "ssh")]
impl Way for crate::sys::ssh::Forward {
    fn connect(&self, address: &str) -> BoxFuture<io::Result<Connection>> {
        let (forward, address) = (self.clone(), address.to_owned());
        Box::pin(async move {
            let unknown = || io::Error::new(io::ErrorKind::InvalidInput, "ssh leads to https:// and http:// alone");
            let (host, port) = host_and_port(&address).ok_or_else(unknown)?;
            Ok(Box::new(forward.connect(&host, port).await?) as Connection)
        })
    }
}

/// Opens the way for each connection that the client makes.
struct Connector {
    way: Arc<dyn Way>,
    address: String,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Connection>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = self.way.connect(&self.address);
        Box::pin(async move { connecting.await.map(TokioIo::new) })
    }
}

/// A client of the etcd at this address, by this way. It connects when it is first used. `endpoint`: the server, with
/// the times of the connection.
pub(super) async fn reach(
    way: Arc<dyn Way>,
    address: &str,
    endpoint: Endpoint,
    options: ConnectOptions,
) -> Result<Client, Error> {
    let connector = Connector { way, address: address.to_owned() };
    Client::from_channel(Channel::Tonic(endpoint.connect_with_connector_lazy(connector)), Some(options)).await
}
