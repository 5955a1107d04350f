//! An etcd that is reached with certificates only.

use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resource::{Keys, World as _, WorldError};

use crate::authority::Authority;
use crate::server::Server;

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn certificates_of_its_authority_are_let_in_and_no_others() {
    let server = Server::with(Some(Authority::new()));
    let [authority, certificate, key] = server.certificate("web1").map(|file| std::fs::read(file).unwrap());
    let ours = server.world().tls(&authority, &certificate, &key).checked().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut g = Graph::new("web1");
    g.export(File::new("/x/a").content("sent with a certificate"));
    let into = format!("{}/", dir.path().display());
    g.collect::<File>().map(move |file| file.dirname(into.as_str()));
    let graph = g.finish().unwrap();
    let engine = Engine::builder().world(ours.clone()).hostname("web1").graph(graph).start().await.unwrap();
    engine.converged().await.unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("a")).unwrap(), "sent with a certificate");
    engine.stop().await.unwrap();
    let keys = || vec![Keys::Below("/mgmt/exports/".to_owned())];
    assert_eq!(
        ours.member("web2").get(keys()).await.unwrap().entries.len(),
        2,
        "an export, and the number up to which exports count"
    );

    // A certificate of another authority, a server of another authority, and no certificate.
    let [other, other_certificate, other_key] = Authority::new().pem("web1");
    let strangers = [
        server.world().tls(&authority, &other_certificate, &other_key),
        server.world().tls(&other, &certificate, &key),
        server.world(),
    ];
    for stranger in strangers {
        let answer = tokio::time::timeout(Duration::from_secs(20), stranger.member("web1").get(keys())).await;
        assert!(matches!(answer, Ok(Err(WorldError::Unreachable(_)))), "{answer:?}");
    }
}
