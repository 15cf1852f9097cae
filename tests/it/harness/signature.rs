//! AWS Signature Version 4 for requests of the tests, written from AWS's description alone.
//!
//! Every input can be set, so that a test can sign with a wrong one.

use jiff::{Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::http::Request;

/// Block of SHA-256, bytes; HMAC pads its key to it.
const BLOCK: usize = 64;

/// Who signs, and as what.
#[derive(Debug, Clone)]
pub struct Signer {
    /// Access key id.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// Session token, sent and signed if there is one.
    pub token: Option<String>,
    /// Region of the credential scope.
    pub region: String,
    /// Service of the credential scope.
    pub service: String,
    /// When the request says it was signed.
    pub time: Timestamp,
}

// === impl Signer ===

impl Signer {
    /// Adds date and signature; `host` is what the `Host` header will carry.
    pub fn sign(&self, mut request: Request, host: &str) -> Request {
        let host = request.get("host").unwrap_or(host).to_owned();
        let now = self.time.to_zoned(TimeZone::UTC);
        let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &date[..8];
        if request.get("host").is_none() {
            request = request.header("host", &host);
        }
        request = request.header("x-amz-date", &date);
        if let Some(token) = &self.token {
            request = request.header("x-amz-security-token", token);
        }

        let mut signed: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .filter(|(name, _)| name != "content-length" && name != "connection")
            .collect();
        signed.sort();
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String =
            signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();

        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let mut pairs: Vec<String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| format!("{}={}", encode(name, b"%"), encode(value, b"%")))
            .collect();
        pairs.sort();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{}",
            request.method,
            encode(path, b"/"),
            pairs.join("&"),
            hex(&Sha256::digest(&request.body))
        );

        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let digest = hex(&Sha256::digest(canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day, &self.region, &self.service, "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        let signature = hex(&hmac(&key, text.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.key
        );
        request.header("authorization", &authorization)
    }
}

/// Percent-encodes what is neither plain nor in `kept`. A path is signed as it is on the wire, encoded
/// once more; in a query only what should have been encoded is.
fn encode(text: &str, kept: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| match plain(byte) || kept.contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; BLOCK];
    match key.len() <= BLOCK {
        true => block[..key.len()].copy_from_slice(key),
        false => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
