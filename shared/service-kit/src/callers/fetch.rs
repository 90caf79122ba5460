//! Asks an address for the keys, by TLS or without it.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, ensure};
use axum::{body::Bytes, http::Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::time::timeout;

/// Longest time that the address may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What `url` answers: `bytes_max` bytes at most. With https the server shows a certificate of an
/// authority in `ca_file`, which is read each time, or else of one that the system trusts.
///
/// A redirect is no answer: it could lead to keys of another issuer.
///
/// # Errors
/// When it does not answer in time, with success and within the size.
pub(super) async fn fetch(
    url: &str,
    ca_file: Option<&Path>,
    bytes_max: usize,
) -> anyhow::Result<Vec<u8>> {
    let asked = timeout(TIMEOUT, ask(url.parse()?, ca_file, bytes_max)).await;
    asked.with_context(|| format!("it does not answer within {} s", TIMEOUT.as_secs()))?
}

async fn ask(url: Uri, ca_file: Option<&Path>, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let roots = match url.scheme_str() {
        Some("https") => authorities(ca_file)?,
        _ => RootCertStore::empty(),
    };
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let tls = tls.with_safe_default_protocol_versions()?;
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let connector = connector.enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let answer = client.get(url).await.context("it does not answer")?;
    ensure!(answer.status().is_success(), "it answers {}", answer.status());
    match Limited::new(answer.into_body(), bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(anyhow!("it has more than {bytes_max} bytes"))
        }
        Err(error) => Err(anyhow!(error).context("its answer broke off")),
    }
}

/// Those whose certificates are believed.
fn authorities(ca_file: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let mut authorities = RootCertStore::empty();
    let Some(path) = ca_file else {
        let known = rustls_native_certs::load_native_certs();
        authorities.add_parsable_certificates(known.certs);
        ensure!(
            !authorities.is_empty(),
            "this system knows no authority for certificates: JWKS_CA_FILE names the issuer's"
        );
        return Ok(authorities);
    };
    let wrong = || format!("JWKS_CA_FILE {} is no PEM file with certificates", path.display());
    for certificate in CertificateDer::pem_file_iter(path).with_context(wrong)? {
        authorities.add(certificate.with_context(wrong)?).with_context(wrong)?;
    }
    ensure!(!authorities.is_empty(), wrong());
    Ok(authorities)
}
