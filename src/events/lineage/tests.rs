//! Promises about lineages.

use super::*;

#[test]
fn a_lineage_is_read_as_it_was_written() {
    let lineage = Lineage::default().with(FunctionId(12)).with(FunctionId(15));
    let lineage = lineage.with(FunctionId(12));
    assert_eq!(lineage.to_string(), "12:2,15:1");
    assert_eq!(Lineage::parse("12:2,15:1"), lineage);
    assert_eq!(Lineage::parse(""), Lineage::default());
}

#[test]
fn calls_are_counted_function_by_function() {
    let lineage = Lineage::parse("12:2,15:1");
    assert_eq!(lineage.calls(FunctionId(12)), 2);
    assert_eq!(lineage.calls(FunctionId(1)), 0);
}
