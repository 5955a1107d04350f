//! Servers for real, over loopback, asked by a client that can say anything.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::resource::WatchEvent;
use crate::resources::http::{HttpFile, HttpFileBuilder, HttpServer, HttpServerBuilder};
use crate::testing::{Fake, Outcome, Trial};

/// What a server answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A server, and where it is.
struct Server {
    trial: Trial,
    at: String,
}

fn at(outcome: &Outcome) -> String {
    outcome.value(HttpServer::URL).expect("it says where it is").strip_prefix("http://").unwrap().to_owned()
}

fn any() -> HttpServerBuilder {
    HttpServer::new("web").address("127.0.0.1:0")
}

async fn start(host: &Fake, server: HttpServerBuilder) -> Server {
    let trial = host.put(server);
    assert_eq!(trial.validate(), []);
    let outcome = trial.settle().await.unwrap();
    Server { at: at(&outcome), trial }
}

async fn put(host: &Fake, file: HttpFileBuilder) -> Trial {
    let trial = host.put(file);
    assert_eq!(trial.validate(), []);
    assert!(!trial.settle().await.unwrap().in_sync());
    assert!(trial.check().await.unwrap().in_sync());
    trial
}

impl Server {
    async fn raw(&self, request: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(30), read).await.expect("an answer").unwrap();
        answer
    }

    async fn ask(&self, method: &str, target: &str, headers: &str) -> Answer {
        let answer =
            self.raw(&format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")).await;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: answer[end + 4..].to_vec() }
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "").await
    }

    async fn status(&self, target: &str) -> u16 {
        self.get(target).await.status
    }
}

/// A directory with something to serve, and a secret beside it.
fn site(host: &Fake) -> PathBuf {
    let root = host.path("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir_all(root.join("bare")).unwrap();
    fs::write(root.join("index.html"), "<h1>home</h1>").unwrap();
    fs::write(root.join("sub/index.html"), "<h1>sub</h1>").unwrap();
    fs::write(root.join("a b.txt"), "blank").unwrap();
    fs::write(root.join("data"), [0, 1, 2]).unwrap();
    fs::write(host.path("secret"), "canary").unwrap();
    root
}

#[tokio::test]
async fn a_directory_is_served_with_types_lengths_and_index_files() {
    let host = Fake::new().unwrap();
    let server = start(&host, any().root(site(&host))).await;
    let home = server.get("/").await;
    assert_eq!((home.status, home.text()), (200, "<h1>home</h1>"));
    assert_eq!(home.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(home.header("content-length"), Some("13"));
    assert_eq!(home.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(server.get("/a%20b.txt?query=1").await.text(), "blank");
    assert_eq!(server.get("http://other/sub/").await.text(), "<h1>sub</h1>");
    let data = server.get("/data").await;
    assert_eq!((data.header("content-type"), &data.body[..]), (Some("application/octet-stream"), &[0, 1, 2][..]));
    let moved = server.get("/sub").await;
    assert_eq!((moved.status, moved.header("location")), (301, Some("/sub/")));
    assert_eq!(server.get("//sub").await.header("location"), Some("/sub/"));
    for missing in ["/none", "/bare/", "/data/", "/data/x", "/sub/none/x", &format!("/{}", "n".repeat(300))] {
        assert_eq!(server.status(missing).await, 404, "{missing}");
    }
}

#[tokio::test]
async fn only_the_head_is_sent_when_it_is_asked_for_and_nothing_is_ever_changed() {
    let host = Fake::new().unwrap();
    let server = start(&host, any().root(site(&host))).await;
    let head = server.ask("HEAD", "/index.html", "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("13"), 0));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT"] {
        let answer = server.ask(method, "/index.html", "Content-Length: 0\r\n").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[tokio::test]
async fn a_client_with_a_good_copy_is_told_so() {
    let host = Fake::new().unwrap();
    let root = site(&host);
    let file = fs::File::open(root.join("data")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)).unwrap();
    let server = start(&host, any().root(&root)).await;
    put(&host, HttpFile::new("/text").data("x")).await;
    for target in ["/data", "/text"] {
        let tag = server.get(target).await.header("etag").unwrap().to_owned();
        for header in [&tag, "*", &format!("\"other\", W/{tag}")] {
            let again = server.ask("GET", target, &format!("If-None-Match: {header}\r\n")).await;
            assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag.as_str())));
        }
        assert_eq!(server.ask("GET", target, "If-None-Match: \"other\"\r\n").await.status, 200);
    }
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(server.get("/data").await.header("last-modified"), Some(date));
    assert_eq!(server.ask("GET", "/data", &format!("If-Modified-Since: {date}\r\n")).await.status, 304);
    let tag = server.get("/data").await.header("etag").unwrap().to_owned();
    fs::write(root.join("data"), "longer").unwrap();
    assert_eq!(server.ask("GET", "/data", &format!("If-None-Match: {tag}\r\n")).await.text(), "longer");
}

#[tokio::test]
async fn nothing_outside_of_the_directory_can_be_read() {
    let host = Fake::new().unwrap();
    let root = site(&host);
    symlink(host.path("secret"), root.join("absolute")).unwrap();
    symlink("../secret", root.join("relative")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("/", root.join("slash")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("sub", root.join("inside")).unwrap();
    let server = start(&host, any().root(&root)).await;
    let secret = host.path("secret");
    for target in [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/sub/../../secret",
        "/sub/%2E%2e/..%2Fsecret",
        "/.%2e/secret",
        "/sub/..",
        "/a%00b",
        "/%",
        "/%zz",
    ] {
        assert_eq!(server.status(target).await, 400, "{target}");
    }
    let mut targets = vec!["/absolute", "/relative", "/up/secret", "/loop", "/..\\secret", "/%252e%252e/secret"];
    let by_root = format!("/slash{}", secret.display());
    targets.push(&by_root);
    targets.push(secret.to_str().unwrap());
    for target in targets {
        let answer = server.get(target).await;
        assert_eq!(answer.status, 404, "{target}");
        assert!(!answer.text().contains("canary"));
    }
    assert_eq!(server.get("/inside/").await.text(), "<h1>sub</h1>", "a link that stays inside is followed");
    assert!(std::process::Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    assert_eq!(server.status("/pipe").await, 404, "a pipe is not waited for");
}

#[tokio::test]
async fn a_large_file_comes_in_pieces_and_is_whole() {
    let host = Fake::new().unwrap();
    let root = site(&host);
    let content: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(root.join("large"), &content).unwrap();
    let server = start(&host, any().root(&root)).await;
    let answer = server.get("/large").await;
    assert_eq!(answer.header("content-length"), Some("5000000"));
    assert!(answer.body == content);
    // Several requests on one connection.
    let two = "GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /data HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let raw = server.raw(two).await;
    assert!(raw.ends_with(&[0, 1, 2]) && raw.len() > 5_000_000);
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_breaks_the_connection() {
    let host = Fake::new().unwrap();
    let root = site(&host);
    fs::write(root.join("large"), vec![b'x'; 50_000_000]).unwrap();
    let server = start(&host, any().root(&root)).await;
    let mut stream = TcpStream::connect(&server.at).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 10]).await.unwrap();
    fs::OpenOptions::new().write(true).open(root.join("large")).unwrap().set_len(100_000).unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.expect("it ends");
    assert!(rest.len() < 50_000_000);
}

#[tokio::test]
async fn texts_files_and_trees_are_put_on_a_server_and_go_with_their_resource() {
    let host = Fake::new().unwrap();
    let server = start(&host, any().root(site(&host))).await;
    assert_eq!(server.get("/data").await.body, [0, 1, 2]);
    let text = put(&host, HttpFile::new("/data").data("text")).await;
    let answer = server.get("/%64ata").await;
    assert_eq!((answer.text(), answer.header("content-type")), ("text", Some("text/plain; charset=utf-8")));
    assert_eq!(server.status("/data/").await, 404);
    let text = text.becomes(HttpFile::new("/data").data("other"));
    let found = text.settle().await.unwrap().changes;
    assert_eq!((found[0].from.as_str(), found[0].to.as_str()), ("a text of 4 bytes", "a text of 5 bytes"));
    assert_eq!(server.get("/data").await.text(), "other");
    let text = text.becomes(HttpFile::new("/data").path("/x/y.json").data("{}"));
    text.settle().await.unwrap();
    assert_eq!(server.get("/x/y.json").await.header("content-type"), Some("application/json"));
    assert_eq!(server.get("/data").await.body, [0, 1, 2]);
    text.remove();
    assert_eq!(server.status("/x/y.json").await, 404);

    let motd = host.path("motd.md");
    let one = put(&host, HttpFile::new("/motd").server("web").source(&motd)).await;
    assert_eq!(server.status("/motd").await, 404, "it need not exist yet");
    fs::write(&motd, "hello").unwrap();
    let answer = server.get("/motd").await;
    assert_eq!((answer.text(), answer.header("content-type")), ("hello", Some("text/markdown; charset=utf-8")));
    assert!(one.check().await.unwrap().in_sync(), "what is in a file is not its business");
    put(&host, HttpFile::new("tree").path("/tree").source(host.path("root"))).await;
    assert_eq!(server.get("/tree/sub/").await.text(), "<h1>sub</h1>");
    assert_eq!(server.get("/tree").await.header("location"), Some("/tree/"));
    assert_eq!(server.status("/tree/../secret").await, 400);
}

#[tokio::test]
async fn with_several_servers_a_file_must_say_which() {
    let host = Fake::new().unwrap();
    let one = start(&host, any()).await;
    let file = put(&host, HttpFile::new("/x").data("x")).await;
    let two = start(&host, HttpServer::new("admin").address("127.0.0.1:0")).await;
    assert_eq!((one.status("/x").await, two.status("/x").await), (404, 404));
    let said = file.check().await.unwrap_err().to_string();
    assert!(said.contains("`admin`, `web`") && said.contains("`server`"), "{said}");
    file.becomes(HttpFile::new("/x").data("x").server("admin")).settle().await.unwrap();
    assert_eq!((one.status("/x").await, two.status("/x").await), (404, 200));
}

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

#[tokio::test]
async fn what_is_protected_opens_only_to_the_right_user_by_whatever_spelling() {
    let host = Fake::new().unwrap();
    let root = site(&host);
    fs::create_dir(root.join("admin")).unwrap();
    fs::write(root.join("admin/index.html"), "inside").unwrap();
    fs::write(root.join("administrator"), "public").unwrap();
    let server = start(&host, any().root(&root).basic_auth("/admin/", "admin", hash("open sesame"))).await;
    put(&host, HttpFile::new("/admin/text").data("inside")).await;
    let right = "Authorization: Basic YWRtaW46b3BlbiBzZXNhbWU=\r\n";
    let wrong = [
        "",
        "Authorization: Basic YWRtaW46d3Jvbmc=\r\n",
        "Authorization: Basic cm9vdDpvcGVuIHNlc2FtZQ==\r\n",
        "Authorization: x\r\n",
    ];
    for target in ["/admin/", "/admin", "//admin/", "/%61dmin/", "/./admin//", "/admin/text", "/admin/none"] {
        for headers in wrong {
            let answer = server.ask("GET", target, headers).await;
            assert_eq!(answer.status, 401, "{target} {headers}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Basic realm="));
            assert!(!answer.text().contains("inside"));
        }
    }
    for target in ["/admin/", "//admin/", "/%61dmin/", "/admin/text"] {
        assert_eq!(server.ask("GET", target, right).await.text(), "inside", "{target}");
    }
    assert_eq!(server.ask("GET", "/admin/none", right).await.status, 404);
    assert_eq!(server.get("/administrator").await.text(), "public");

    // Another password: what was right is not.
    let trial = server.trial.becomes(any().root(&root).basic_auth("/admin", "admin", hash("new")));
    let found = trial.settle().await.unwrap().changes;
    assert_eq!((found.len(), found[0].from.as_str()), (1, "(secret)"));
    assert_eq!(server.ask("GET", "/admin/", right).await.status, 401);
}

#[tokio::test]
async fn nothing_listens_while_what_protects_it_is_missing_or_wrong() {
    let host = Fake::new().unwrap();
    for server in [
        any().auth_path("/").auth_user("admin"),
        any().basic_auth("/", "admin", "not a hash"),
        any().basic_auth("/", "admin", ""),
    ] {
        let trial = host.put(server);
        let said = trial.settle().await.unwrap_err().to_string();
        assert!(said.contains("`auth_hash`"), "{said}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_remedy_and_is_had_as_soon_as_it_is_free() {
    let host = Fake::new().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap().to_string();
    let trial = host.put(HttpServer::new(&address));
    let said = trial.settle().await.unwrap_err().to_string();
    assert!(
        said.contains(&format!("{address} is taken"))
            && said.contains("ss -ltnp")
            && said.contains("another `address`"),
        "{said}"
    );
    drop(other);
    assert_eq!(at(&trial.settle().await.unwrap()), address);
    let said = host.put(HttpServer::new("203.0.113.7:8080")).settle().await.unwrap_err().to_string();
    assert!(said.contains("no such address"), "{said}");
}

#[tokio::test]
async fn it_listens_while_it_is_in_the_graph_and_no_longer() {
    let mut host = Fake::new().unwrap();
    let server = start(&host, any()).await;
    let mut open = TcpStream::connect(&server.at).await.unwrap();
    let at = server.at.clone();
    let mut watch = server.trial.listen();
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Ready);
    server.trial.remove();
    // The address is had by another resource at once, by patience.
    let next = host.put(HttpServer::new("next").address(at.as_str()));
    next.settle().await.unwrap();
    assert_eq!(open.read(&mut [0; 1]).await.unwrap_or(0), 0, "connections end with it");
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Changed, "its end is seen");
    // The engine stops.
    drop(next);
    host.restart();
    for _ in 0..1_000 {
        if TcpStream::connect(&at).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("somebody still listens at {at}");
}

#[tokio::test]
async fn other_settings_take_effect_without_a_break_and_another_address_replaces_the_old() {
    let host = Fake::new().unwrap();
    let server = start(&host, any().root(site(&host))).await;
    let mut open = TcpStream::connect(&server.at).await.unwrap();
    let sub = host.path("root").join("sub");
    let changed = server.trial.becomes(any().root(&sub));
    let outcome = changed.settle().await.unwrap();
    assert_eq!((outcome.changes[0].field.as_str(), at(&outcome)), ("root", server.at.clone()));
    open.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("<h1>sub</h1>"), "{answer}");
    // The same port, spelled in another way.
    let port = server.at.rsplit_once(':').unwrap().1;
    let respelled = changed.becomes(any().root(&sub).address(format!("127.0.0.2:{port}")));
    assert_eq!(at(&respelled.settle().await.unwrap()), format!("127.0.0.2:{port}"));
    assert!(TcpStream::connect(&server.at).await.is_err());
    let elsewhere = respelled.becomes(any().root(&sub).address("127.0.0.1:0").timeout(Duration::from_secs(5)));
    let outcome = elsewhere.settle().await.unwrap();
    assert_eq!(outcome.changes.iter().map(|change| change.field.as_str()).collect::<Vec<_>>(), ["address", "timeout"]);
    let again = elsewhere.settle().await.unwrap();
    assert!(again.in_sync());
    assert_eq!(at(&again), at(&outcome));
}

#[tokio::test]
async fn who_is_slow_is_cut_off_and_the_others_are_served() {
    let host = Fake::new().unwrap();
    let root = site(&host);
    fs::write(root.join("large"), vec![b'x'; 50_000_000]).unwrap();
    let server = start(&host, any().root(&root).timeout(Duration::from_secs(1))).await;
    let mut silent = TcpStream::connect(&server.at).await.unwrap();
    let mut dripping = TcpStream::connect(&server.at).await.unwrap();
    let mut reader = TcpStream::connect(&server.at).await.unwrap();
    reader.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    dripping.write_all(b"GET / HT").await.unwrap();
    assert_eq!(server.status("/data").await, 200);
    for stream in [&mut silent, &mut dripping] {
        let mut byte = [0];
        let end = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await.expect("it is cut off");
        assert_eq!(end.unwrap_or(0), 0);
    }
    // It takes nothing for longer than it may.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), reader.read_to_end(&mut rest)).await.expect("it is cut off");
    assert!(rest.len() < 50_000_000, "{}", rest.len());
}

#[tokio::test]
async fn heads_and_connections_are_bounded() {
    let host = Fake::new().unwrap();
    let server = start(&host, any().root(site(&host)).timeout(Duration::from_secs(2))).await;
    // The server does not hear such a head out: its answer may be lost with the connection.
    let mut long = TcpStream::connect(&server.at).await.unwrap();
    let head = format!("GET /data HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let _ = long.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), long.read_to_end(&mut answer)).await.expect("it ends");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    let mut idle = Vec::new();
    for _ in 0..256 {
        idle.push(TcpStream::connect(&server.at).await.unwrap());
    }
    // No room for this one, until the others have been idle for too long.
    assert_eq!(server.status("/data").await, 200);
}

#[tokio::test]
async fn who_holds_many_connections_keeps_nobody_from_being_served() {
    let host = Fake::new().unwrap();
    let server = start(&host, any().root(site(&host))).await;
    let mut held = Vec::new();
    for n in 0..500 {
        let mut slow = TcpStream::connect(&server.at).await.unwrap();
        if n % 2 == 0 {
            slow.write_all(b"GET /data HTTP/1.1\r\nHo").await.unwrap();
        }
        held.push(slow);
        if n % 100 == 99 {
            let began = std::time::Instant::now();
            assert_eq!(server.status("/data").await, 200);
            assert!(began.elapsed() < Duration::from_secs(1), "{n}: {:?}", began.elapsed());
        }
    }
}

#[tokio::test]
async fn a_request_that_names_no_host_or_two_is_none() {
    let host = Fake::new().unwrap();
    let server = start(&host, any().root(site(&host))).await;
    let status = async |request: &str| String::from_utf8_lossy(&server.raw(request).await)[9..12].to_owned();
    assert_eq!(status("GET /data HTTP/1.1\r\nConnection: close\r\n\r\n").await, "400");
    assert_eq!(status("GET /data HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n").await, "400");
    assert_eq!(status("GET /data HTTP/1.0\r\n\r\n").await, "200");
}

#[tokio::test]
async fn a_symlink_leads_around_no_protection() {
    for protected in ["/private", "/named"] {
        let host = Fake::new().unwrap();
        let root = site(&host);
        fs::create_dir_all(root.join("private/deep")).unwrap();
        fs::write(root.join("private/file"), "canary").unwrap();
        fs::write(root.join("private/deep/index.html"), "canary").unwrap();
        symlink("private", root.join("open")).unwrap();
        symlink("private/file", root.join("one")).unwrap();
        symlink("../private/deep/index.html", root.join("bare/index.html")).unwrap();
        symlink("private", root.join("named")).unwrap();
        let server = start(&host, any().root(&root).basic_auth(protected, "admin", hash("open sesame"))).await;
        for target in ["/private/file", "/open/file", "/one", "/bare/", "/open/deep/", "/named/file", "/open/none"] {
            // Nothing tells what is there.
            let answer = server.get(target).await;
            assert!(answer.status == 401 || (target == "/open/none" && answer.status == 404), "{target}: {answer:?}");
            assert!(!answer.text().contains("canary"), "{target}");
        }
        let right = "Authorization: Basic YWRtaW46b3BlbiBzZXNhbWU=\r\n";
        for target in ["/private/file", "/open/file", "/one", "/bare/", "/open/deep/", "/named/file"] {
            assert_eq!(server.ask("GET", target, right).await.text(), "canary", "{target}");
        }
        assert_eq!(server.status("/data").await, 200);
    }
}

#[tokio::test]
async fn a_copy_is_good_only_for_the_same_bytes() {
    let host = Fake::new().unwrap();
    let root = site(&host);
    let server = start(&host, any().root(&root)).await;
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    for size in [10, 200_000] {
        let write = |byte: u8| {
            fs::write(root.join("kept"), vec![byte; size]).unwrap();
            fs::File::options().write(true).open(root.join("kept")).unwrap().set_modified(old).unwrap();
        };
        write(b'1');
        let first = server.get("/kept").await;
        write(b'2');
        // Of a large one that has just changed there is nothing to ask by.
        if let Some(tag) = first.header("etag") {
            let again = server.ask("GET", "/kept", &format!("If-None-Match: {tag}\r\n")).await;
            assert_eq!((again.status, again.body[0]), (200, b'2'), "{size}");
        }
        assert_eq!(first.header("etag").is_some(), size == 10);
        // In the second in which it is written no date tells one content from the next.
        fs::write(root.join("kept"), vec![b'3'; size]).unwrap();
        assert_eq!(server.get("/kept").await.header("last-modified"), None);
        let now = httpdate::fmt_http_date(SystemTime::now());
        let again = server.ask("GET", "/kept", &format!("If-Modified-Since: {now}\r\n")).await;
        assert_eq!(again.status, 200);
    }
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let tag = server.get("/kept").await.header("etag").unwrap().to_owned();
    assert_eq!(server.ask("GET", "/kept", &format!("If-None-Match: {tag}\r\n")).await.status, 304);
}

#[test]
fn what_is_wrong_with_the_fields_is_said_with_the_remedy() {
    let host = Fake::new().unwrap();
    let said = |server: HttpServerBuilder| host.put(server).refusal();
    assert!(said(HttpServer::new("web")).contains("`address` (taken from the name) is `web`"));
    for address in ["127.0.0.1", ":8080", "127.0.0.1:", "127.0.0.1:99999", "http://x"] {
        assert!(said(HttpServer::new("web").address(address)).contains("127.0.0.1:8080"), "{address}");
    }
    assert!(said(any().root("relative")).contains("`root`"));
    assert!(said(any().timeout(Duration::from_secs(0))).contains("`timeout` is 0"));
    assert!(said(any().auth_path("/")).contains("`auth_user`"));
    assert!(said(any().auth_hash(hash("x"))).contains("`auth_path`"));
    assert!(said(any().basic_auth("admin", "u", hash("x"))).contains("`auth_path`: `admin`"));
    assert!(said(any().basic_auth("/", "a:b", hash("x"))).contains("colon"));
    assert_eq!(host.put(HttpServer::new("[::1]:8080")).validate(), []);
    let said = |file: HttpFileBuilder| host.put(file).refusal();
    assert!(said(HttpFile::new("x").data("")).contains("`path` (taken from the name) is `x`"));
    assert!(said(HttpFile::new("/x").path("/../x").data("")).contains("`path` is `/../x`: it holds `..`"));
    assert!(said(HttpFile::new("/x").data("").source("/x")).contains("`source` and `data`"));
    assert!(said(HttpFile::new("/x").source("x")).contains("`source`"));
    // All of it at once.
    let all = host.put(HttpServer::new("web").timeout(Duration::from_secs(0)).root("relative")).refusal();
    assert_eq!(all.lines().count(), 3, "{all}");
    assert_eq!(said(HttpFile::new("x").data("").source("x")).lines().count(), 3);
}

#[tokio::test]
async fn a_file_with_nothing_to_serve_is_an_error_and_noop_serves_nothing() {
    let host = Fake::new().unwrap();
    let said = host.put(HttpFile::new("/x")).check().await.unwrap_err().to_string();
    assert!(said.contains("`source` or `data`"), "{said}");
    let server = host.put(any()).noop();
    let outcome = server.settle().await.unwrap();
    assert!(!outcome.in_sync() && outcome.sent_nothing());
    let server = start(&host, any()).await;
    host.put(HttpFile::new("/x").data("x")).noop().settle().await.unwrap();
    assert_eq!(server.status("/x").await, 404);
}
