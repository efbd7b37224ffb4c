//! A checked readiness URL, with what TLS needs for it.

use std::path::Path;
use std::sync::Arc;

use hyper::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::ProbeError;

/// Where a URL leads.
#[derive(Debug)]
pub(in crate::drivers) struct Target {
    /// As written.
    pub(super) url: String,
    /// Name or address; IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The `Host` header: as written, the port only where it was.
    pub(super) authority: String,
    /// Path and query; no fragment.
    pub(super) path: String,
    /// `None` for `http://`.
    pub(super) tls: Option<Tls>,
}

/// What is needed for `https://`.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
    /// The private CA's text, for tools on the host.
    pub(super) ca: Option<String>,
}

impl Target {
    pub(in crate::drivers) fn new(url: &str, ca: Option<&Path>) -> Result<Self, ProbeError> {
        let wrong = |reason: &str| ProbeError::Url {
            url: url.to_owned(),
            reason: reason.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => {
                return Err(wrong(
                    "it begins neither with `http://` nor with `https://`",
                ));
            }
        };
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a user name or password in it is not supported"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let default = if secure { 443 } else { 80 };
        let port = port_of(authority.as_str(), default)
            .ok_or_else(|| wrong("its port is not a number from 1 to 65535"))?;
        Ok(Self {
            url: url.to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            tls: secure.then(|| Tls::new(url, &host, ca)).transpose()?,
            host,
        })
    }

    /// Name or address; IPv6 without brackets.
    pub(in crate::drivers) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(in crate::drivers) fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` header.
    pub(in crate::drivers) fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    pub(in crate::drivers) fn path(&self) -> &str {
        &self.path
    }

    /// How TLS is spoken with it; `None` for `http://`.
    pub(in crate::drivers) fn tls(&self) -> Option<(&Arc<ClientConfig>, &ServerName<'static>)> {
        self.tls.as_ref().map(|tls| (&tls.config, &tls.name))
    }
}

/// The port behind the name, or behind the brackets of an IPv6 address. `Uri` passes over one that is no port.
fn port_of(authority: &str, default: u16) -> Option<u16> {
    let tail = authority.rsplit(']').next().unwrap_or_default();
    match tail.rsplit_once(':') {
        None | Some((_, "")) => Some(default),
        Some((_, port)) => port.parse().ok().filter(|port| *port > 0),
    }
}

impl Tls {
    fn new(url: &str, host: &str, ca: Option<&Path>) -> Result<Self, ProbeError> {
        let wrong = |reason: String| ProbeError::Tls {
            url: url.to_owned(),
            reason,
        };
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| wrong(error.to_string()))?;
        let ca = match ca {
            Some(path) => Some(read_ca(path).map_err(wrong)?),
            None => None,
        };
        // Named here, since a process-wide default would be missing in tests and may be doubled by a dependency.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?;
        let config = match &ca {
            Some((_, roots)) => builder.with_root_certificates(Arc::clone(roots)),
            None => builder.with_platform_verifier().map_err(|error| {
                wrong(format!(
                    "{error}; install ca-certificates here, or name a `ca`"
                ))
            })?,
        };
        Ok(Self {
            config: Arc::new(config.with_no_client_auth()),
            name,
            ca: ca.map(|(text, _)| text),
        })
    }
}

fn read_ca(path: &Path) -> Result<(String, Arc<RootCertStore>), String> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate =
            certificate.map_err(|error| format!("{shown} is no PEM file: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("{shown} holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("{shown} holds no certificate"));
    }
    Ok((text, Arc::new(roots)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::new("http://[::1]:8080/ready?full=1#x", None).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 8080));
        assert_eq!(
            (target.authority.as_str(), target.path.as_str()),
            ("[::1]:8080", "/ready?full=1")
        );
        let target = Target::new("http://app.internal", None).unwrap();
        assert_eq!((target.port, target.path.as_str()), (80, "/"));
    }

    #[test]
    fn what_cannot_be_probed_is_refused_with_a_reason() {
        for (url, word) in [
            ("ftp://x/", "http://"),
            ("/ready", "http://"),
            ("http://u:p@x/", "password"),
            ("http://x:99999/", "port"),
            ("http://[::1]:0/", "port"),
            ("http://", ""),
            ("http:// /", ""),
        ] {
            let error = Target::new(url, None).unwrap_err().to_string();
            assert!(
                error.contains(word) && error.contains("cannot be probed"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_unusable_ca_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Target::new("https://x/", Some(file.path()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("holds no certificate"), "{error}");
        let error = Target::new("https://x/", Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    }
}
