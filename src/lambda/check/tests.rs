//! Promises about what breaks the model: AWS's sentences to the letter.

use std::borrow::Cow;

use crate::operation::Labels;
use crate::{Operation, Request, Unreadable};

/// What is said about a body; `f` stands in the path.
fn said(operation: Operation, body: &str) -> String {
    let labels = Labels::one("FunctionName", Cow::Borrowed("f"));
    let query = [(Cow::Borrowed("Qualifier"), Cow::Borrowed("q"))];
    let request = Request { labels: &labels, query: &query, headers: &[], body: body.as_bytes() };
    match request.check(operation) {
        Ok(()) => String::new(),
        Err(Unreadable::NotJson(err)) => format!("not JSON: {err}"),
        Err(Unreadable::Mistyped(sentence)) => sentence,
        Err(Unreadable::Invalid(found)) => found.join("; "),
    }
}

#[test]
fn a_request_within_the_model_breaks_nothing() {
    let body = r#"{"Name": "live", "FunctionVersion": "1", "RoutingConfig":
        {"AdditionalVersionWeights": {"2": 0.5}}, "Something": ["else"], "Description": null}"#;
    assert_eq!(said(Operation::CreateAlias, body), "");
}

#[test]
fn everything_that_breaks_the_model_is_told_in_its_order() {
    assert_eq!(
        said(Operation::CreateAlias, r#"{"FunctionVersion": "x", "Name": "2024"}"#),
        r"Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+); Value 'x' at 'functionVersion' failed to satisfy constraint: Member must satisfy regular expression pattern: (\$LATEST(\.PUBLISHED)?|[0-9]+)"
    );
    assert_eq!(
        said(Operation::CreateAlias, "{}"),
        "Value null at 'name' failed to satisfy constraint: Member must not be null; Value null at \
         'functionVersion' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn keys_and_values_of_maps_are_told_apart() {
    let weights = |of: &str| {
        let body = format!(
            r#"{{"Name": "a", "FunctionVersion": "1",
                "RoutingConfig": {{"AdditionalVersionWeights": {of}}}}}"#
        );
        said(Operation::CreateAlias, &body)
    };
    let at = "at 'routingConfig.additionalVersionWeights' failed to satisfy constraint:";
    assert_eq!(
        weights(r#"{"$LATEST": 0.5}"#),
        format!(
            "Value '{{$LATEST=0.5}}' {at} Map keys must satisfy constraint: [Member must have \
             length less than or equal to 1024, Member must have length greater than or equal to 1, \
             Member must satisfy regular expression pattern: [0-9]+, Member must not be null]"
        )
    );
    assert_eq!(
        weights(r#"{"2": 2}"#),
        format!(
            "Value '{{2=2.0}}' {at} Map value must satisfy constraint: [Member must have value less \
             than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must \
             not be null]"
        )
    );
}

#[test]
fn lists_of_texts_and_of_structures_are_told_apart() {
    assert_eq!(
        said(Operation::CreateEventSourceMapping, r#"{"FunctionName": "f", "Queues": []}"#),
        "Value '[]' at 'queues' failed to satisfy constraint: Member must have length greater than \
         or equal to 1"
    );
    let body = r#"{"FunctionName": "f", "SourceAccessConfigurations":
        [{"Type": "IAM_AUTH"}, {"Type": "PLAIN"}]}"#;
    let told = said(Operation::CreateEventSourceMapping, body);
    let begin = "Value 'PLAIN' at 'sourceAccessConfigurations.2.member.type' failed to satisfy \
                 constraint: Member must satisfy enum value set: [BASIC_AUTH, VPC_SUBNET,";
    assert!(told.starts_with(begin), "{told}");
}

#[test]
fn sets_are_printed_in_the_order_that_aws_prints_them_in() {
    assert_eq!(
        said(Operation::PutFunctionRecursionConfig, r#"{"RecursiveLoop": "InvalidValue"}"#),
        "Value 'InvalidValue' at 'recursiveLoop' failed to satisfy constraint: Member must satisfy \
         enum value set: [Terminate, Allow]"
    );
    let body = r#"{"FunctionName": "f", "StartingPosition": "invalid"}"#;
    assert_eq!(
        said(Operation::CreateEventSourceMapping, body),
        "Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member must satisfy \
         enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"
    );
}

#[test]
fn numbers_have_limits_on_both_sides() {
    let said = |number: &str| {
        let body = format!(r#"{{"ProvisionedConcurrentExecutions": {number}}}"#);
        said(Operation::PutProvisionedConcurrencyConfig, &body)
    };
    assert_eq!(said("1"), "");
    assert_eq!(
        said("0"),
        "Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must \
         have value greater than or equal to 1"
    );
    assert_eq!(said("2147483648"), "NUMBER_VALUE can not be converted to an Integer");
}

#[test]
fn values_of_another_type_are_named_by_jackson_s_words() {
    let operation = Operation::CreateAlias;
    for (body, sentence) in [
        (r#"{"Name": 1}"#, "NUMBER_VALUE can not be converted to a String"),
        (r#"{"Name": true}"#, "TRUE_VALUE can not be converted to a String"),
        (r#"{"Name": []}"#, "Start of list found where not expected"),
        (r#"{"Name": {}}"#, "Start of structure or map found where not expected."),
        (r#"{"RoutingConfig": "x"}"#, "Expected null"),
        (r#"[]"#, "Start of list found where not expected"),
        (r#"7"#, "Expected null"),
    ] {
        assert_eq!(said(operation, body), sentence, "{body}");
    }
    let body = r#"{"FunctionName": "f", "BatchSize": "1"}"#;
    let sentence = "STRING_VALUE can not be converted to an Integer";
    assert_eq!(said(Operation::CreateEventSourceMapping, body), sentence);
    let body = r#"{"FunctionName": "f", "Queues": "q"}"#;
    assert_eq!(said(Operation::CreateEventSourceMapping, body), "Expected list or null");
}

#[test]
fn secrets_are_not_repeated() {
    let body = r#"{"Environment": {"Variables": {"1A": "secret", "_HANDLER": "x"}}}"#;
    assert_eq!(
        said(Operation::UpdateFunctionConfiguration, body),
        "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy \
         constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+, \
         Member must not be null]"
    );
}

#[test]
fn an_unknown_runtime_is_the_operation_s_to_refuse_and_a_list_s_is_told_flat() {
    assert_eq!(said(Operation::UpdateFunctionConfiguration, r#"{"Runtime": "cobol"}"#), "");
    let labels = Labels::one("LayerName", Cow::Borrowed("l"));
    let body =
        br#"{"Content": {}, "CompatibleRuntimes": ["cobol"], "CompatibleArchitectures": ["x"]}"#;
    let request = Request { labels: &labels, query: &[], headers: &[], body };
    let Err(Unreadable::Invalid(found)) = request.check(Operation::PublishLayerVersion) else {
        panic!("it breaks the model");
    };
    let at = "Value '[cobol]' at 'compatibleRuntimes' failed to satisfy constraint: Member must \
              satisfy enum value set: [nodejs";
    assert!(found[0].starts_with(at), "{found:?}");
    assert_eq!(
        found[1],
        "Value '[x]' at 'compatibleArchitectures' failed to satisfy constraint: Member must satisfy \
         constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
    );
}

/// Members that are too many are printed as AWS prints its own classes.
#[test]
fn structures_are_printed_as_java_prints_them() {
    let one = r#"{"Arn": "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0", "LocalMountPath": "/mnt/a"}"#;
    let body = format!(r#"{{"FileSystemConfigs": [{one}, {one}]}}"#);
    let told = said(Operation::UpdateFunctionConfiguration, &body);
    let begin = "Value '[FileSystemConfig(arn=arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0, localMountPath=/mnt/a";
    assert!(told.starts_with(begin), "{told}");
    assert!(told.ends_with("Member must have length less than or equal to 1"), "{told}");
}
