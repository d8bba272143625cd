//! OAuth 2.0 client credentials ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)), for services
//! behind an identity provider: Feldera with OIDC, Snowflake with External OAuth.
//!
//! [`ClientCredentials`] requests an access token. [`credentials`] keeps the token as long as it is valid:
//!
//! ```no_run
//! # fn example<R: pipewright::driver::Runtime + Clone + Send + Sync + 'static>(runtime: R)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use pipewright::Secret;
//! use pipewright::feldera::Feldera;
//! use pipewright::oauth::{self, ClientCredentials, TokenEndpoint};
//!
//! let endpoint = TokenEndpoint::new("https://login.example/realms/data/protocol/openid-connect/token".parse()?, runtime.clone());
//! let secret = Secret::new(std::env::var("CLIENT_SECRET")?);
//! let credentials = oauth::credentials(endpoint, ClientCredentials::new("loader", secret).scope("openid"));
//! let feldera = Feldera::new("https://feldera.example".parse()?, runtime).with_credentials(credentials);
//! # Ok(())
//! # }
//! ```
//!
//! In an async program, run the goal in the closure of
//! [`AsyncDriver::with_async_credentials`](crate::driver::AsyncDriver::with_async_credentials), and keep the token with
//! the time when it [expires](AccessToken::into_bearer).

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::body::Body;
use crate::driver::{Basic, BearerToken, Client, Credentials, Refreshing, Runtime};
use crate::error::{Applied, BuildError, CredentialError, FlowError, ServiceError};
use crate::flow::{Call, Config, Goal};
use crate::json;
use crate::operation::{self, Effect, Operation, OperationInfo, RequestContext, Service, Target};
use crate::schema::json_structs;
use crate::secret::Secret;
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::url::form_value;

/// A marker for an OAuth 2.0 authorization server: the [`Service`] of [`ClientCredentials`]. The base address is the
/// token endpoint.
#[derive(Clone, Copy, Debug)]
pub enum AuthorizationServer {}

/// A client for a token endpoint. Its base address is the complete address of the endpoint.
pub type TokenEndpoint<R> = Client<AuthorizationServer, R>;

impl Service for AuthorizationServer {
    const NAME: &'static str = "oauth";

    /// Parses an error response of [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2): its `error` is
    /// the code.
    fn parse_error(info: &'static OperationInfo, response: &Response<Bytes>) -> ServiceError {
        let Ok(ErrorResponse { error, error_description }) = json::read(response.body()) else {
            return ServiceError::foreign(info, response);
        };
        let status = response.status();
        let transient = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || matches!(&*error, "temporarily_unavailable" | "server_error");
        let message = error_description.unwrap_or_else(|| "no description".to_owned());
        // An unused token does no harm.
        ServiceError::rejected(info, response, Some(error), message).with_transient(transient).with_applied(Applied::No)
    }
}

json_structs! {
    /// The response of [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2).
    struct ErrorResponse {
        /// The code, such as `invalid_client`.
        pub error: String,
        pub error_description: Option<String>,
    }

    /// The response of [RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1).
    struct TokenResponse {
        pub access_token: String,
        /// `Bearer`, in upper or lower case.
        pub token_type: String,
        /// Seconds from the response until the token expires.
        pub expires_in: Option<u64>,
        /// The scope, if it differs from the requested scope.
        pub scope: Option<String>,
    }
}

/// Requests an access token with the client's own credentials. An operation, and a goal whose flow is its [`Call`].
///
/// By default the credentials go into the `Authorization` header, as every authorization server supports it
/// ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
///
/// # Errors
/// * [`FlowError::Service`] with the code `invalid_client` if the server does not know the client or its secret; with
///   `invalid_scope` if the client may not have the scope.
/// * [`FlowError::Build`] if the address is plain `http` on another machine, unless [allowed](Self::allow_plaintext).
///
/// ```
/// use std::time::Duration;
/// use pipewright::Secret;
/// use pipewright::driver::Canned;
/// use pipewright::oauth::{ClientCredentials, TokenEndpoint};
///
/// let runtime = Canned::new([("POST /oauth/token", 200, r#"{"access_token":"2YotnF","token_type":"Bearer","expires_in":3600}"#)]);
/// let endpoint = TokenEndpoint::new("https://login.example/oauth/token".parse()?, runtime);
/// let token = endpoint.run(ClientCredentials::new("loader", Secret::new("s3cr3t")).scope("session:role:INGEST"))?;
/// assert_eq!(token.expires_in, Some(Duration::from_secs(3600)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a goal does nothing until it is run"]
pub struct ClientCredentials {
    client_id: String,
    client_secret: Secret,
    scope: Option<String>,
    parameters: Vec<(String, Secret)>,
    in_body: bool,
    plaintext_allowed: bool,
}

impl ClientCredentials {
    /// Creates the request of a client.
    pub fn new(client_id: impl Into<String>, client_secret: Secret) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret,
            scope: None,
            parameters: Vec::new(),
            in_body: false,
            plaintext_allowed: false,
        }
    }

    /// Sets the scope: names separated by spaces.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Adds a parameter that the server requires, such as `audience` or `resource`.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<Box<str>>) -> Self {
        self.parameters.push((name.into(), Secret::new(value)));
        self
    }

    /// Sends the client's credentials in the body instead of the header, for servers that require it.
    pub fn credentials_in_body(mut self) -> Self {
        self.in_body = true;
        self
    }

    /// Allows plain `http` to another machine. **Anyone on the network path can read the client's credentials.**
    pub fn allow_plaintext(mut self) -> Self {
        self.plaintext_allowed = true;
        self
    }
}

impl Operation for ClientCredentials {
    type Output = AccessToken;
    type Service = AuthorizationServer;

    const INFO: &'static OperationInfo = &OperationInfo {
        service: AuthorizationServer::NAME,
        name: "requestToken",
        method: Method::POST,
        path: "",
        // A second token leaves the first token as it is.
        effect: Effect::Safe,
        effect_varies: false,
    };

    fn request(&self, cx: RequestContext<'_>) -> Result<Request<Body>, BuildError> {
        if cx.base().is_exposed() && !self.plaintext_allowed {
            return Err(BuildError::Plaintext { authority: cx.base().authority().to_string() });
        }
        let mut form = "grant_type=client_credentials".to_owned();
        let mut add = |name: &str, value: &str| {
            form.extend(["&", &*form_value(name), "=", &*form_value(value)]);
        };
        if let Some(scope) = &self.scope {
            add("scope", scope);
        }
        for (name, value) in &self.parameters {
            add(name, value.expose());
        }
        if self.in_body {
            add("client_id", &self.client_id);
            add("client_secret", self.client_secret.expose());
        }
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut request = Target::new::<AuthorizationServer>(Self::INFO, cx).finish_with(form.into(), content_type)?;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if !self.in_body {
            let basic = Basic::encode(&form_value(&self.client_id), &form_value(self.client_secret.expose()));
            let too_long =
                |_| BuildError::value(Self::INFO.name, "client id", &self.client_id, "no header can hold it");
            request.headers_mut().insert(header::AUTHORIZATION, basic.map_err(too_long)?.into_header());
        }
        Ok(request)
    }

    fn parse(&self, response: Response<Bytes>) -> Result<AccessToken, ServiceError> {
        operation::parse_by::<AuthorizationServer, _>(Self::INFO, &response, |info, response| {
            // The body holds a token, and is not shown.
            let hidden = |problem: &str| {
                let empty = Response::builder().status(response.status()).body(Bytes::new()).unwrap_or_default();
                ServiceError::unreadable(info, &empty, problem)
            };
            operation::reject_compressed(info, response)?;
            let answer: TokenResponse = json::read(response.body())
                .map_err(|_| hidden("expected a JSON object with access_token and token_type"))?;
            if !answer.token_type.eq_ignore_ascii_case("bearer") {
                return Err(hidden("expected a token of type Bearer").with_transient(false));
            }
            let token = Secret::new(answer.access_token);
            token.bearer().map_err(|_| hidden("a token with characters that no header may hold"))?;
            let expires_in = answer.expires_in.map(Duration::from_secs);
            Ok(AccessToken { token, expires_in, scope: answer.scope })
        })
    }
}

impl Goal for ClientCredentials {
    type Service = AuthorizationServer;
    type Output = AccessToken;
    type Flow = Call<Self>;

    fn start(self, config: &Config<AuthorizationServer>, seed: Seed) -> Call<Self> {
        Call::new(self, config, seed)
    }
}

/// An access token. `Debug` does not show the secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccessToken {
    #[allow(missing_docs, reason = "the name says everything")]
    pub token: Secret,
    /// How long the token is valid, from the response. `None` if the server does not say so.
    pub expires_in: Option<Duration>,
    /// The scope of the token, if it differs from the requested scope.
    pub scope: Option<String>,
}

impl AccessToken {
    /// Returns the token with the time when it expires, if the response came at `now`.
    pub fn into_bearer(self, now: Timestamp) -> BearerToken {
        BearerToken::new(self.token, self.expires_in.map(|life| now + life))
    }
}

/// Returns credentials that request an access token when needed, and keep it until shortly before it expires or until
/// the service rejects it. See [`Refreshing`].
pub fn credentials<R: Runtime + Send + Sync + 'static>(
    endpoint: TokenEndpoint<R>,
    goal: ClientCredentials,
) -> impl Credentials + fmt::Debug + Send + Sync + 'static {
    Refreshing::new(move |now| match endpoint.call(goal.clone()) {
        Ok(token) => Ok(token.into_bearer(now)),
        Err(error) => Err(credential_error(&error)),
    })
}

/// Returns the error of a failed token request. It is transient if the network failed or the server was busy.
fn credential_error(error: &FlowError) -> CredentialError {
    let is_transient = match error {
        FlowError::Transport(_) => true,
        error => error.service().is_some_and(ServiceError::is_transient),
    };
    let message = error.to_string();
    if is_transient { CredentialError::transient(message) } else { CredentialError::permanent(message) }
}
