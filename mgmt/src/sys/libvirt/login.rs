//! The login at a hypervisor that asks for one.

use std::cell::RefCell;
use std::fmt;

use virt::connect::{Connect, ConnectAuth, ConnectCredential};
use virt::error::Error;
use virt::sys;
use zeroize::Zeroize as _;

/// A name and a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Login {
    username: String,
    password: String,
}

impl Login {
    /// A login with these.
    pub fn new(username: &str, password: &str) -> Login {
        Login { username: username.to_owned(), password: password.to_owned() }
    }

    /// The name and the password, for a record that this user alone can read.
    pub fn parts(&self) -> (&str, &str) {
        (&self.username, &self.password)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

thread_local! {
    /// The login of the connection that this thread opens. libvirt asks on the thread that has called it, by a function
    /// without data of its own.
    static ASKED: RefCell<Option<Login>> = const { RefCell::new(None) };
}

/// Ends the answers, however opening ends.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        ASKED.set(None);
    }
}

fn answer(asked: &mut Vec<ConnectCredential>) {
    ASKED.with_borrow(|login| {
        let Some(login) = login else { return };
        for one in asked {
            one.result = match one.typed as sys::virConnectCredentialType {
                sys::VIR_CRED_USERNAME | sys::VIR_CRED_AUTHNAME => Some(login.username.clone()),
                sys::VIR_CRED_PASSPHRASE | sys::VIR_CRED_NOECHOPROMPT => Some(login.password.clone()),
                _ => None,
            };
        }
    });
}

/// Opens a connection, with a login if there is one.
pub(super) fn open(uri: &str, login: Option<&Login>) -> Result<Connect, Error> {
    let Some(login) = login else { return Connect::open(Some(uri)) };
    ASKED.set(Some(login.clone()));
    let _forget = Forget;
    let answered =
        vec![sys::VIR_CRED_USERNAME, sys::VIR_CRED_AUTHNAME, sys::VIR_CRED_PASSPHRASE, sys::VIR_CRED_NOECHOPROMPT];
    Connect::open_auth(Some(uri), &mut ConnectAuth::new(answered, answer), 0)
}
