//! The order that the walls depend on, and that the plan can be read.

use super::{Actor, AssignStep, EnterStep, OWNER_ID, Plan, Spec};
use crate::budget::Budget;
use crate::cgroup::Controller;
use crate::landlock::{self, Abi};

fn plan() -> Plan {
    plan_on(Abi::usable(7))
}

fn plan_on(landlock: Abi) -> Plan {
    let budget = Budget { inotify_instances: 4, inotify_watches: 100, pending_signals: 50 };
    Plan::new(&Spec::new(budget, &Controller::ALL, landlock))
}

fn position(plan: &Plan, matches: impl Fn(&EnterStep) -> bool) -> usize {
    let mut found = plan.enter.iter().enumerate().filter(|(_, step)| matches(step));
    let (at, _) = found.next().expect("the step is there");
    assert!(found.next().is_none(), "the step is there once");
    at
}

fn assert_order(plan: &Plan, steps: &[EnterStep]) {
    let places: Vec<usize> = steps.iter().map(|s| position(plan, |other| other == s)).collect();
    assert!(places.is_sorted(), "{steps:?} are at {places:?}");
}

#[test]
fn limits_hold_before_the_process_does_anything_of_size() {
    use EnterStep::{BecomeUser, JoinControlGroups, NewCgroupNamespace, Pivot};
    assert_order(&plan(), &[JoinControlGroups, NewCgroupNamespace, BecomeUser { id: 1000 }, Pivot]);
}

#[test]
fn proc_is_mounted_while_the_complete_one_is_visible() {
    use EnterStep::{MountImage, MountProc, Pivot, PrivateMounts};
    assert_order(&plan(), &[PrivateMounts, MountImage, MountProc, Pivot]);
}

#[test]
fn user_limits_are_written_from_inside_and_before_the_old_proc_is_gone() {
    let plan = plan();
    let limit = EnterStep::UserLimit { name: "max_user_namespaces", value: 0 };
    assert_order(&plan, &[EnterStep::BecomeUser { id: 1000 }, limit, EnterStep::Pivot]);
}

#[test]
fn every_capability_is_gone_before_the_filter_and_the_filter_is_there_before_the_runner() {
    use EnterStep::{
        EmptyBoundingSet, EmptyCapabilities, Execute, LoadFilter, LockSecurebits, NoNewPrivileges,
    };
    let plan = plan();
    assert_order(
        &plan,
        &[
            EmptyBoundingSet,
            LockSecurebits,
            EmptyCapabilities,
            NoNewPrivileges,
            LoadFilter,
            Execute,
        ],
    );
    assert_eq!(plan.enter.last(), Some(&Execute));
}

#[test]
fn the_domain_is_entered_behind_the_mounts_and_before_the_filter_where_there_is_one() {
    use EnterStep::{Execute, LoadFilter, NoNewPrivileges, NullStreams, Pivot};
    let (new, old) = (Abi::usable(7), Abi::usable(2));
    for abi in [new, old] {
        let domain = EnterStep::EnterDomain { abi, rules: &landlock::CELL };
        let steps = [Pivot, NullStreams, NoNewPrivileges, domain, LoadFilter, Execute];
        assert_order(&plan_on(abi), &steps);
    }
    let without = plan_on(Abi::NONE);
    assert!(!without.enter.iter().any(|step| matches!(step, EnterStep::EnterDomain { .. })));
    assert_order(&without, &[NoNewPrivileges, LoadFilter, Execute]);
    let printed = |abi| plan_on(abi).lines().iter().any(|line| line.what.contains("signals and"));
    assert!(printed(new) && !printed(old));
}

#[test]
fn a_template_is_the_owner_of_cells_and_has_nothing_else_before_it_executes_anything() {
    use EnterStep::{
        BecomeUser, CloseDescriptors, EmptyBoundingSet, EmptyCapabilities, EnterDomain,
        ExecuteProgram, LoadFilter, NoNewPrivileges, Pivot, ReadProgram, WordStreams,
    };
    let abi = Abi::usable(7);
    let settle = plan_on(abi).template.settle;
    let at = |wanted: &EnterStep| settle.iter().position(|step| step == wanted).unwrap();
    let order = [
        BecomeUser { id: OWNER_ID },
        Pivot,
        ReadProgram,
        WordStreams,
        EmptyBoundingSet,
        EmptyCapabilities,
        NoNewPrivileges,
        EnterDomain { abi, rules: &landlock::TEMPLATE },
        CloseDescriptors,
        LoadFilter,
        ExecuteProgram,
    ];
    assert!(order.iter().map(at).is_sorted());
    assert_eq!(settle.last(), Some(&ExecuteProgram));
    // Neither processes to look at nor a place to write to.
    let open = |step: &EnterStep| {
        matches!(step, EnterStep::MountProc | EnterStep::MountTmp { .. } | EnterStep::LoopbackUp)
    };
    assert!(!settle.iter().any(open));
}

#[test]
fn what_a_fork_inherits_is_what_a_cell_sets() {
    let plan = plan();
    let inherited = |step: &&EnterStep| {
        matches!(
            step,
            EnterStep::OutOfMemoryFirst
                | EnterStep::ResourceLimit { .. }
                | EnterStep::Umask { .. }
                | EnterStep::ResetSignals
                | EnterStep::MitigateSpeculation
                | EnterStep::NoPageMerging
                | EnterStep::NoNewPrivileges
        )
    };
    let of = |steps: &[EnterStep]| steps.iter().filter(inherited).cloned().collect::<Vec<_>>();
    assert_eq!(of(&plan.template.settle), of(&plan.enter));
    assert_eq!(of(&plan.enter).len(), 15);
}

#[test]
fn descriptors_are_closed_before_the_runner_starts() {
    assert_order(&plan(), &[EnterStep::CloseDescriptors, EnterStep::Execute]);
}

#[test]
fn the_core_limit_is_one_and_cannot_be_changed() {
    let plan = plan();
    let core = nix::sys::resource::Resource::RLIMIT_CORE;
    position(
        &plan,
        |step| matches!(step, EnterStep::ResourceLimit { resource, soft: 1, hard: 1 } if *resource == core),
    );
}

#[test]
fn a_cell_whose_limits_cannot_be_set_gets_no_code() {
    let plan = plan();
    let at = |wanted: fn(&AssignStep) -> bool| plan.assign.iter().position(wanted).unwrap();
    assert!(
        at(|step| matches!(step, AssignStep::SetLimits))
            < at(|step| matches!(step, AssignStep::MountTrees { .. }))
    );
}

#[test]
fn the_leaf_holds_the_functions_memory_and_its_tmp() {
    let limits = Spec::leaf_limits(128, 1024, 64, 100);
    assert_eq!(limits.memory_bytes, (128 + 1024) * 1024 * 1024);
}

#[test]
fn every_step_prints_with_who_what_and_why() {
    let lines = plan().lines();
    assert!(lines.len() > 50);
    for line in &lines {
        assert!(!line.what.is_empty() && !line.why.is_empty());
    }
    let filter =
        lines.iter().find(|line| line.what.starts_with("load the system-call filter")).unwrap();
    assert_eq!((filter.phase, filter.actor), ("enter", Actor::Cell));
    assert!(lines[0].to_string().starts_with("start    spawner  mount / private"));
}
