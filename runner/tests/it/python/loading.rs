//! Which handler is found, and what is said about one that is not.

use serde_json::json;

use super::{function, function_in};
use crate::instance::path;

/// The error document of a function that cannot be loaded, whose log says the same.
#[track_caller]
fn fault(handler: &str, kind: &str, message: &str) {
    let (document, log, status) = function(handler).broken();
    let expected = json!({
        "errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": []
    });
    assert_eq!(document, expected);
    assert_eq!(log, format!("[ERROR] {kind}: {message}\nTraceback (most recent call last):\n"));
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_handler_is_found_in_a_module_a_folder_and_a_package() {
    assert_eq!(function("answers.echo").ready().call("1"), 1);
    assert_eq!(function("folder/file.handler").ready().call("1"), "in a folder");
    assert_eq!(function("folder.file.handler").ready().call("1"), "in a folder");
    assert_eq!(function("package.sub.module.handler").ready().call("1"), "package.sub.module");
    assert_eq!(function("package/sub/module.handler").ready().call("1"), "package.sub.module");
}

#[test]
fn a_module_that_does_not_exist_is_named() {
    fault(
        "absent.handler",
        "Runtime.ImportModuleError",
        "Unable to import module 'absent': No module named 'absent'",
    );
    fault(
        "folder/absent.handler",
        "Runtime.ImportModuleError",
        "Unable to import module 'folder/absent': No module named 'folder.absent'",
    );
}

#[test]
fn a_dependency_that_does_not_exist_is_named() {
    fault(
        "misses.handler",
        "Runtime.ImportModuleError",
        "Unable to import module 'misses': No module named 'a_package_nobody_has'",
    );
}

#[test]
fn a_handler_that_does_not_exist_is_named() {
    fault(
        "answers.absent",
        "Runtime.HandlerNotFound",
        "Handler 'absent' missing on module 'answers'",
    );
}

#[test]
fn a_name_without_a_dot_is_no_handler() {
    fault(
        "answers",
        "Runtime.MalformedHandlerName",
        "Bad handler 'answers': not enough values to unpack (expected 2, got 1)",
    );
    fault(
        "",
        "Runtime.MalformedHandlerName",
        "Bad handler '': not enough values to unpack (expected 2, got 1)",
    );
}

#[test]
fn a_built_in_module_holds_no_handler() {
    fault(
        "sys.exit",
        "Runtime.BuiltInModuleConflict",
        "Cannot use built-in module sys as a handler module",
    );
}

#[test]
fn a_syntax_error_is_shown_with_its_place() {
    let (document, log, status) = function("unfinished.handler").broken();
    let file = path("tests/functions/python/unfinished.py");
    let message = document["errorMessage"].as_str().expect("text");
    assert!(message.starts_with("Syntax error in module 'unfinished': "), "{message}");
    assert!(message.ends_with("(unfinished.py, line 2)"), "{message}");
    assert_eq!(document["errorType"], "Runtime.UserCodeSyntaxError");
    let place = format!("  File \"{}\" Line 2\n    ", file.display());
    let stack = document["stackTrace"].as_array().expect("a list");
    assert_eq!(stack.len(), 1);
    assert!(stack[0].as_str().expect("text").starts_with(&place), "{document}");
    assert!(log.starts_with("[ERROR] Runtime.UserCodeSyntaxError: Syntax error in"), "{log}");
    assert_eq!(status.code(), Some(1));
}

#[test]
fn an_exception_at_import_is_reported_with_the_functions_own_frames() {
    let (document, log, status) = function("prints_and_fails.handler").broken();
    let file = path("tests/functions/python/prints_and_fails.py");
    let file = file.display();
    let expected = json!({
        "errorMessage": "not today",
        "errorType": "ValueError",
        "requestId": "",
        "stackTrace": [
            format!("  File \"{file}\", line 2, in <module>\n    raise ValueError(\"not today\")\n")
        ],
    });
    assert_eq!(document, expected);
    let lines =
        "about to fail\n[ERROR] ValueError: not today\nTraceback (most recent call last):\n";
    assert!(log.starts_with(lines), "{log}");
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_relative_module_name_fails_as_the_import_system_says() {
    let (document, ..) = function("/answers.echo").broken();
    assert_eq!(document["errorType"], "TypeError");
    let (document, ..) = function(".echo").broken();
    assert_eq!(document["errorMessage"], "Empty module name");
}

#[test]
fn a_module_that_exits_ends_the_process_with_its_status() {
    let mut instance = function("exits_early.handler").start();
    assert_eq!(instance.frame(), None);
    assert_eq!(instance.finish().0.code(), Some(9));
}

#[test]
fn what_a_module_prints_is_in_the_log_before_the_handler_can_be_called() {
    let mut instance = function("prints_early.handler").ready();
    assert_eq!(instance.printed(), "half a lineimported\n");
}

#[test]
fn files_named_like_what_the_client_imports_do_not_replace_it() {
    let mut instance = function_in("shadow", "shadowed.handler").ready();
    let answer = instance.call("{\"a\": 1}");
    assert_eq!(answer, json!(["{\"a\": 1}", "1.5", true, "traceback"]));
    let log = instance.printed();
    assert!(log.starts_with("[ERROR]\t") && log.ends_with("\tlogged\n"), "{log}");
    // White space makes the bootstrap itself turn to the package.
    assert_eq!(instance.call(" [2] ")[0], "[2]");
    let failed = function_in("shadow", "shadowed.fails").ready().fail("1");
    assert_eq!(failed["errorMessage"], "reported");
}

#[test]
fn pth_files_beside_the_function_extend_the_search_path() {
    assert_eq!(function_in("paths", "app.handler").ready().call("1"), "from a .pth file");
}
