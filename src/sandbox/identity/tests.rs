//! Ids are where the diagram says.

use super::{Allotment, Maps, Own, Source};
use crate::plan::{FIRST_CELL_ID, FIRST_ID, OWNER_ID};

const OWN: Own = Own { user: 1000, group: 100 };

fn subordinate(count: u32) -> Source {
    let allotment = Allotment { first_user: 100_000, first_group: 200_000, count };
    Source::Subordinate { own: OWN, allotment }
}

fn written(maps: &Maps) -> [String; 2] {
    [Maps::text(&maps.users), Maps::text(&maps.groups)]
}

#[test]
fn roots_cells_have_ids_of_the_machines_range() {
    let identity = Source::Machine.slot(2);
    let first = FIRST_ID + 2 * 65_536;
    assert_eq!(identity.spawner_maps(), None);
    let map = format!("0 {first} 65536\n");
    assert_eq!(written(&identity.nursery_maps()), [map.clone(), map]);
    assert_eq!(identity.host_id(FIRST_CELL_ID), first + FIRST_CELL_ID);
    assert_eq!(identity.exclusive(), first..first + 65_536);
}

#[test]
fn a_users_cells_have_ids_of_his_allotment_and_never_his_own() {
    let source = subordinate(65_536);
    assert_eq!(source.slots(), 16);
    let identity = source.slot(3);
    let (user, group) = (100_000 + 3 * 4_096, 200_000 + 3 * 4_096);
    let maps = identity.spawner_maps().unwrap();
    let expected = [format!("0 1000 1\n1 {user} 4096\n"), format!("0 100 1\n1 {group} 4096\n")];
    assert_eq!(written(&maps), expected);
    assert_eq!(written(&identity.nursery_maps()), ["0 0 1\n1 1 4096\n", "0 0 1\n1 1 4096\n"]);
    let ids = identity.cell_ids().unwrap();
    assert!(identity.exclusive().contains(&identity.host_id(ids.start)));
    assert_eq!(identity.host_id(ids.end - 1), user + 4_095);
    assert!(identity.can_drop_groups());
}

#[test]
fn slots_of_an_allotment_do_not_overlap_and_stay_inside() {
    for count in [1, 17, 4_095, 4_096, 10_000, 65_536, 1 << 20] {
        let source = subordinate(count);
        let mut next = 100_000;
        for number in 0..source.slots() {
            let ids = source.slot(number).exclusive();
            assert_eq!(ids.start, next, "{count}");
            next = ids.end;
        }
        assert!(source.slots() > 0 && next <= 100_000 + count, "{count}");
    }
}

#[test]
fn with_a_single_id_everything_has_it_and_nothing_is_called_root() {
    let identity = Source::Single(OWN).slot(7);
    let maps = identity.spawner_maps().unwrap();
    assert_eq!(written(&maps), [format!("{OWNER_ID} 1000 1\n"), format!("{OWNER_ID} 100 1\n")]);
    assert_eq!(identity.cell_ids(), None);
    assert_eq!(identity.host_id(OWNER_ID), 1000);
    assert!(identity.exclusive().is_empty() && !identity.can_drop_groups());
}
