//! Keeps the server of this host running.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::sys::rng;
use crate::world::managed::child::Child;
use crate::world::managed::error::ManagedError;
use crate::world::managed::kept::Initial;
use crate::world::managed::program;
use crate::world::managed::runner::{Runner, initial};
use crate::world::managed::url::{Addresses, sockets};
use crate::world::trust::begin;

/// The longest pause before a server that ended is started again.
const START_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A server that runs for this long has started well. One that does not for this long is no member for others.
const WELL: Duration = Duration::from_secs(60);
/// How long an etcd of an earlier run may take to end.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);
/// Letters of the name of a new cluster.
const TOKEN_LETTERS: usize = 24;

impl Runner {
    /// Starts the server that this host has had before, or the first one of a cluster.
    pub(super) async fn begin(&mut self, is_first: bool) -> Result<(), ManagedError> {
        let Some(own) = self.own().cloned() else { return Ok(()) };
        // What etcd has written before it was killed may be too little for it to ever answer. As long as no host was
        // let in, there is nothing to keep; without an authority, others may have come as soon as it answered.
        // One that still runs could begin to answer.
        self.end_orphan().await?;
        let is_unused = self.server.is_some() && self.dir.is_beginning();
        let begins_again = is_unused || self.dir.has_begun_in_vain();
        if begins_again {
            self.dir.put_data_aside()?;
        }
        if is_first || begins_again {
            let cluster = initial(&self.name(), &own.advertise_server);
            let initial = Some(Initial { cluster, is_new: true });
            self.dir.keep(|kept| {
                (kept.initial, kept.member, kept.cluster, kept.has_users) = (initial, None, None, false);
            })?;
        }
        let is_new = self.dir.kept().initial.as_ref().is_some_and(|initial| initial.is_new);
        if self.server.is_some() && is_new && !self.dir.has_data() && !is_first && !begins_again {
            // Its data is lost, and other servers have it: one that begins without them would have no users, and let
            // all hosts do all.
            self.dir.put_data_aside()?;
        }
        if self.dir.kept().initial.is_none() {
            return Ok(());
        }
        self.start_child().await?;
        let others = self.dir.kept().servers.iter().any(|server| !own.advertise_client.contains(server));
        // With others it needs some of them, which may start later.
        if others {
            return Ok(());
        }
        self.wait_until_it_answers(&own).await?;
        self.set_up_users(&own).await
    }

    /// Sets up the users of a first server, which lets no host in before.
    async fn set_up_users(&mut self, own: &Addresses) -> Result<(), ManagedError> {
        let Some(server) = self.server.clone().filter(|_| self.dir.is_beginning()) else { return Ok(()) };
        begin(&self.world, &self.settings.host, &server.user).await?;
        self.dir.keep(|kept| kept.has_users = true)?;
        if let Some(child) = self.child.take() {
            child.stop().await;
        }
        self.world.renew(server.root).await;
        self.start_child().await?;
        self.wait_until_it_answers(own).await
    }

    /// The authority, the certificate and the key, for clients and for other servers.
    fn files(&self) -> Option<[[PathBuf; 3]; 2]> {
        if let Some(server) = &self.server {
            let files = if self.dir.is_beginning() { &server.beginning } else { &server.files };
            return Some([files.clients.clone(), files.peers.clone()]);
        }
        self.settings.tls.clone().map(|files| [files.clone(), files])
    }

    /// etcd makes its sockets with the mode that its umask leaves. Their directory is for this user alone from the
    /// beginning; so are they themselves from now on.
    pub(super) fn close_sockets(&self) -> Result<(), ManagedError> {
        if !self.settings.is_local {
            return Ok(());
        }
        self.each_socket(&sockets(self.dir.path()), |path| {
            match fs::symlink_metadata(path)?.permissions().mode() & 0o777 {
                0o600 => Ok(()),
                _ => fs::set_permissions(path, Permissions::from_mode(0o600)),
            }
        })
    }

    fn each_socket(&self, dir: &Path, work: impl Fn(&Path) -> io::Result<()>) -> Result<(), ManagedError> {
        let all = || -> io::Result<()> {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                if entry.file_type()?.is_socket() {
                    work(&entry.path())?;
                }
            }
            Ok(())
        };
        all().map_err(|error| ManagedError::File { path: dir.to_owned(), why: error.to_string() })
    }

    async fn wait_until_it_answers(&mut self, own: &Addresses) -> Result<(), ManagedError> {
        let (began, after) = (Instant::now(), self.settings.start_max);
        while let Some(child) = &self.child {
            let last = child.last();
            if let Some(how) = child.ended() {
                return Err(ManagedError::Ended { how, last });
            }
            if began.elapsed() > after {
                return Err(ManagedError::Silent { after, last });
            }
            if let Some(health) = self.world.health(&own.advertise_client).await {
                self.close_sockets()?;
                return self.dir.keep(|kept| kept.member = Some(health.id));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Ends the etcd of a run that was killed.
    async fn end_orphan(&self) -> Result<(), ManagedError> {
        if let Some(process) = self.dir.kept().process.clone().filter(|process| process.runs()) {
            tracing::info!(target: "mgmt", "ending an etcd that an earlier run has left");
            if !process.end(ORPHAN_GRACE).await {
                return Err(ManagedError::Undead(self.dir.path().to_owned()));
            }
        }
        Ok(())
    }

    pub(super) async fn start_child(&mut self) -> Result<(), ManagedError> {
        self.end_orphan().await?;
        let (Some(own), Some(initial)) = (self.own().cloned(), self.dir.kept().initial.clone()) else { return Ok(()) };
        let token = rng::letters(TOKEN_LETTERS, "abcdefghijklmnopqrstuvwxyz")
            .map_err(|error| ManagedError::File { path: self.dir.path().to_owned(), why: error.to_string() })?;
        let (data, is_local) = (self.dir.data(), own.is_local());
        let advertised = if is_local { &own.client } else { &own.advertise_client };
        let program = match self.settings.program.components().count() {
            // Looked up in PATH.
            1 => self.settings.program.clone(),
            _ => std::path::absolute(&self.settings.program).unwrap_or_else(|_| self.settings.program.clone()),
        };
        let mut command = program::command(&program)
            .args(["--name", &self.name(), "--initial-cluster-token", &token])
            .args(["--logger", "zap", "--log-outputs", "stdout", "--pre-vote"])
            // Nothing here uses it, and it would connect with the certificate of a server, which is refused.
            .arg("--enable-grpc-gateway=false")
            .args(["--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1h"])
            .args(["--listen-client-urls", &own.client.join(","), "--listen-peer-urls", &own.server.join(",")])
            .args(["--advertise-client-urls", &advertised.join(",")])
            .args(["--initial-advertise-peer-urls", &own.advertise_server.join(",")])
            .args(["--initial-cluster", &initial.cluster])
            .args(["--initial-cluster-state", if initial.is_new { "new" } else { "existing" }])
            .arg("--data-dir")
            .arg(&data);
        if is_local {
            let dir = sockets(self.dir.path());
            // One that was killed leaves them, and no etcd runs on this directory now.
            self.each_socket(&dir, |path| fs::remove_file(path))?;
            command = command.cwd(dir);
        }
        if let Some(bytes) = self.settings.space {
            command = command.arg(format!("--quota-backend-bytes={bytes}"));
        }
        if let Some(files) = self.files() {
            for (prefix, [authority, certificate, key]) in ["", "peer-"].into_iter().zip(&files) {
                command = command.arg(format!("--{prefix}client-cert-auth"));
                for (option, file) in [("trusted-ca-file", authority), ("cert-file", certificate), ("key-file", key)] {
                    command = command.arg(format!("--{prefix}{option}")).arg(file);
                }
            }
        }
        let child = Child::start(command, self.dir.path()).await?;
        let process = child.process.clone();
        self.child = Some(child);
        self.dir.keep(|kept| kept.process = process)
    }

    /// Starts the server again if it has ended.
    pub(super) async fn keep_running(&mut self) -> Result<(), ManagedError> {
        if let Some(child) = &self.child {
            if child.began.elapsed() > WELL {
                (self.failing_since, self.again.1) = (None, Duration::from_secs(1));
            }
            let Some(how) = child.ended() else { return Ok(()) };
            let last = child.last();
            self.child = None;
            self.failing_since.get_or_insert_with(Instant::now);
            self.again = (Instant::now() + self.again.1, (self.again.1 * 2).min(START_PAUSE_MAX));
            if last.iter().any(|line| line.contains("removed from the cluster")) {
                tracing::info!(target: "mgmt", "this host was removed from the servers of etcd");
                return self.dir.put_data_aside();
            }
            return Err(ManagedError::Ended { how, last });
        }
        match self.dir.kept().initial.is_some() && Instant::now() >= self.again.0 {
            true => self.start_child().await,
            false => Ok(()),
        }
    }

    /// The server has not run well for so long that others must not count on it: its data may be of no use.
    pub(super) fn fails(&self) -> bool {
        self.child.is_none() && self.failing_since.is_some_and(|since| since.elapsed() > WELL)
    }
}
