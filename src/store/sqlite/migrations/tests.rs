//! Promises about the schema.

use super::*;
use crate::events::schema::STEPS;

fn schema(connection: &Connection) -> Vec<(String, Option<String>)> {
    connection
        .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn version(connection: &Connection) -> u32 {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[test]
fn every_earlier_version_leads_to_the_schema_of_a_new_database() {
    for steps in [CONTROL, STEPS] {
        let mut new = Connection::open_in_memory().unwrap();
        migrate(&mut new, steps).unwrap();
        assert_eq!(version(&new) as usize, steps.len());
        for earlier in 0..steps.len() {
            let mut old = Connection::open_in_memory().unwrap();
            migrate_to(&mut old, steps, earlier).unwrap();
            assert_eq!(version(&old) as usize, earlier);
            migrate(&mut old, steps).unwrap();
            assert_eq!(version(&old) as usize, steps.len());
            assert_eq!(schema(&old), schema(&new), "from version {earlier}");
        }
    }
}

#[test]
fn migrating_twice_changes_nothing() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection, CONTROL).unwrap();
    let before = schema(&connection);
    migrate(&mut connection, CONTROL).unwrap();
    assert_eq!(schema(&connection), before);
}

#[test]
fn a_file_of_a_newer_program_is_refused() {
    let mut connection = Connection::open_in_memory().unwrap();
    let newer = CONTROL.len() as u32 + 1;
    connection.pragma_update(None, "user_version", newer).unwrap();
    let refused = migrate(&mut connection, CONTROL).unwrap_err();
    assert!(matches!(refused, MigrateError::Newer { found, .. } if found == newer));
}

#[test]
fn a_step_that_fails_leaves_the_version_before_it() {
    let mut connection = Connection::open_in_memory().unwrap();
    let refused = take(&mut connection, 1, "CREATE TABLE a (b TEXT); CREATE TABLE a (b TEXT);");
    assert!(refused.is_err());
    assert_eq!(version(&connection), 0);
    assert!(schema(&connection).is_empty());
}
