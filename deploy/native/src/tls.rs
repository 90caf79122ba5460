//! A certificate authority for one shop, and Kafka's certificate by it.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use client::private_file::write;

/// The authority's certificate, which clients trust.
pub(crate) const CA: &str = "ca.pem";
/// The server's key and certificate.
const SERVER: &str = "server.pem";

const HOST: &str = "127.0.0.1";
/// Its names: on this machine, and in the network of containers.
const NAMES: [&str; 2] = ["localhost", "kafka"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long both are good for.
const DAYS: u32 = 365;
/// What ends sooner is made again.
const DAYS_LEFT_MIN: u32 = 30;

/// Makes the authority and the certificate, unless both are there and will be good for a while. The
/// authority's key is forgotten: with each certificate comes another authority.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn ensure(dir: &Path) -> Result<()> {
    if [CA, SERVER].iter().all(|file| lasts(&dir.join(file), SystemTime::now())) {
        return Ok(());
    }
    make(dir).context("making the certificates")
}

/// Whether a certificate that was written into `file` is good for a while from `now` on.
fn lasts(file: &Path, now: SystemTime) -> bool {
    let written = fs::metadata(file).and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| written + DAY * (DAYS - DAYS_LEFT_MIN) > now)
}

fn make(dir: &Path) -> Result<()> {
    let mut authority = params("Murmuration, the authority of one shop")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let mut server = params(HOST)?;
    // Java looks for an address among the addresses, librdkafka among the names.
    server.subject_alt_names = vec![SanType::IpAddress(HOST.parse()?)];
    for name in [HOST].iter().chain(&NAMES) {
        server.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
    }
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // The node is a client of itself.
    server.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let signed = server.signed_by(&key, &issuer)?;
    // Kafka takes a key in PKCS #8 alone, and the chain after it.
    let chain = [key.serialize_pem(), signed.pem(), certificate.pem()].concat();
    write(&dir.join(SERVER), chain.as_bytes())?;
    write(&dir.join(CA), certificate.pem().as_bytes())
}

fn params(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    params.not_before = date_time_ymd(1970, 1, 1) + now;
    params.not_after = params.not_before + DAY * DAYS;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificates_are_kept_until_they_are_about_to_end() {
        let dir = std::env::temp_dir().join(format!("shop-tls-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        ensure(&dir).unwrap();
        let read = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
        let before = read(SERVER);
        assert_eq!(before.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(before.contains("BEGIN PRIVATE KEY") && before.ends_with(&read(CA)));
        ensure(&dir).unwrap();
        assert_eq!(before, read(SERVER));
        let now = SystemTime::now();
        assert!(lasts(&dir.join(SERVER), now + DAY * 300));
        assert!(!lasts(&dir.join(SERVER), now + DAY * 340));
        fs::remove_file(dir.join(CA)).unwrap();
        ensure(&dir).unwrap();
        assert_ne!(before, read(SERVER));
        fs::remove_dir_all(&dir).unwrap();
    }
}
