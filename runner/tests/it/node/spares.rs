//! A function cannot tell how its process came to it.

use serde_json::json;
use wire::link::Kind;

use super::function_by;
use crate::instance::{Way, event, path};

const WAYS: [Way; 2] = [Way::Executed, Way::Ahead];

#[test]
fn being_warmed_up_leaves_nothing_that_a_function_could_see() {
    let [executed, ahead] = WAYS.map(|way| {
        let seen = function_by(way, "", "traces.everything").ready().call("{}");
        seen.as_object().expect("an object").clone()
    });
    for (name, value) in &executed {
        assert_eq!(ahead.get(name), Some(value), "{name}");
    }
    assert_eq!(executed.len(), ahead.len());
}

#[test]
fn the_environment_is_in_the_order_in_which_it_was_assigned() {
    let order = function_by(Way::Ahead, "", "traces.order").ready().call("{}");
    let order = order.as_array().expect("a list");
    assert_eq!(order[..3], [json!("PATH"), json!("LANG"), json!("TZ")]);
    assert_eq!(order[4], "_HANDLER", "{order:?}");
    assert!(!order.contains(&json!("NODE_PATH")), "the function has none: {order:?}");
}

#[test]
fn modules_are_looked_for_where_the_functions_own_node_path_says() {
    for way in WAYS {
        let function = function_by(way, "", "searched.handler");
        let searched = function.with("NODE_PATH", path("tests/functions/node/folder"));
        assert_eq!(searched.ready().call("{}"), "in a folder", "{way:?}");
    }
}

#[test]
fn a_functions_own_time_zone_and_variables_are_in_force() {
    for way in WAYS {
        let function = function_by(way, "", "traces.own")
            .with("TZ", "Asia/Tokyo")
            .with("EQUALS", "a=b=")
            .with("EMPTY", "")
            .with("LONG", "\u{e4}".repeat(30_000));
        let seen = function.ready().call("{}");
        assert_eq!(seen, json!([9, "a=b=", "", 30_000]), "{way:?}");
    }
}

#[test]
fn a_spare_ends_with_its_link_and_with_anything_that_is_not_its_assignment() {
    let (status, log) = function_by(Way::Ahead, "", "traces.own").wait().close();
    assert!(status.success() && log.is_empty(), "{log}");
    let mut spare = function_by(Way::Ahead, "", "answers.echo").wait();
    spare.send(&event(b"{}"));
    let (kind, document) = spare.frame().expect("it says why");
    assert_eq!(kind, Kind::InitFailed);
    assert!(String::from_utf8_lossy(&document).contains("none for a spare"));
    assert!(!spare.finish().0.success());
}
