//! User name and password of HTTP Basic authentication: read from the environment, sent, and shown to nobody.

use std::fmt;

use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use crate::model::CredentialNames;

/// Cannot be printed, and is overwritten when it is dropped.
pub(super) struct Login {
    /// The value of the `Authorization` header.
    header: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

impl Login {
    /// Reads both variables by `look`.
    ///
    /// # Errors
    /// Which variable is missing or cannot be used; never what is in it.
    pub(super) fn read(
        names: &CredentialNames,
        look: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, String> {
        let one = |name: &str, key: &str| {
            let value = look(name).ok_or_else(|| {
                format!("the environment variable `{name}` is not set: `{key}` names it")
            })?;
            let value = value.into_string().map(Zeroizing::new).map_err(|_value| {
                format!("the environment variable `{name}` holds bytes that are no text")
            })?;
            if value.is_empty() || value.chars().any(char::is_control) {
                return Err(format!(
                    "the environment variable `{name}` is empty or holds a line break: `{key}` names it"
                ));
            }
            Ok(value)
        };
        let user = one(&names.username_env, "username_env")?;
        let password = one(&names.password_env, "password_env")?;
        if user.contains(':') {
            let name = &names.username_env;
            return Err(format!(
                "the environment variable `{name}` holds a `:`, which no user's name can have"
            ));
        }
        let pair = Zeroizing::new([user.as_bytes(), b":", password.as_bytes()].concat());
        let mut header = Zeroizing::new(String::with_capacity(pair.len().saturating_mul(2)));
        header.push_str("Basic ");
        base64(&pair, &mut header);
        Ok(Self { header, password })
    }

    /// For one request; marked, so that hyper does not show it either.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&self.header).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes what is secret out of foreign words, such as those of a server that repeats what it was asked.
    pub(super) fn hide(&self, text: &str) -> String {
        let token = self.header.trim_start_matches("Basic ");
        text.replace(token, "***")
            .replace(self.password.as_str(), "***")
    }
}

/// Source: RFC 4648, section 4.
fn base64(bytes: &[u8], text: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for (at, shift) in [18_u32, 12, 6, 0].into_iter().enumerate() {
            let letter = LETTERS.get(((bits >> shift) & 63) as usize);
            let letter = letter.filter(|_| at <= group.len());
            text.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> CredentialNames {
        CredentialNames {
            username_env: "API_USER".to_owned(),
            password_env: "API_PASSWORD".to_owned(),
        }
    }

    fn read(user: Option<&str>, password: Option<&str>) -> Result<Login, String> {
        Login::read(&names(), |name| {
            if name == "API_USER" { user } else { password }.map(Into::into)
        })
    }

    #[test]
    fn the_header_is_as_the_standard_has_it() {
        let login = read(Some("Aladdin"), Some("open sesame")).unwrap();
        let header = login.header().unwrap();
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(header.is_sensitive());
        assert_eq!(format!("{login:?} {header:?}"), "Login(***) Sensitive");
    }

    #[test]
    fn what_is_secret_is_taken_out_of_foreign_words() {
        let login = read(Some("Aladdin"), Some("open sesame")).unwrap();
        let said = "you sent Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==, Aladdin and open sesame";
        assert_eq!(login.hide(said), "you sent Basic ***, Aladdin and ***");
    }

    #[test]
    fn base64_pads_as_it_should() {
        for (plain, wanted) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            let mut text = String::new();
            base64(plain.as_bytes(), &mut text);
            assert_eq!(text, wanted);
        }
    }

    #[test]
    fn what_cannot_be_used_names_the_variable_and_never_its_value() {
        for (user, password, name) in [
            (None, Some("s3cret"), "API_USER"),
            (Some("u"), None, "API_PASSWORD"),
            (Some("u"), Some(""), "API_PASSWORD"),
            (Some("u"), Some("s3cret\n"), "API_PASSWORD"),
            (Some("s3cret:u"), Some("s3cret"), "API_USER"),
        ] {
            let error = read(user, password).unwrap_err();
            assert!(error.contains(name) && !error.contains("s3cret"), "{error}");
        }
    }
}
