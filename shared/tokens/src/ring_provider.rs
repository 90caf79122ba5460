//! The cryptography of `jsonwebtoken` by `ring`, for the algorithms that we take and no others.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result, new_error},
    signature::{Error, Verifier},
};
use ring::signature as algorithms;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes it the one of the process. If another one is in place already, that one stays: it verifies
/// the same signatures.
pub(crate) fn install() {
    let _ = PROVIDER.install_default();
}

/// Services sign nothing; [`crate::Issuer`] signs with its own key.
fn signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(new_error(ErrorKind::InvalidAlgorithm))
}

/// A public key, and what it verifies.
struct PublicKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let fits = matches!(
        (algorithm, key.family()),
        (Algorithm::RS256 | Algorithm::PS256, AlgorithmFamily::Rsa)
            | (Algorithm::ES256 | Algorithm::ES384, AlgorithmFamily::Ec)
            | (Algorithm::EdDSA, AlgorithmFamily::Ed)
    );
    match fits {
        true => Ok(Box::new(PublicKey { algorithm: *algorithm, key: key.clone() })),
        false => Err(new_error(ErrorKind::InvalidAlgorithm)),
    }
}

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        // RSA keys of less than 2048 bits are refused by these.
        let verified = match (self.key.kind(), self.algorithm) {
            (DecodingKeyKind::RsaModulusExponent { n, e }, algorithm) => {
                let parameters = match algorithm {
                    Algorithm::RS256 => &algorithms::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::PS256 => &algorithms::RSA_PSS_2048_8192_SHA256,
                    _ => return Err(Error::new()),
                };
                let key = algorithms::RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signature)
            }
            (DecodingKeyKind::SecretOrDer(bytes), algorithm) => {
                let parameters: &'static dyn algorithms::VerificationAlgorithm = match algorithm {
                    Algorithm::ES256 => &algorithms::ECDSA_P256_SHA256_FIXED,
                    Algorithm::ES384 => &algorithms::ECDSA_P384_SHA384_FIXED,
                    Algorithm::EdDSA => &algorithms::ED25519,
                    _ => return Err(Error::new()),
                };
                algorithms::UnparsedPublicKey::new(parameters, bytes).verify(message, signature)
            }
        };
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
