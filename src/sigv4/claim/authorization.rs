//! The signature in the `Authorization` header.
//!
//! ```text
//!   AWS4-HMAC-SHA256 Credential=…/20150830/us-east-1/lambda/aws4_request,
//!                    SignedHeaders=host;x-amz-date, Signature=…
//! ```

use http::HeaderMap;

use super::{ALGORITHM, Raw, sole};
use crate::refusal::{Refusal, hash_of};

/// Takes the header apart.
pub(super) fn read(headers: &HeaderMap) -> Result<Raw, Refusal> {
    let value = sole(headers, "authorization")?.unwrap_or_default();
    let not_assignments = || Refusal::NotAssignments { hash: hash_of(value.as_bytes()) };
    let (algorithm, rest) = value.trim().split_once(' ').ok_or_else(not_assignments)?;
    if algorithm != ALGORITHM {
        // `AWS4-…` of another kind was at least meant for us; `Bearer` and `Basic` were not.
        if algorithm.starts_with("AWS4-") {
            return Err(Refusal::Algorithm { algorithm: algorithm.to_owned() });
        }
        return Err(not_assignments());
    }

    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for assignment in rest.split(',').map(str::trim) {
        let (name, value) = assignment.split_once('=').ok_or_else(not_assignments)?;
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(not_assignments()),
        };
        if slot.replace(value.to_owned()).is_some() {
            return Err(not_assignments());
        }
    }
    let date = sole(headers, "x-amz-date")?;
    let token = sole(headers, "x-amz-security-token")?;

    match (credential, signature, signed_headers, date) {
        (Some(credential), Some(signature), Some(signed_headers), Some(date)) => {
            Ok(Raw { credential, signed_headers, signature, date, expires: None, token })
        }
        (credential, signature, signed_headers, date) => {
            let mut text = String::new();
            for (name, part) in [
                ("Credential", credential),
                ("Signature", signature),
                ("SignedHeaders", signed_headers),
            ] {
                if part.is_none() {
                    text.push_str(&format!("Authorization header requires '{name}' parameter. "));
                }
            }
            if date.is_none() {
                text.push_str(
                    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                     header. ",
                );
            }
            let hash = hash_of(value.as_bytes());
            text.push_str("(Hashed with SHA-256 and encoded with Base64) Authorization=");
            text.push_str(&hash);
            Err(Refusal::Incomplete { text })
        }
    }
}
