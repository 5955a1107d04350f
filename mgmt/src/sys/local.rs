//! Sockets in directories of this host, for programs of the same user: the socket's file, and the user at the other
//! end.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fchmod, openat, statat, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use tokio::net::{UnixListener, UnixStream};

use super::users::us;

/// The longest path of a socket, in bytes: the kernel's structure has 108, of which one is the end.
const PATH_BYTES_MAX: usize = 107;
/// How many clients the kernel keeps waiting until they are accepted.
const BACKLOG: i32 = 32;
/// The socket's owner may connect, and root.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A socket that listens in a directory. When this is dropped, the socket's file is removed.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    dir: OwnedFd,
    name: String,
    /// The device and inode number of the socket's file.
    identity: (u64, u64),
}

impl Listener {
    /// Makes the socket `name` in the directory `dir`, with mode 0600. A socket that is there already is replaced: the
    /// caller must know that no process listens to it.
    ///
    /// # Errors
    /// The directory can't be written, or something other than a socket has the name.
    pub fn bind(dir: &Path, name: &str) -> io::Result<Listener> {
        let opened = open_dir(dir)?;
        match statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Socket => {
                unlinkat(&opened, name, AtFlags::empty())?;
            }
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is no socket")),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // The file that `bind` makes gets the mode of the socket, less what the umask takes away.
        fchmod(&socket, MODE)?;
        bind(&socket, &SocketAddrUnix::new(address(dir, &opened, name))?)?;
        listen(&socket, BACKLOG)?;
        let socket = UnixListener::from_std(socket.into())?;
        let identity = identity(&opened, name)?;
        Ok(Listener { socket, dir: opened, name: name.to_owned(), identity })
    }

    /// Whether the socket is still reached by this directory and its name.
    pub fn is_in_place(&self, dir: &Path) -> bool {
        open_dir(dir).and_then(|dir| identity(&dir, &self.name)).is_ok_and(|found| found == self.identity)
    }

    /// The next client. Safe to cancel.
    ///
    /// # Errors
    /// The system has no descriptor left, or the client has gone.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.socket.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if identity(&self.dir, &self.name).is_ok_and(|found| found == self.identity) {
            // What can't be removed is replaced by the next engine.
            let _ = unlinkat(&self.dir, &self.name, AtFlags::empty());
        }
    }
}

/// Connects to the socket `name` in the directory `dir`.
///
/// # Errors
/// There is no such socket (`NotFound`), no process listens to it (`ConnectionRefused`), or this user may not.
pub async fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let opened = open_dir(dir)?;
    UnixStream::connect(address(dir, &opened, name)).await
}

/// Whether the process at the other end belongs to the user of this process or to root. Otherwise the number of its
/// user.
///
/// # Errors
/// The system does not report the user.
pub fn stranger(stream: &UnixStream) -> io::Result<Option<u32>> {
    let uid = stream.peer_cred()?.uid();
    Ok((uid != us() && uid != 0).then_some(uid))
}

fn open_dir(dir: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The path of the socket; if that is too long for the kernel, a short path that leads through the open directory.
fn address(dir: &Path, opened: &OwnedFd, name: &str) -> PathBuf {
    let path = dir.join(name);
    if path.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
        return path;
    }
    PathBuf::from(format!("/proc/self/fd/{}/{name}", opened.as_raw_fd()))
}

fn identity(dir: &OwnedFd, name: &str) -> io::Result<(u64, u64)> {
    let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn talks(dir: &Path, listener: &Listener) {
        let (client, served) = tokio::join!(connect(dir, "s"), listener.accept());
        let (mut client, mut served) = (client.unwrap(), served.unwrap());
        assert_eq!(stranger(&served).unwrap(), None);
        client.write_all(b"x").await.unwrap();
        assert_eq!(served.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn a_socket_is_for_its_owner_alone_and_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        assert_eq!(connect(dir.path(), "s").await.unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = Listener::bind(dir.path(), "s").unwrap();
        let meta = fs::symlink_metadata(&path).unwrap();
        assert!(meta.file_type().is_socket());
        assert_eq!(meta.permissions().mode() & 0o7777, 0o600);
        talks(dir.path(), &listener).await;
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_anything_else_is_not() {
        let dir = tempfile::tempdir().unwrap();
        // As a killed process leaves it.
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap());
        assert_eq!(connect(dir.path(), "s").await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let first = Listener::bind(dir.path(), "s").unwrap();
        talks(dir.path(), &first).await;
        let second = Listener::bind(dir.path(), "s").unwrap();
        assert!(!first.is_in_place(dir.path()) && second.is_in_place(dir.path()));
        drop(first);
        talks(dir.path(), &second).await;
        fs::write(dir.path().join("file"), "kept").unwrap();
        assert!(Listener::bind(dir.path(), "file").is_err());
        assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"kept");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_for_the_kernel_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(200)).join("e".repeat(200));
        fs::create_dir_all(&deep).unwrap();
        let listener = Listener::bind(&deep, "s").unwrap();
        assert!(deep.join("s").exists());
        talks(&deep, &listener).await;
    }
}
