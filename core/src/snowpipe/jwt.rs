//! Key-pair tokens: JSON Web Tokens that are signed with the user's key. This module writes the claims; a [`Signer`]
//! signs them.
//!
//! If Snowflake rejects a token with `390144`, one of these is wrong, and the response does not say which:
//!
//! * the name of the account or of the user;
//! * the user's public key at Snowflake: compare [`KeyPairJwt::fingerprint`] with `RSA_PUBLIC_KEY_FP` of `DESC USER`;
//! * the clock of this machine.
//!
//! [Snowflake's page about key-pair
//! authentication](https://docs.snowflake.com/en/developer-guide/sql-api/authenticating#using-key-pair-authentication).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;

use crate::driver::Credentials;
use crate::error::{BuildError, CredentialError};
use crate::flow::CredentialRequest;
use crate::schema::json_structs;
use crate::secret::Secret;
use crate::snowpipe::with_hyphen;
use crate::time::Timestamp;

/// The longest lifetime of a token that the service accepts: one hour.
pub const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// The header `{"typ":"JWT","alg":"RS256"}`.
const HEADER: &str = r#"{"typ":"JWT","alg":"RS256"}"#;

/// Signs with an RSA key. `pipewright-ureq` implements it, with the feature `keypair`.
pub trait Signer {
    /// Returns the SHA-256 hash of the public key as DER-encoded `SubjectPublicKeyInfo` ([RFC 5280
    /// §4.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.1)), not of its PEM text or of PKCS#1.
    fn public_key_sha256(&self) -> [u8; 32];

    /// Returns an RSASSA-PKCS1-v1_5 signature with SHA-256 ([RFC 7518
    /// §3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3)).
    ///
    /// # Errors
    /// If the key cannot sign. The error's message must not contain the key.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CredentialError>;
}

/// The claims of a key-pair token, except the times.
///
/// ```
/// use pipewright::Timestamp;
/// use pipewright::error::CredentialError;
/// use pipewright::snowpipe::jwt::{KeyPairJwt, Signer};
///
/// struct Fixed;
///
/// impl Signer for Fixed {
///     fn public_key_sha256(&self) -> [u8; 32] {
///         [0xfb; 32]
///     }
///
///     fn sign(&self, _: &[u8]) -> Result<Vec<u8>, CredentialError> {
///         Ok(vec![1, 2, 3])
///     }
/// }
///
/// let jwt = KeyPairJwt::new("xy12345.us-east-1", "loader")?.role("INGEST");
/// assert_eq!(jwt.subject(), "XY12345.LOADER");
/// let token = jwt.token(&Fixed, Timestamp::from_millis(1_700_000_000_000))?;
/// assert!(token.expose().ends_with(".AQID"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairJwt {
    account: String,
    user: String,
    role: Option<String>,
    life: Duration,
}

impl KeyPairJwt {
    /// Creates the claims for a user of an account, with the user's default role and a lifetime of 59 minutes.
    ///
    /// The account is `MYORG-MYACCOUNT`, the equivalent `MYORG.MYACCOUNT`, or a locator. The part after the dot of a
    /// locator or a host (region, cloud, `privatelink`, domain) is removed. Underscores are kept. Both names are
    /// written in upper case, because Snowflake compares them like that.
    ///
    /// # Errors
    /// If a name is empty, or if the account is an address or contains a character that is not allowed in an account's
    /// name.
    pub fn new(account: &str, user: &str) -> Result<Self, BuildError> {
        let wrong = |parameter, value, problem| BuildError::value("KeyPairJwt", parameter, value, problem);
        if account.contains("://") || account.contains('/') {
            return Err(wrong(
                "account",
                account,
                "it is an address: give the account's name, such as MYORG-MYACCOUNT",
            ));
        }
        let name = with_hyphen(account).split('.').next().unwrap_or_default().to_uppercase();
        if name.is_empty() {
            return Err(wrong("account", account, "it is empty: give a name such as MYORG-MYACCOUNT"));
        }
        if !name.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_')) {
            return Err(wrong("account", account, "an account's name has only letters, digits, _ and -"));
        }
        if user.is_empty() {
            return Err(wrong("user", user, "it is empty"));
        }
        Ok(Self { account: name, user: user.to_uppercase(), role: None, life: Duration::from_secs(59 * 60) })
    }

    /// Sets the role to use, spelled as in `SHOW ROLES`.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Sets the lifetime of tokens, rounded down to seconds; 59 minutes by default.
    ///
    /// # Errors
    /// If it is shorter than a second, or longer than [`LONGEST_LIFE`].
    pub fn life(mut self, life: Duration) -> Result<Self, BuildError> {
        if life < Duration::from_secs(1) || life > LONGEST_LIFE {
            let problem = "a token is valid for 1 s to 1 h";
            return Err(BuildError::value("KeyPairJwt", "life", &format!("{life:?}"), problem));
        }
        self.life = life;
        Ok(self)
    }

    /// Returns `ACCOUNT.USER`. The user's name may contain dots.
    pub fn subject(&self) -> String {
        format!("{}.{}", self.account, self.user)
    }

    /// Returns `SHA256:` and the hash of the public key. If it is the user's key, it equals `RSA_PUBLIC_KEY_FP` of
    /// `DESC USER`.
    pub fn fingerprint(signer: &(impl Signer + ?Sized)) -> String {
        format!("SHA256:{}", STANDARD.encode(signer.public_key_sha256()))
    }

    /// Returns a token that is valid from `now` on.
    ///
    /// # Errors
    /// The error of the signer.
    pub fn token(&self, signer: &(impl Signer + ?Sized), now: Timestamp) -> Result<Secret, CredentialError> {
        let subject = self.subject();
        let issued = now.as_unix().as_secs();
        let claims = Claims {
            iss: format!("{subject}.{}", Self::fingerprint(signer)),
            sub: subject,
            iat: issued,
            exp: issued.saturating_add(self.life.as_secs()),
        };
        let mut claims = serde_json::to_string(&claims)
            .map_err(|error| CredentialError::permanent(format!("the claims cannot be written: {error}")))?;
        if let Some(role) = &self.role {
            let scope = serde_json::Value::from(format!("session:role:{role}"));
            claims.truncate(claims.len().saturating_sub(1));
            claims.extend([r#","scp":"#, &scope.to_string(), "}"]);
        }
        let mut token = URL_SAFE_NO_PAD.encode(HEADER);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = signer.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(Secret::new(token))
    }
}

json_structs! {
    /// The claims ([RFC 7519 §4.1](https://www.rfc-editor.org/rfc/rfc7519#section-4.1)), with times in seconds. The
    /// service also accepts milliseconds, which the SDK writes.
    struct Claims {
        /// The issuer: the subject and the fingerprint of the key.
        pub iss: String,
        /// The subject: account and user.
        pub sub: String,
        /// When the token was issued.
        pub iat: u64,
        /// When the token expires.
        pub exp: u64,
    }
}

/// Credentials for the account's host: signs a new token for every call, as the SDK does.
///
/// Use it for an [`Account`](super::Account) with [`TokenType::KeypairJwt`](super::account::TokenType::KeypairJwt).
pub struct KeyPair<S> {
    jwt: KeyPairJwt,
    signer: S,
}

impl<S: Signer> KeyPair<S> {
    /// Creates credentials from the claims and the signer.
    pub fn new(jwt: KeyPairJwt, signer: S) -> Self {
        Self { jwt, signer }
    }
}

impl<S: Signer> Credentials for KeyPair<S> {
    fn authorize(&self, _request: &CredentialRequest, now: Timestamp) -> Result<HeaderValue, CredentialError> {
        self.jwt.token(&self.signer, now)?.bearer()
    }
}

impl<S> fmt::Debug for KeyPair<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("jwt", &self.jwt).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Signer for Fixed {
        fn public_key_sha256(&self) -> [u8; 32] {
            [0xfb; 32]
        }

        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CredentialError> {
            Ok(vec![u8::try_from(message.len() % 251).unwrap_or_default()])
        }
    }

    #[test]
    fn names_are_normalised() {
        for (account, user, subject) in [
            ("xy12345", "me", "XY12345.ME"),
            ("myorg.my_acct", "me", "MYORG-MY_ACCT.ME"),
            ("xy12345.privatelink", "me", "XY12345.ME"),
            ("xy12345.us-east-1", "me", "XY12345.ME"),
            ("xy12345.us-east-1.privatelink", "me", "XY12345.ME"),
            ("myorg-my_acct", "ingest.user", "MYORG-MY_ACCT.INGEST.USER"),
            ("MyOrg-MyAcct.snowflakecomputing.com", "Me", "MYORG-MYACCT.ME"),
        ] {
            assert_eq!(KeyPairJwt::new(account, user).expect("names").subject(), subject);
        }
        for (account, user, problem) in [
            ("https://a.snowflakecomputing.com", "me", "it is an address"),
            ("", "me", "empty"),
            (".us-east-1", "me", "empty"),
            ("a b", "me", "letters, digits"),
            ("a", "", "empty"),
        ] {
            let error = KeyPairJwt::new(account, user).expect_err(problem).to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn claims_are_the_documented_ones() {
        let jwt =
            KeyPairJwt::new("org-acct", "me").and_then(|jwt| jwt.life(Duration::from_secs(60))).expect("a minute");
        let now = Timestamp::from_millis(1_700_000_000_999);
        let read = |token: Secret, part: usize| {
            let part = token.expose().split('.').nth(part).map(str::to_owned).expect("three parts");
            String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("Base64")).expect("text")
        };
        let plain = concat!(
            r#"{"iss":"ORG-ACCT.ME.SHA256:+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=","sub":"ORG-ACCT.ME","#,
            r#""iat":1700000000,"exp":1700000060"#
        );
        let token = |jwt: &KeyPairJwt| jwt.token(&Fixed, now).expect("a token");
        assert_eq!(read(token(&jwt), 0), HEADER);
        assert_eq!(read(token(&jwt), 1), format!("{plain}}}"));
        let scoped = jwt.clone().role("A \"b\"");
        assert_eq!(read(token(&scoped), 1), format!(r#"{plain},"scp":"session:role:A \"b\""}}"#));
        let whole = token(&jwt);
        let (signed, signature) = whole.expose().rsplit_once('.').expect("three parts");
        assert_eq!(
            URL_SAFE_NO_PAD.decode(signature).expect("Base64"),
            Fixed.sign(signed.as_bytes()).expect("a signature")
        );
        for life in [Duration::ZERO, Duration::from_secs(3601)] {
            assert!(jwt.clone().life(life).is_err(), "{life:?}");
        }
    }
}
