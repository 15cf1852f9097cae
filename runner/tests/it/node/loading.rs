//! Which handler is found, and what is said about one that is not.

use serde_json::json;

use super::{function, function_in};

/// The type and text of the error of a function that cannot be loaded, whose log says the same.
#[track_caller]
fn fault(handler: &str, kind: &str, message: &str) {
    let (document, log, status) = function(handler).broken();
    assert_eq!(document["errorType"], kind);
    let text = document["errorMessage"].as_str().expect("text");
    assert!(text.starts_with(message), "{text}");
    let first = document["trace"][0].as_str().expect("a line");
    assert!(first.starts_with(&format!("{kind}: ")), "{first}");
    let (_, record) = log.split_once('\t').expect("a time");
    let head = "undefined\tERROR\tUncaught Exception \t{\"errorType\":";
    assert!(record.starts_with(&format!("{head}\"{kind}\",")), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert_eq!(status.code(), Some(129));
}

#[test]
fn a_handler_is_found_in_a_file_a_folder_an_object_and_a_package() {
    assert_eq!(function("answers.echo").ready().call("1"), 1);
    assert_eq!(function("folder/file.handler").ready().call("1"), "in a folder");
    assert_eq!(function("answers.nested.deeper.handler").ready().call("1"), "nested");
    assert_eq!(function("directory.handler").ready().call("1"), "in an index");
    assert_eq!(function("packaged.handler").ready().call("1"), "a package");
}

#[test]
fn a_file_is_what_its_name_or_the_nearest_package_json_says() {
    assert_eq!(function("esm.handler").ready().call("1"), json!(["undefined", "esm.mjs"]));
    assert_eq!(function("common.handler").ready().call("1"), json!(["function", "common.cjs"]));
    let module = json!(["undefined", "app.js"]);
    assert_eq!(function("module/app.handler").ready().call("1"), module);
    assert_eq!(function("module/deeper/app.handler").ready().call("1"), module);
    assert_eq!(function_in("module", "app.handler").ready().call("1"), module);
    let common = json!(["function", "app.js"]);
    assert_eq!(function("commonjs/app.handler").ready().call("1"), common);
}

#[test]
fn a_module_may_wait_at_its_top_level() {
    assert_eq!(function("awaits.handler").ready().call("1"), "awaited");
}

#[test]
fn a_module_that_waits_for_nothing_ends_the_process() {
    let mut instance = function("unsettled.handler").start();
    assert_eq!(instance.frame(), None);
    assert_eq!(instance.finish().0.code(), Some(13));
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    fault("absent.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'absent'\n");
}

#[test]
fn a_dependency_that_does_not_exist_is_named() {
    let message = "Error: Cannot find module 'a-package-nobody-has'\nRequire stack:\n- ";
    fault("misses.handler", "Runtime.ImportModuleError", message);
    // Its own error of an ES module, as with AWS.
    let (document, _, status) = function("misses_esm.handler").broken();
    assert_eq!(document["errorType"], "Error");
    let text = document["errorMessage"].as_str().expect("text");
    assert!(text.starts_with("Cannot find package 'a-package-nobody-has' imported from"), "{text}");
    assert_eq!(status.code(), Some(129));
}

#[test]
fn a_handler_that_does_not_exist_or_is_no_function_is_named() {
    fault(
        "answers.absent",
        "Runtime.HandlerNotFound",
        "answers.absent is undefined or not exported",
    );
    fault(
        "answers.nested.no.such",
        "Runtime.HandlerNotFound",
        "answers.nested.no.such is undefined or not exported",
    );
    fault("esm.absent", "Runtime.HandlerNotFound", "esm.absent is undefined or not exported");
    fault(
        "answers.notAFunction",
        "Runtime.HandlerNotFound",
        "answers.notAFunction is not a function",
    );
}

#[test]
fn a_name_without_a_dot_or_with_a_way_out_is_no_handler() {
    fault("answers", "Runtime.MalformedHandlerName", "Bad handler");
    fault("", "Runtime.MalformedHandlerName", "Bad handler");
    fault(
        "../node/answers.echo",
        "Runtime.MalformedHandlerName",
        "'../node/answers.echo' is not a valid handler name. Use absolute paths when specifying \
         root directories in handler names.",
    );
}

#[test]
fn a_syntax_error_is_named() {
    fault("unfinished.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected");
    fault("unfinished_esm.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected");
}

#[test]
fn an_error_at_load_is_reported_with_the_functions_own_frames() {
    let (document, log, status) = function("throws_early.handler").broken();
    assert_eq!(document["errorType"], "RangeError");
    assert_eq!(document["errorMessage"], "not today");
    let trace = document["trace"].as_array().expect("a list");
    assert_eq!(trace[0], "RangeError: not today");
    assert!(trace[1].as_str().expect("text").contains("throws_early.js:2:"), "{document}");
    assert!(!document.to_string().contains("bootstrap.cjs"), "{document}");
    assert!(log.contains("\tundefined\tINFO\tabout to fail\n"), "{log}");
    assert_eq!(status.code(), Some(129));
}

#[test]
fn a_rejection_at_load_that_nobody_handles_is_reported() {
    let mut instance = function("rejects_early.handler").start();
    // Node tells of it when the module has been loaded: before or after it is called ready.
    let frames: Vec<_> = std::iter::from_fn(|| instance.frame()).collect();
    let (status, log) = instance.finish();
    assert_eq!(status.code(), Some(128));
    assert!(log.contains("\tERROR\tUnhandled Promise Rejection \t{"), "{log}");
    assert!(frames.len() <= 1, "{frames:?}");
}

#[test]
fn a_module_that_exits_ends_the_process_with_its_status() {
    let mut instance = function("exits_early.handler").start();
    assert_eq!(instance.frame(), None);
    assert_eq!(instance.finish().0.code(), Some(9));
}
