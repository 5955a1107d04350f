//! An authority that signs certificates, in memory.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority with a certificate that it has signed itself.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// The certificate of the authority, one that it signs for a host with this name at 127.0.0.1, and its key.
    pub(crate) fn pem(&self, name: &str) -> [String; 3] {
        self.pem_at(name, "127.0.0.1")
    }

    fn pem_at(&self, name: &str, address: &str) -> [String; 3] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([address.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        [self.pem.clone(), certificate.pem(), key.serialize_pem()]
    }

    /// The same in files of this directory.
    pub(crate) fn files(&self, dir: &Path, name: &str) -> [PathBuf; 3] {
        self.files_at(dir, name, "127.0.0.1")
    }

    /// The same for a host at this address.
    pub(crate) fn files_at(&self, dir: &Path, name: &str, address: &str) -> [PathBuf; 3] {
        let all = ["ca.pem".to_owned(), format!("{name}.pem"), format!("{name}.key")].map(|file| dir.join(file));
        for (path, pem) in all.iter().zip(self.pem_at(name, address)) {
            fs::write(path, pem).unwrap();
        }
        all
    }
}
