//! The signature in the query: a URL that anybody who has it may use until it expires.

use super::{ALGORITHM, Raw};
use crate::canonical;
use crate::refusal::Refusal;

/// Whether a query holds any parameter that only a presigned URL has, however it is spelled.
///
/// Wider than what [`read`] understands: a request that half looks signed is refused for what it
/// lacks, never taken for one without credentials.
pub(super) fn mentioned(query: &str) -> bool {
    const NAMES: [&str; 6] = [
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-signature",
        "x-amz-signedheaders",
        "x-amz-date",
        "x-amz-expires",
    ];
    canonical::parameters(query)
        .any(|(name, _)| NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())))
}

/// Picks the parameters of the signature out of the query.
pub(super) fn read(query: &str) -> Result<Raw, Refusal> {
    let (mut algorithm, mut credential, mut signed_headers) = (None, None, None);
    let (mut signature, mut date, mut expires, mut token) = (None, None, None, None);
    for (name, value) in canonical::parameters(query) {
        let slot = match &*name {
            b"X-Amz-Algorithm" => &mut algorithm,
            b"X-Amz-Credential" => &mut credential,
            b"X-Amz-SignedHeaders" => &mut signed_headers,
            b"X-Amz-Signature" => &mut signature,
            b"X-Amz-Date" => &mut date,
            b"X-Amz-Expires" => &mut expires,
            b"X-Amz-Security-Token" => &mut token,
            _ => continue,
        };
        if slot.replace(String::from_utf8_lossy(&value).into_owned()).is_some() {
            let name = String::from_utf8_lossy(&name);
            return Err(Refusal::Incomplete {
                text: format!("AWS query-string parameters must not repeat '{name}'."),
            });
        }
    }
    match (algorithm, credential, signature, signed_headers, date, expires) {
        (Some(algorithm), Some(_), Some(_), Some(_), Some(_), Some(_))
            if algorithm != ALGORITHM =>
        {
            Err(Refusal::Algorithm { algorithm })
        }
        (
            Some(_),
            Some(credential),
            Some(signature),
            Some(signed_headers),
            Some(date),
            Some(expires),
        ) => Ok(Raw { credential, signed_headers, signature, date, expires: Some(expires), token }),
        (algorithm, credential, signature, signed_headers, date, expires) => {
            let mut text = String::new();
            for (name, part) in [
                ("X-Amz-Algorithm", algorithm),
                ("X-Amz-Credential", credential),
                ("X-Amz-Signature", signature),
                ("X-Amz-SignedHeaders", signed_headers),
                ("X-Amz-Date", date),
                ("X-Amz-Expires", expires),
            ] {
                if part.is_none() {
                    text.push_str("AWS query-string parameters must include '");
                    text.push_str(name);
                    text.push_str("'. ");
                }
            }
            text.push_str("Re-examine the query-string parameters.");
            Err(Refusal::Incomplete { text })
        }
    }
}
