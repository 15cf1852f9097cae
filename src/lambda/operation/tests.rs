//! Promises about finding an operation.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::*;

fn find(method: &str, path: &str) -> Option<(Operation, Vec<String>)> {
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let segments: Vec<Cow<'_, str>> = path.split('/').skip(1).map(Cow::Borrowed).collect();
    let (operation, labels) = Operation::find(method, &segments, query)?;
    let labels = labels.0.into_iter().map(|(_, text)| text.into_owned());
    Some((operation, labels.filter(|text| !text.is_empty()).collect()))
}

#[test]
fn every_operation_is_found_by_its_own_method_and_path() {
    for operation in Operation::all() {
        let row = operation.row();
        assert_eq!(row.operation, operation);
        let path = row.path.replace(['{', '}'], "");
        let (found, labels) = find(row.method, &path).expect("there is such an operation");
        assert_eq!(found, operation, "{path}");
        assert_eq!(labels.len(), row.path.matches('{').count(), "{path}");
    }
}

#[test]
fn operations_of_one_path_are_told_apart_by_method_and_query() {
    let named = |method, path| find(method, path).map(|(operation, _)| operation.to_string());
    let provisioned = "/2019-09-30/functions/f/provisioned-concurrency";
    let list = format!("{provisioned}?List=ALL&MaxItems=1");
    assert_eq!(named("GET", &list).as_deref(), Some("ListProvisionedConcurrencyConfigs"));
    let get = format!("{provisioned}?Qualifier=1");
    assert_eq!(named("GET", &get).as_deref(), Some("GetProvisionedConcurrencyConfig"));
    let layers = "/2018-10-31/layers";
    assert_eq!(named("GET", layers).as_deref(), Some("ListLayers"));
    let by_arn = format!("{layers}?find=LayerVersion&Arn=a");
    assert_eq!(named("GET", &by_arn).as_deref(), Some("GetLayerVersionByArn"));
    let configuration = "/2019-09-25/functions/f/event-invoke-config";
    assert_eq!(named("PUT", configuration).as_deref(), Some("PutFunctionEventInvokeConfig"));
    assert_eq!(named("POST", configuration).as_deref(), Some("UpdateFunctionEventInvokeConfig"));
}

#[test]
fn what_is_in_no_template_is_no_operation() {
    for path in ["/", "", "/2015-03-31", "/2015-03-31/functions/f/g", "/2014-01-01/functions"] {
        assert_eq!(find("GET", path), None, "{path}");
    }
    assert_eq!(find("PATCH", "/2015-03-31/functions"), None);
}

#[test]
fn names_in_a_path_are_given_by_name_and_in_order() {
    let path = "/2015-03-31/functions/f/policy/s";
    let segments: Vec<Cow<'_, str>> = path.split('/').skip(1).map(Cow::Borrowed).collect();
    let (_, labels) = Operation::find("DELETE", &segments, None).expect("RemovePermission");
    assert_eq!((labels.first(), labels.get("StatementId"), labels.get("Name")), ("f", "s", ""));
}

#[test]
fn operations_and_errors_have_names_of_their_own() {
    let names: BTreeSet<&str> = Operation::all().map(|operation| operation.row().name).collect();
    assert_eq!(names.len(), Operation::all().count());
    let faults = crate::FAULTS.iter().map(|fault| fault.code).collect::<BTreeSet<_>>();
    assert_eq!(faults.len(), crate::FAULTS.len());
    assert!(faults.contains("ResourceNotFoundException"));
}
