//! Goal: the keys of callers come by TLS from the server that the certificate is of, and from no
//! other one.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer as Authority, KeyPair, KeyUsagePurpose,
};
use reqwest::Client;
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use serde_json::Value;
use service_kit::{
    Access, CallerSettings, Lifecycle, Limits, Routes, Running, Shutdown, config::loopback,
};
use testkit::{
    PATIENCE,
    callers::{AUDIENCE, Badges, ISSUER},
    wait_for,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use utoipa_axum::routes;

#[utoipa::path(get, path = "/books", responses((status = 200)))]
async fn books() -> &'static str {
    "in order"
}

/// A server of keys with a certificate for `name`; its address, and the authority's certificate.
async fn key_server(name: &str, keys: String) -> (SocketAddr, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let signer = Authority::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &signer).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor =
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()));
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not believe us ends it here.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let length = keys.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{keys}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    (address, authority)
}

async fn run(url: String, ca_file: Option<PathBuf>) -> (Running, String) {
    let settings = CallerSettings {
        jwt_issuer: Some(ISSUER.to_owned()),
        jwt_audience: Some(AUDIENCE.to_owned()),
        jwks_url: Some(url),
        jwks_ca_file: ca_file,
        ..CallerSettings::default()
    };
    let routes = Routes::new(utoipa::openapi::OpenApi::default());
    let routes = routes.with(Access::Staff, routes!(books)).guarded(());
    let lifecycle = Lifecycle::new(Shutdown::new());
    let serving = lifecycle.serve((loopback(0), &settings), routes, Limits::default());
    let running = serving.await.unwrap().registered();
    let base = format!("http://{}", running.local_addr());
    (running, base)
}

/// What health says of callers until `words` are in it.
async fn wait_for_health(base: &str, words: &str) {
    wait_for(&format!("`{words}` in the health of callers"), PATIENCE, || async {
        let report = reqwest::get(format!("{base}/health/ready")).await.unwrap();
        let report: Value = report.json().await.unwrap();
        let told = report["checks"].to_string();
        if told.contains(words) { Ok(()) } else { Err(told) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_by_tls_from_who_has_the_certificate() {
    let badges = Badges::default();
    let keys = badges.issuer().jwks().to_string();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let (server, authority) = key_server("127.0.0.1", keys.clone()).await;
    let (elsewhere, _) = key_server("127.0.0.1", keys.clone()).await;

    // Not there yet, then no certificate, then that of the authority: without a restart.
    let (_running, base) = run(format!("https://{server}/jwks"), Some(ca_file.clone())).await;
    wait_for_health(&base, "JWKS_CA_FILE").await;
    std::fs::write(&ca_file, "no certificate").unwrap();
    wait_for_health(&base, "no PEM file").await;
    std::fs::write(&ca_file, &authority).unwrap();
    let staff = badges.staff();
    let books = Client::new();
    let books = || books.get(format!("{base}/books")).bearer_auth(&staff).send();
    wait_for("the keys", PATIENCE, || async {
        let status = books().await.unwrap().status();
        if status == 200 { Ok(()) } else { Err(status) }
    })
    .await;

    // Another authority has signed, and the system knows neither.
    let (_running, base) = run(format!("https://{elsewhere}/jwks"), Some(ca_file.clone())).await;
    wait_for_health(&base, "certificate").await;
    let (_running, base) = run(format!("https://{server}/jwks"), None).await;
    wait_for_health(&base, "certificate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_name_is_not_believed() {
    let badges = Badges::default();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let keys = badges.issuer().jwks().to_string();
    let (server, authority) = key_server("issuer.example", keys).await;
    std::fs::write(&ca_file, authority).unwrap();
    let (_running, base) = run(format!("https://{server}/jwks"), Some(ca_file)).await;
    wait_for_health(&base, "not valid for name").await;
    let answer = Client::new().get(format!("{base}/books")).bearer_auth(badges.staff());
    assert_eq!(answer.send().await.unwrap().status(), 503, "no key is known");
}
