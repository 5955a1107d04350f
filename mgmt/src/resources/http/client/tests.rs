//! Fetching for real, over loopback, from servers that do what a test asks for.

use std::fs;
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::resource::{Error, ObstacleKind, Secret};
use crate::resources::http::{HttpClient, HttpClientBuilder, HttpFile, HttpServer};
use crate::testing::Fake;

/// A server with a function in place of files. Each connection carries one request.
struct Scripted {
    url: String,
    /// The heads of all requests.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    async fn new(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
        Scripted::with(None, answer).await
    }

    async fn with(tls: Option<TlsAcceptor>, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&heads), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer, tls) = (Arc::clone(&log), Arc::clone(&answer), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, &log, &*answer).await;
                            }
                        }
                        None => converse(stream, &log, &*answer).await,
                    }
                });
            }
        });
        Scripted { url, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    log: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str) -> Vec<u8> + Send + Sync),
) {
    let (mut head, mut byte) = (String::new(), [0]);
    while !head.ends_with("\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0] as char),
            _ => return,
        }
    }
    log.lock().unwrap().push(head.clone());
    stream.write_all(&answer(&head)).await.ok();
    stream.shutdown().await.ok();
}

/// The answer with this status line, these headers and this body.
fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

fn has(head: &str, header: &str) -> bool {
    head.lines().any(|line| line.eq_ignore_ascii_case(header))
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn error_of(host: &Fake, client: HttpClientBuilder) -> Error {
    host.put(client).settle().await.unwrap_err()
}

#[tokio::test]
async fn a_value_is_sent_and_fetched_again_only_in_another_version() {
    let body = Arc::new(Mutex::new(("\"1\"", "one")));
    let now = Arc::clone(&body);
    let server = Scripted::new(move |head| {
        let (etag, text) = *now.lock().unwrap();
        match has(head, &format!("if-none-match: {etag}")) {
            true => reply("304 Not Modified", "", ""),
            false => reply("200 OK", &format!("ETag: {etag}\r\n"), text),
        }
    })
    .await;
    let host = Fake::new().unwrap();
    let trial = host.put(HttpClient::new(&server.url).token(Secret::new("t0".to_owned())));
    for _ in 0..2 {
        let outcome = trial.check().await.unwrap();
        assert_eq!(outcome.value(HttpClient::BODY).unwrap(), "one");
        assert_eq!(outcome.value(HttpClient::DIGEST).unwrap(), sha256("one"));
    }
    *body.lock().unwrap() = ("\"2\"", "two");
    assert_eq!(trial.check().await.unwrap().value(HttpClient::BODY).unwrap(), "two");
    let heads = server.heads();
    assert!(heads.iter().all(|head| has(head, "authorization: Bearer t0")), "{heads:?}");
    assert!(has(&heads[1], "if-none-match: \"1\"") && has(&heads[2], "if-none-match: \"1\""), "{heads:?}");
}

#[tokio::test]
async fn a_file_is_fetched_from_our_own_server_and_found_in_sync_afterwards() {
    let host = Fake::new().unwrap();
    let web = host.put(HttpServer::new("web").address("127.0.0.1:0"));
    let url = web.settle().await.unwrap().value(HttpServer::URL).unwrap();
    let source = host.path("source");
    fs::write(&source, "x".repeat(3_000_000)).unwrap();
    let served = host.put(HttpFile::new("/x").source(&source));
    served.settle().await.unwrap();
    let file = host.path("fetched");
    let trial = host.put(HttpClient::new("x").url(format!("{url}/x")).file(&file));
    assert!(!trial.check().await.unwrap().in_sync());
    trial.settle().await.unwrap();
    assert_eq!(fs::read(&file).unwrap().len(), 3_000_000);
    assert!(trial.check().await.unwrap().in_sync());
    // Another program's change, and another version at the server.
    fs::write(&file, "other").unwrap();
    assert!(!trial.settle().await.unwrap().in_sync());
    assert_eq!(fs::read(&file).unwrap().len(), 3_000_000);
    fs::write(&source, "another version").unwrap();
    assert!(!trial.settle().await.unwrap().in_sync());
    assert_eq!(fs::read_to_string(&file).unwrap(), "another version");
    assert!(!host.path("part").exists());
}

#[tokio::test]
async fn a_download_that_broke_off_continues_where_it_ended() {
    let (whole, sent) = ("0123456789".repeat(1000), 4000);
    let text = whole.clone();
    let server = Scripted::new(move |head| {
        if has(head, &format!("range: bytes={sent}-")) && has(head, "if-range: \"v\"") {
            let range = format!("ETag: \"v\"\r\nContent-Range: bytes {sent}-{}/{}\r\n", text.len() - 1, text.len());
            return reply("206 Partial Content", &range, &text[sent..]);
        }
        let mut answer = reply("200 OK", "ETag: \"v\"\r\n", &text);
        answer.truncate(answer.len() - (text.len() - sent));
        answer
    })
    .await;
    let host = Fake::new().unwrap();
    let file = host.path("file");
    let trial = host.put(HttpClient::new(&server.url).file(&file).sha256(sha256(&whole)));
    let error = trial.settle().await.unwrap_err();
    assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::NoComponent, "{error}");
    assert!(!file.exists());
    trial.settle().await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), whole);
    assert_eq!(server.heads().len(), 2, "the right digest is there: nothing is asked");
    let left: Vec<_> = fs::read_dir(trial.check_cx().var_dir()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_part_of_another_version_is_dropped() {
    let count = Mutex::new(0);
    let server = Scripted::new(move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        let mut answer = reply("200 OK", &format!("ETag: \"{count}\"\r\n"), &format!("version {count}"));
        if *count == 1 {
            answer.truncate(answer.len() - 2);
        }
        answer
    })
    .await;
    let host = Fake::new().unwrap();
    let trial = host.put(HttpClient::new(&server.url).file(host.path("file")));
    trial.settle().await.unwrap_err();
    trial.settle().await.unwrap();
    assert_eq!(fs::read_to_string(host.path("file")).unwrap(), "version 2");
}

#[tokio::test]
async fn a_body_with_another_digest_or_too_large_is_not_put_in_place() {
    let server = Scripted::new(|_| reply("200 OK", "", "content")).await;
    let host = Fake::new().unwrap();
    let file = host.path("file");
    fs::write(&file, "before").unwrap();
    let client = || HttpClient::new(&server.url).file(&file);
    let error = error_of(&host, client().sha256("0".repeat(64))).await;
    let wrong = format!("its SHA-256 is {}, not {} as declared", sha256("content"), "0".repeat(64));
    assert!(error.to_string().contains(&wrong), "{error}");
    assert!(error.obstacle().is_none());
    let error = error_of(&host, client().size_max(6u64)).await;
    assert!(
        error.to_string().contains("the body has more than 6 bytes; if it may be larger, set `size_max`"),
        "{error}"
    );
    let error = error_of(&host, HttpClient::new(&server.url).size_max(6u64)).await;
    assert!(error.to_string().contains("more than 6 bytes"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "before");
}

#[tokio::test]
async fn a_server_that_may_come_back_is_waited_for() {
    let host = Fake::new().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = error_of(&host, HttpClient::new(format!("http://{gone}/"))).await;
    assert_eq!(error.obstacle().map(|obstacle| obstacle.kind), Some(ObstacleKind::NoComponent), "{error}");
    let table = [
        ("503 Service Unavailable", Some(ObstacleKind::NoComponent)),
        ("429 Too Many Requests", Some(ObstacleKind::Busy)),
        ("404 Not Found", Some(ObstacleKind::Missing)),
        ("403 Forbidden", Some(ObstacleKind::NoPermission)),
        ("400 Bad Request", None),
    ];
    for (status, kind) in table {
        let server = Scripted::new(move |_| reply(status, "", "")).await;
        let error = error_of(&host, HttpClient::new(&server.url)).await;
        assert_eq!(error.obstacle().map(|obstacle| obstacle.kind), kind, "{error}");
        assert!(error.to_string().contains(&format!("the server answers {status}")), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_without_the_token_and_not_for_ever() {
    let host = Fake::new().unwrap();
    let other = Scripted::new(|_| reply("200 OK", "", "there")).await;
    let to = other.url.clone();
    let server = Scripted::new(move |_| reply("302 Found", &format!("Location: {to}\r\n"), "")).await;
    let trial = host.put(HttpClient::new(&server.url).token(Secret::new("t0".to_owned())));
    assert_eq!(trial.check().await.unwrap().value(HttpClient::BODY).unwrap(), "there");
    assert!(has(&server.heads()[0], "authorization: Bearer t0"));
    assert!(!other.heads()[0].to_lowercase().contains("authorization"));
    let round = Scripted::new(|_| reply("302 Found", "Location: /again\r\n", "")).await;
    let error = error_of(&host, HttpClient::new(&round.url)).await;
    assert!(error.to_string().contains("there are more than 10 redirects"), "{error}");
    assert!(error.obstacle().is_none());
}

#[tokio::test]
async fn https_needs_a_certificate_that_is_trusted_and_leads_to_no_http() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let host = Fake::new().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let ca = host.path("ca.pem");
    fs::write(&ca, cert.pem()).unwrap();
    let server = Scripted::with(Some(tls), |head| match head.starts_with("GET /out ") {
        true => reply("302 Found", "Location: http://127.0.0.1:9/\r\n", ""),
        false => reply("200 OK", "", "protected"),
    })
    .await;
    let trusting = |path: &str| HttpClient::new(format!("{}{path}", server.url)).ca(&ca);
    let outcome = host.put(trusting("/")).check().await.unwrap();
    assert_eq!(outcome.value(HttpClient::BODY).unwrap(), "protected");
    let error = error_of(&host, HttpClient::new(&server.url)).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    let error = error_of(&host, trusting("/out")).await;
    assert!(error.to_string().contains("from https to `http://127.0.0.1:9/`, which is not protected"), "{error}");
    fs::write(&ca, "no certificate").unwrap();
    let error = error_of(&host, trusting("/")).await;
    assert!(error.to_string().contains("`ca`"), "{error}");
}

#[test]
fn wrong_fields_are_refused() {
    let host = Fake::new().unwrap();
    let wrong = |client: HttpClientBuilder| host.put(client).refusal();
    for (url, why) in [
        ("ftp://h/", "has the scheme `ftp`"),
        ("http://u:p@h/", "has a user or a password in it"),
        ("https://h/#part", "has a fragment"),
        ("no url", "`no url` is no URL"),
    ] {
        let refusal = wrong(HttpClient::new("x").url(url));
        assert!(refusal.contains(why), "{refusal}");
    }
    assert!(wrong(HttpClient::new("x")).contains("is not given, and the name is no URL"));
    let client = || HttpClient::new("https://h/");
    assert!(wrong(client().sha256("12")).contains("give 64 hexadecimal digits"));
    assert!(wrong(client().size_max(0u64)).contains("is 0"));
    assert!(wrong(client().file("relative")).contains("relative"));
}
