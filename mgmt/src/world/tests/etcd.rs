//! A world in a real etcd keeps the contract. Needs the program `etcd`: from PATH, or at `MGMT_ETCD`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::resource::{Member, World};
use crate::world::Etcd;
use crate::world::tests::contract::{Ground, contract};

/// An etcd of its own, which each host reaches through a proxy of its own.
#[derive(Debug)]
struct Server {
    process: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
    hosts: Mutex<HashMap<String, Host>>,
}

#[derive(Debug)]
struct Host {
    address: SocketAddr,
    world: Etcd,
    /// `None`: it is cut off.
    proxy: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug)]
struct Proxied(Arc<Server>);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for host in self.hosts.get_mut().unwrap().values_mut() {
            host.proxy.take().inspect(JoinHandle::abort);
        }
    }
}

/// An address of this host that nothing listens at.
fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Ground for Proxied {
    fn begin() -> Proxied {
        let (dir, address, peers) = (tempfile::tempdir().unwrap(), free(), free());
        let program = std::env::var_os("MGMT_ETCD").unwrap_or_else(|| "etcd".into());
        let (url, peers) = (format!("http://{address}"), format!("http://{peers}"));
        let process = Command::new(program)
            .args(["--name", "one", "--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error"])
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("one={peers}"), "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        let began = std::time::Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "etcd does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Proxied(Arc::new(Server { process, address, _dir: dir, hosts: Mutex::default() }))
    }

    fn world(&self) -> Arc<dyn World> {
        Arc::new(self.clone())
    }

    fn cut(&self, host: &str) {
        // The connections end with the task.
        self.0.hosts.lock().unwrap().get_mut(host).unwrap().proxy.take().inspect(JoinHandle::abort);
    }

    fn mend(&self, host: &str) {
        let mut hosts = self.0.hosts.lock().unwrap();
        let host = hosts.get_mut(host).unwrap();
        host.proxy = Some(tokio::spawn(proxy(listen(host.address), self.0.address)));
    }

    async fn compact(&self) {
        let mut client = etcd_client::Client::connect([format!("http://{}", self.0.address)], None).await.unwrap();
        let present = client.get("any", None).await.unwrap().header().unwrap().revision();
        client.compact(present, None).await.unwrap();
    }
}

impl World for Proxied {
    fn member(&self, host: &str) -> Arc<dyn Member> {
        let mut hosts = self.0.hosts.lock().unwrap();
        let known = hosts.entry(host.to_owned()).or_insert_with(|| {
            let listener = listen(free());
            let address = listener.local_addr().unwrap();
            let proxy = Some(tokio::spawn(proxy(listener, self.0.address)));
            Host { address, world: Etcd::new([format!("http://{address}")]), proxy }
        });
        known.world.member(host)
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(64).unwrap()
}

async fn proxy(listener: TcpListener, to: SocketAddr) {
    // Aborted with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((mut here, _)) = listener.accept().await else { return };
        connections.spawn(async move {
            let Ok(mut there) = TcpStream::connect(to).await else { return };
            // An error means that one of both has ended.
            let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
        });
    }
}

contract!(Proxied, #[tokio::test] #[ignore = "needs the program etcd"]);

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_transaction_in_several_ranges_is_one_event_also_in_a_storm() {
    use crate::resource::{Keys, Transaction, WorldEvent, Write};
    use crate::world::tests::contract::next;
    let ground = Proxied::begin();
    let (writer, reader) = (ground.world().member("web1"), ground.world().member("web2"));
    let ranges: Vec<Keys> = (0..8).map(|n| Keys::Below(format!("{n}/"))).collect();
    let from = reader.get(Vec::new()).await.unwrap().revision;
    let mut watch = reader.watch(ranges, from);
    let writing = tokio::spawn(async move {
        for n in 0..300u32 {
            let value: Arc<[u8]> = n.to_string().into_bytes().into();
            let writes = (0..8).map(|range| (format!("{range}/k"), Write::Put(Arc::clone(&value), None))).collect();
            writer.commit(Transaction { conditions: Vec::new(), writes }).await.unwrap().unwrap();
        }
    });
    for n in 0..300u32 {
        let WorldEvent::Changed(changes) = next(&mut watch).await else { panic!("lost") };
        let values: Vec<_> = changes.entries.iter().map(|(_, entry)| entry.clone().unwrap().value).collect();
        assert_eq!(values, vec![Arc::<[u8]>::from(n.to_string().into_bytes()); 8], "{n}");
    }
    writing.await.unwrap();
}

/// Several transactions may be one event, none is ever half of one.
#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_host_that_may_not_read_between_its_ranges_sees_whole_transactions_and_removals() {
    use crate::resource::{Keys, Snapshot, Transaction, WorldEvent, Write};
    use crate::world::tests::contract::next;
    let ground = Proxied::begin();
    let limited = Etcd::new([format!("http://{}", ground.0.address)]).limited();
    let (writer, reader) = (ground.world().member("web1"), limited.member("web2"));
    let write = |n: u32| {
        let value: Arc<[u8]> = n.to_string().into_bytes().into();
        let put = |range: u32| (format!("{range}/k"), Write::Put(Arc::clone(&value), None));
        // What is between the ranges, and a key that comes and goes.
        let come = if n.is_multiple_of(2) { Write::Put(Arc::clone(&value), None) } else { Write::Remove };
        let mut writes: std::collections::BTreeMap<_, _> = (0..8).map(put).collect();
        writes.insert("3/gone".to_owned(), come);
        Transaction { conditions: Vec::new(), writes }
    };
    writer.commit(write(0)).await.unwrap().unwrap();
    let ranges: Vec<Keys> = [0, 3, 7].map(|n| Keys::Below(format!("{n}/"))).into();
    let mut known: Snapshot = reader.get(ranges.clone()).await.unwrap();
    let mut watch = reader.watch(ranges.clone(), known.revision);
    let writing = tokio::spawn(async move {
        for n in 1..=301 {
            writer.commit(write(n)).await.unwrap().unwrap();
        }
    });
    let mut last = 0;
    while last < 301 {
        let WorldEvent::Changed(changes) = next(&mut watch).await else { panic!("lost") };
        assert!(changes.revision > known.revision);
        known.apply(changes);
        let of = |key: &str| String::from_utf8_lossy(&known.entries[key].value).parse::<u32>().unwrap();
        let n = of("0/k");
        assert!(n > last && of("3/k") == n && of("7/k") == n, "{known:?}");
        assert_eq!(known.entries.contains_key("3/gone"), n % 2 == 0, "{n}");
        assert_eq!(known.entries.keys().filter(|key| key.starts_with(['1', '2', '4', '5', '6'])).count(), 0);
        last = n;
    }
    writing.await.unwrap();
    assert_eq!(known.entries, reader.get(ranges.clone()).await.unwrap().entries);
    // What happened before the watch began, and is forgotten, is lost and not skipped.
    let from = known.revision;
    ground.world().member("web1").commit(write_one("0/k")).await.unwrap().unwrap();
    ground.compact().await;
    assert!(matches!(next(&mut reader.watch(ranges, from)).await, WorldEvent::Lost(_)));
}

fn write_one(key: &str) -> crate::resource::Transaction {
    let write = crate::resource::Write::Put(Arc::from(&b"x"[..]), None);
    crate::resource::Transaction { conditions: Vec::new(), writes: [(key.to_owned(), write)].into() }
}
