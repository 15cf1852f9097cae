//! Promises about gathering a request.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::types::{
    CreateAliasRequest, InvocationRequest, ListFunctionsRequest, UntagResourceRequest,
};
use crate::types::{CreateFunctionRequest, GetLayerVersionRequest, UpdateFunctionCodeRequest};

fn request<'a>(
    labels: &'a Labels<'a>,
    query: &'a [(Cow<'a, str>, Cow<'a, str>)],
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
) -> Request<'a> {
    Request { labels, query, headers, body: body.as_bytes() }
}

fn pair<'a>(name: &'a str, value: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    (Cow::Borrowed(name), Cow::Borrowed(value))
}

#[test]
fn members_come_from_path_query_head_and_body() {
    let labels = Labels::one("FunctionName", Cow::Borrowed("f"));
    let query = [pair("Qualifier", "live")];
    let headers = [("x-amz-invocation-type", "DryRun"), ("x-amz-log-type", "Tail")];
    let read = request(&labels, &query, &headers, "not looked at").read::<InvocationRequest>();
    let read = read.expect("it is within the model");
    assert_eq!(read.function_name.as_deref(), Some("f"));
    assert_eq!(read.qualifier.as_deref(), Some("live"));
    assert_eq!(read.invocation_type.as_deref(), Some("DryRun"));
    assert_eq!(read.log_type.as_deref(), Some("Tail"));

    let body = r#"{"FunctionName": "other", "Name": "live", "FunctionVersion": "1",
        "RoutingConfig": {"AdditionalVersionWeights": {"3": 0.25, "2": 1}}}"#;
    let read = request(&labels, &[], &[], body).read::<CreateAliasRequest>();
    let read = read.expect("it is within the model");
    assert_eq!(read.function_name.as_deref(), Some("f"), "the path says it");
    let weights = read.routing_config.and_then(|config| config.additional_version_weights);
    let weights = weights.expect("they are given").0;
    assert_eq!(weights, [("3".to_owned(), 0.25), ("2".to_owned(), 1.0)], "in their order");
}

#[test]
fn numbers_and_lists_are_read_from_queries() {
    let labels = Labels::default();
    let query = [pair("MaxItems", "3"), pair("Marker", "m"), pair("FunctionVersion", "")];
    let read = request(&labels, &query, &[], "").read::<ListFunctionsRequest>();
    let read = read.expect("it is within the model");
    assert_eq!((read.max_items, read.marker.as_deref()), (Some(3), Some("m")));
    assert_eq!(read.function_version, None);

    let query = [pair("MaxItems", "three")];
    let read = request(&labels, &query, &[], "").read::<ListFunctionsRequest>();
    let sentence = "STRING_VALUE can not be converted to an Integer";
    assert!(matches!(read, Err(Unreadable::Mistyped(said)) if said == sentence));

    let path = ["2018-10-31", "layers", "l", "versions", "7"].map(Cow::Borrowed);
    let (operation, labels) = Operation::find("GET", &path, None).expect("there is such a one");
    assert_eq!(operation, Operation::GetLayerVersion);
    let read = request(&labels, &[], &[], "").read::<GetLayerVersionRequest>();
    assert_eq!(read.expect("it is within the model").version_number, Some(7));

    let arn = Cow::Borrowed("arn:aws:lambda:us-east-1:000000000000:function:f");
    let labels = Labels::one("Resource", arn);
    let query = [pair("tagKeys", "a"), pair("tagKeys", "b")];
    let read = request(&labels, &query, &[], "").read::<UntagResourceRequest>();
    assert_eq!(read.expect("it is within the model").tag_keys, Some(vec!["a".into(), "b".into()]));
}

#[test]
fn of_a_member_given_twice_the_last_counts() {
    let labels = Labels::one("FunctionName", Cow::Borrowed("f"));
    let body = r#"{"DryRun": "x", "Publish": true, "DryRun": false, "Publish": false}"#;
    let read = request(&labels, &[], &[], body).read::<UpdateFunctionCodeRequest>();
    let read = read.expect("it is within the model");
    assert_eq!((read.publish, read.dry_run), (Some(false), Some(false)));
}

#[test]
fn packages_are_decoded_and_what_is_no_base64_is_refused() {
    let labels = Labels::one("FunctionName", Cow::Borrowed("f"));
    let read = |body: &str| request(&labels, &[], &[], body).read::<UpdateFunctionCodeRequest>();
    let blob = read(r#"{"ZipFile": "UEsD"}"#).expect("it is base64").zip_file.expect("it is given");
    assert_eq!((blob.0.as_slice(), format!("{blob:?}").as_str()), (&b"PK\x03"[..], "3 bytes"));
    assert!(matches!(read(r#"{"ZipFile": "%"}"#), Err(Unreadable::Mistyped(_))));
}

#[test]
fn names_that_serde_would_spell_otherwise_are_spelled_as_the_model_does() {
    let body = r#"{"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r",
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "Code": {"S3Bucket": "bucket", "S3Key": "k", "SourceKMSKeyArn": "arn:aws:kms:::key/k"}}"#;
    let labels = Labels::default();
    let read = request(&labels, &[], &[], body).read::<CreateFunctionRequest>();
    let read = read.expect("it is within the model");
    assert!(read.kms_key_arn.is_some());
    let code = read.code.expect("it is given");
    assert!(code.s3_bucket.is_some() && code.s3_key.is_some() && code.source_kms_key_arn.is_some());
}

#[test]
fn a_body_that_is_no_json_is_told_from_one_of_the_wrong_shape() {
    let labels = Labels::one("FunctionName", Cow::Borrowed("f"));
    let read = |body: &str| request(&labels, &[], &[], body).read::<CreateAliasRequest>();
    assert!(matches!(read("{"), Err(Unreadable::NotJson(_))));
    assert!(
        matches!(read(&"[".repeat(200_000)), Err(Unreadable::NotJson(_))),
        "nor an end of the stack"
    );
    assert!(matches!(read("[]"), Err(Unreadable::Mistyped(_))));
    assert!(matches!(read(""), Err(Unreadable::Invalid(_))));
}

/// Any JSON at all, names of members among its keys.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let names = prop_oneof![
        Just("Name".to_owned()),
        Just("FunctionName".to_owned()),
        Just("RoutingConfig".to_owned()),
        Just("AdditionalVersionWeights".to_owned()),
        Just("Environment".to_owned()),
        Just("Variables".to_owned()),
        Just("FilterCriteria".to_owned()),
        Just("Filters".to_owned()),
        Just("Layers".to_owned()),
        Just("Timeout".to_owned()),
        "\\PC{0,8}",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        "\\PC{0,40}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Nothing that somebody sends takes the server down, and what breaks a model is told in words.
    #[test]
    fn every_operation_reads_or_refuses_whatever_comes(
        body in json(),
        path in "\\PC{0,40}",
        value in "\\PC{0,40}",
    ) {
        let body = body.to_string();
        let labels = Labels::one("FunctionName", Cow::Borrowed(path.as_str()));
        let query = [pair("Qualifier", &value), pair("MaxItems", &value), pair("tagKeys", &value)];
        let headers = [("x-amz-log-type", value.as_str())];
        for operation in Operation::all() {
            let request = request(&labels, &query, &headers, &body);
            match request.check(operation) {
                Ok(()) => {}
                Err(Unreadable::Invalid(found)) => {
                    prop_assert!(!found.is_empty());
                    prop_assert!(found.iter().all(|said| said.contains("failed to satisfy constraint: ")));
                }
                Err(Unreadable::Mistyped(sentence)) => prop_assert!(!sentence.is_empty()),
                Err(Unreadable::NotJson(err)) => prop_assert!(false, "it is JSON: {err}"),
            }
        }
    }
}
