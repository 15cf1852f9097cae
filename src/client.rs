//! A client of Hearth's own API: the same requests that the AWS CLI sends, signed the same way.
//!
//! There is no second, home-made API, so everything the command line does, any AWS client can do.
//! One connection per request: verbs make a handful of them.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sigv4::{Credentials, PathStyle, Payload, Secret};
use tokio::net::TcpStream;

use crate::args::Remote;
use crate::config;

/// Longest wait for an answer: AWS's longest function, and a moment.
const PATIENCE: Duration = Duration::from_secs(15 * 60 + 30);

/// Where requests go and how they are signed.
#[derive(Debug, Clone)]
pub struct Client {
    authority: String,
    region: String,
    credentials: Option<Credentials>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// An answer that says no, in AWS's words.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refused {
    /// HTTP status.
    pub status: StatusCode,
    /// AWS's name for the error.
    pub code: String,
    /// What it says.
    pub message: String,
}

/// The administrator's key of the user's own daemon, or else of root's, if he may read it.
fn usual_credentials() -> Option<Credentials> {
    let places = [config::Places::usual().ok(), Some(config::Places::of_root())];
    let files = places.into_iter().flatten().map(|places| places.data.join("credentials"));
    files.into_iter().find_map(|file| read_credentials(&file).ok())
}

// === impl Client ===

impl Client {
    /// A client for the daemon that the options name, with the key they name or else the
    /// administrator's.
    ///
    /// # Errors
    /// An endpoint that is not `http://host:port`, a credentials file that cannot be used.
    pub fn new(remote: &Remote) -> Result<Self> {
        let credentials = match &remote.credentials {
            Some(file) => Some(read_credentials(file)?),
            // Not there, or not for us: a daemon in development mode asks for none.
            None => usual_credentials(),
        };
        Self::build(&remote.endpoint, &remote.region, credentials)
    }

    /// A client for a daemon that accepts requests without a signature.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn unsigned(endpoint: &str) -> Result<Self> {
        Self::build(endpoint, "us-east-1", None)
    }

    fn build(endpoint: &str, region: &str, credentials: Option<Credentials>) -> Result<Self> {
        let uri: Uri = endpoint.parse().with_context(|| format!("'{endpoint}' is not a URL"))?;
        if uri.scheme_str() != Some("http") {
            bail!("'{endpoint}' does not start with http://; the management API is plain HTTP");
        }
        let authority = uri.authority().context("the endpoint has no host")?;
        let authority = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:80"),
        };
        Ok(Self { authority, region: region.to_owned(), credentials })
    }

    /// A Lambda request whose answer must be a success, read as JSON; an empty body is `null`.
    ///
    /// # Errors
    /// [`Refused`] if the daemon says no; others if it cannot be reached.
    pub async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let answer = self.send("lambda", method, path, &[], bytes).await?.accepted()?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).context("the daemon's answer is not JSON")
    }

    /// A CloudWatch Logs request.
    ///
    /// # Errors
    /// As [`Client::json`].
    pub async fn logs(&self, operation: &str, body: &Value) -> Result<Value> {
        let target = format!("Logs_20140328.{operation}");
        let headers = [("x-amz-target", target.as_str())];
        let bytes = Bytes::from(body.to_string());
        let answer = self.send("logs", Method::POST, "/", &headers, bytes).await?.accepted()?;
        serde_json::from_slice(&answer.body).context("the daemon's answer is not JSON")
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// If the daemon cannot be reached or stops in the middle.
    pub async fn send(
        &self,
        service: &str,
        method: Method,
        path: &str,
        extra: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).body(body.clone())?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&self.authority)?);
        let kind =
            if service == "logs" { "application/x-amz-json-1.1" } else { "application/json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        for (name, value) in extra {
            headers.insert(HeaderName::try_from(*name)?, HeaderValue::from_str(value)?);
        }
        if let Some(credentials) = &self.credentials {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let scope =
                sigv4::sign::Scope { region: &self.region, service, paths: PathStyle::Normalised };
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let target = (uri.path(), uri.query());
            let payload = Payload::Bytes(&body);
            sigv4::sign(credentials, scope, &method, target, request.headers_mut(), payload, now)?;
        }
        let answer = tokio::time::timeout(PATIENCE, self.exchange(request.map(Full::new)))
            .await
            .map_err(|_| anyhow!("http://{} did not answer in time", self.authority))??;
        if self.credentials.is_none() && answer.status == StatusCode::FORBIDDEN {
            bail!(
                "http://{} asks for an access key, and no administrator's was found that can be \
                 read: use sudo, or name a file with --credentials (a daemon says at its start \
                 where its own lies)",
                self.authority
            );
        }
        Ok(answer)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let stream = TcpStream::connect(&self.authority).await.with_context(|| {
            format!(
                "no daemon answers at http://{}; start one with `hearth serve`, or name another \
                 with --endpoint",
                self.authority
            )
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.context("the daemon hung up")?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.context("the daemon hung up in the middle of an answer")?;
        connection.abort();
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }
}

// === impl Answer ===

impl Answer {
    /// Itself, if the status is a success.
    ///
    /// # Errors
    /// [`Refused`] otherwise.
    pub fn accepted(self) -> Result<Self, Refused> {
        if self.status.is_success() {
            return Ok(self);
        }
        let header = |name: &str| {
            let value = self.headers.get(name)?.to_str().ok()?;
            Some(value.split(':').next().unwrap_or(value).to_owned())
        };
        let document: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let field = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = field("message").or_else(|| field("Message"));
        Err(Refused {
            status: self.status,
            code: header("x-amzn-errortype")
                .or_else(|| field("__type"))
                .unwrap_or_else(|| self.status.to_string()),
            message: message
                .unwrap_or_else(|| String::from_utf8_lossy(&self.body).trim().to_owned()),
        })
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Reads the first key of a file in AWS's shared-credentials format.
fn read_credentials(file: &Path) -> Result<Credentials> {
    let text = std::fs::read_to_string(file).with_context(|| {
        format!(
            "credentials {} cannot be read (a daemon's own belong to root, or to who started it)",
            file.display()
        )
    })?;
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == wanted).then(|| value.trim().to_owned())
        })
    };
    match (value("aws_access_key_id"), value("aws_secret_access_key")) {
        (Some(access_key_id), Some(secret)) => {
            Ok(Credentials { access_key_id, secret: Secret::new(&secret) })
        }
        _ => bail!("{} holds no aws_access_key_id and aws_secret_access_key", file.display()),
    }
}
