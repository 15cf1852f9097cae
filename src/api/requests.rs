//! What bodies of requests say: AWS's members, read and not yet checked.
//!
//! Members that are missing and members that are `null` are the same. Members that the model does
//! not have are passed over, as AWS passes over them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use httpd::AwsError;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use crate::errors;

/// A map in the order it was written, which decides what AWS prints and measures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

/// Bytes that came in base64.
pub(crate) struct Blob(pub(crate) Vec<u8>);

/// CreateFunction and UpdateFunctionConfiguration: the members of both, most of which they share.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct FunctionRequest {
    pub(crate) function_name: Option<String>,
    pub(crate) runtime: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) handler: Option<String>,
    pub(crate) code: Option<CodeRequest>,
    pub(crate) description: Option<String>,
    pub(crate) timeout: Option<i64>,
    pub(crate) memory_size: Option<i64>,
    pub(crate) publish: Option<bool>,
    pub(crate) vpc_config: Option<VpcConfig>,
    pub(crate) package_type: Option<String>,
    pub(crate) dead_letter_config: Option<DeadLetterConfig>,
    pub(crate) environment: Option<EnvironmentRequest>,
    #[serde(rename = "KMSKeyArn")]
    pub(crate) kms_key_arn: Option<String>,
    pub(crate) tracing_config: Option<TracingConfig>,
    pub(crate) tags: Option<Pairs>,
    pub(crate) layers: Option<Vec<String>>,
    pub(crate) file_system_configs: Option<Vec<IgnoredAny>>,
    pub(crate) image_config: Option<ImageConfig>,
    pub(crate) code_signing_config_arn: Option<String>,
    pub(crate) architectures: Option<Vec<String>>,
    pub(crate) ephemeral_storage: Option<EphemeralStorage>,
    pub(crate) snap_start: Option<SnapStart>,
    pub(crate) logging_config: Option<LoggingConfig>,
    pub(crate) capacity_provider_config: Option<IgnoredAny>,
    pub(crate) publish_to: Option<String>,
    pub(crate) durable_config: Option<IgnoredAny>,
    pub(crate) tenancy_config: Option<IgnoredAny>,
    pub(crate) revision_id: Option<String>,
}

/// UpdateFunctionCode, and the member `Code` of CreateFunction.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct CodeRequest {
    pub(crate) zip_file: Option<Blob>,
    #[serde(rename = "S3Bucket")]
    pub(crate) s3_bucket: Option<String>,
    #[serde(rename = "S3Key")]
    pub(crate) s3_key: Option<String>,
    pub(crate) image_uri: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    pub(crate) source_kms_key_arn: Option<String>,
    pub(crate) publish: Option<bool>,
    pub(crate) dry_run: Option<bool>,
    pub(crate) revision_id: Option<String>,
    pub(crate) architectures: Option<Vec<String>>,
    pub(crate) publish_to: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct VpcConfig {
    pub(crate) subnet_ids: Option<Vec<String>>,
    pub(crate) security_group_ids: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DeadLetterConfig {
    pub(crate) target_arn: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EnvironmentRequest {
    pub(crate) variables: Option<Pairs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct TracingConfig {
    pub(crate) mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ImageConfig {
    pub(crate) entry_point: Option<Vec<String>>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) working_directory: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EphemeralStorage {
    pub(crate) size: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SnapStart {
    pub(crate) apply_on: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct LoggingConfig {
    pub(crate) log_format: Option<String>,
    pub(crate) application_log_level: Option<String>,
    pub(crate) system_log_level: Option<String>,
    pub(crate) log_group: Option<String>,
}

/// PutProvisionedConcurrencyConfig.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ProvisionedRequest {
    pub(crate) provisioned_concurrent_executions: Option<i64>,
}

/// Reads a body; an empty one is one without members.
///
/// # Errors
/// If it is not JSON, or a member has another type than the model says.
pub(crate) fn parse<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, AwsError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    // Of a list, members would be taken by their places.
    let is_list = body.trim_ascii_start().starts_with(b"[");
    if is_list && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        let message = "Start of list found where not expected";
        return Err(AwsError::new(StatusCode::BAD_REQUEST, "SerializationException", message));
    }
    serde_json::from_slice(body).map_err(|err| match err.classify() {
        Category::Data => {
            AwsError::new(StatusCode::BAD_REQUEST, "SerializationException", err.to_string())
        }
        Category::Io | Category::Syntax | Category::Eof => {
            errors::content(format!("Could not parse request body into json: {err}"))
        }
    })
}

// === impl Pairs ===

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    // A name given twice counts once, with its last value.
                    pairs.retain(|(other, _)| *other != key);
                    pairs.push((key, value));
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Read)
    }
}

// === impl Blob ===

impl<'de> Deserialize<'de> for Blob {
    /// Decodes while reading, so that a package is in memory twice (as it came, and decoded), not
    /// three times.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Blob, E> {
                STANDARD
                    .decode(text)
                    .map(Blob)
                    .map_err(|err| E::custom(format_args!("a blob is not base64: {err}")))
            }
        }
        from.deserialize_str(Read).map_err(D::Error::custom)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
