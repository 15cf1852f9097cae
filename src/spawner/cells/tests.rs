//! Numbers and ids.

use sandbox::identity::{Own, Source};
use sandbox::plan::{FIRST_CELL_ID, FIRST_ID, IDS_PER_SLOT};

use super::Cells;
use super::ids::Ids;

#[test]
fn no_two_cells_have_a_number_or_an_id_in_common() {
    let mut cells = Cells::new(Source::Machine.slot(0));
    let (one, first) = cells.reserve().unwrap();
    let (two, second) = cells.reserve().unwrap();
    assert!(one != two && first != second);
    assert_eq!(cells.host_id(first), FIRST_ID + FIRST_CELL_ID);
}

#[test]
fn an_id_rests_before_it_is_used_again() {
    let mut ids = Ids::new(Source::Machine.slot(0).cell_ids());
    let first = ids.take().unwrap();
    ids.give_back(first);
    for _ in FIRST_CELL_ID + 1..IDS_PER_SLOT {
        let id = ids.take().unwrap();
        assert!(id != first && (FIRST_CELL_ID..IDS_PER_SLOT).contains(&id));
        ids.give_back(id);
    }
    assert_eq!(ids.take(), Some(first));
}

#[test]
fn every_id_can_be_in_use_and_then_there_is_none() {
    let mut ids = Ids::new(Source::Machine.slot(0).cell_ids());
    let all: std::collections::HashSet<u32> = std::iter::from_fn(|| ids.take()).collect();
    assert_eq!(all.len() as u32, IDS_PER_SLOT - FIRST_CELL_ID);
    ids.give_back(40_000);
    assert_eq!(ids.take(), Some(40_000));
    assert_eq!(ids.take(), None);
}

#[test]
fn where_there_is_one_id_every_cell_has_it() {
    let mut cells = Cells::new(Source::Single(Own { user: 1000, group: 100 }).slot(0));
    let (one, first) = cells.reserve().unwrap();
    let (two, second) = cells.reserve().unwrap();
    assert!(one != two && first == second);
    assert_eq!(cells.host_id(first), 1000);
}
