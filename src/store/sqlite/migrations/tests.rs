//! Promises about the schema.

use super::*;

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
    let mut new = Connection::open_in_memory().unwrap();
    migrate(&mut new).unwrap();
    assert_eq!(version(&new), CURRENT);
    for earlier in 0..CURRENT {
        let mut old = Connection::open_in_memory().unwrap();
        migrate_to(&mut old, earlier).unwrap();
        assert_eq!(version(&old), earlier);
        migrate(&mut old).unwrap();
        assert_eq!(version(&old), CURRENT);
        assert_eq!(schema(&old), schema(&new), "from version {earlier}");
    }
}

#[test]
fn migrating_twice_changes_nothing() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection).unwrap();
    let before = schema(&connection);
    migrate(&mut connection).unwrap();
    assert_eq!(schema(&connection), before);
}

#[test]
fn a_file_of_a_newer_program_is_refused() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.pragma_update(None, "user_version", CURRENT + 1).unwrap();
    let refused = migrate(&mut connection).unwrap_err();
    assert!(matches!(refused, MigrateError::Newer { found, .. } if found == CURRENT + 1));
}

#[test]
fn a_step_that_fails_leaves_the_version_before_it() {
    let mut connection = Connection::open_in_memory().unwrap();
    let refused = take(&mut connection, 1, "CREATE TABLE a (b TEXT); CREATE TABLE a (b TEXT);");
    assert!(refused.is_err());
    assert_eq!(version(&connection), 0);
    assert!(schema(&connection).is_empty());
}
