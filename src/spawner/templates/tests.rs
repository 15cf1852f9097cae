//! What the kernel must say of a template.

use super::{MOST_TEMPLATES, Templates, Unfit, check};

const FIT: &str = "Name:\tpython3.11\nThreads:\t1\nCapInh:\t0000000000000000\n\
    CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n\
    CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n";

#[test]
fn a_template_has_one_thread_no_capability_and_a_filter() {
    check(FIT).unwrap();
    for (from, to, wrong) in [
        ("Threads:\t1", "Threads:\t2", "Threads"),
        ("CapEff:\t0000000000000000", "CapEff:\t0000000000000001", "CapEff"),
        ("CapBnd:\t0000000000000000", "CapBnd:\t000001ffffffffff", "CapBnd"),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "NoNewPrivs"),
        ("Seccomp:\t2", "Seccomp:\t0", "Seccomp"),
        ("Threads:\t1\n", "", "Threads"),
    ] {
        let unfit = check(&FIT.replace(from, to)).unwrap_err();
        assert!(matches!(unfit, Unfit::Field { field, .. } if field == wrong), "{unfit}");
    }
}

#[test]
fn numbers_of_templates_are_never_used_twice() {
    let mut templates = Templates::default();
    let numbers: Vec<_> = (0..2 * MOST_TEMPLATES).filter_map(|_| templates.reserve()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next));
}
