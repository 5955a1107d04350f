//! The address of a host, as people write it.

use crate::sys::ssh::{Endpoint, EndpointError};

/// What the address of a process on this host begins with.
const LOCAL: &str = "local:";

/// The address of a host.
#[derive(Clone, Debug)]
pub(in crate::remote) enum Address {
    Ssh(Endpoint),
    /// A process of its own on this host, with this name.
    Local(String),
}

impl Address {
    pub(in crate::remote) fn parse(text: &str) -> Result<Address, EndpointError> {
        match text.strip_prefix(LOCAL) {
            // The name must be one of a host.
            Some(name) => match name.parse::<Endpoint>().and_then(|host| host.named(name)) {
                Ok(host) => Ok(Address::Local(host.name().to_owned())),
                Err(EndpointError::Text { text, problem }) => {
                    Err(EndpointError::Text { text: format!("{LOCAL}{text}"), problem })
                }
                Err(error) => Err(error),
            },
            None => text.parse().map(Address::Ssh),
        }
    }

    /// The name that the host has here.
    pub(in crate::remote) fn name(&self) -> &str {
        match self {
            Address::Ssh(endpoint) => endpoint.name(),
            Address::Local(name) => name,
        }
    }
}
