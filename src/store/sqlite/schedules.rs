//! Rows of what runs by the clock. Schedules and rules are JSON documents; the database looks at
//! nothing but their names.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::schedule::{
    RetryPolicy, Rule, RuleInput, RuleTarget, Schedule, ScheduleContent, ScheduleGroup, ScheduleId,
    ScheduleTarget, Timing,
};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::schedules::Schedules;
use crate::sqlite::document::{self, DocumentError};
use crate::sqlite::load::LoadError;

/// [`Schedule`] but for its id and path.
#[derive(Serialize, Deserialize)]
struct ScheduleDocument {
    created_ms: u64,
    modified_ms: u64,
    expression: String,
    zone: Option<String>,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    description: Option<String>,
    enabled: bool,
    window_minutes: Option<u16>,
    delete_after: bool,
    arn: String,
    role: String,
    input: Option<String>,
    max_age_s: u32,
    max_attempts: u32,
    anchor_ms: i64,
    since_ms: i64,
    client_token: Option<String>,
}

/// [`Rule`] but for its id and name.
#[derive(Serialize, Deserialize)]
struct RuleDocument {
    expression: String,
    description: Option<String>,
    role: Option<String>,
    enabled: bool,
    tags: BTreeMap<String, String>,
    anchor_ms: i64,
    since_ms: i64,
    targets: Vec<TargetDocument>,
}

/// [`RuleTarget`].
#[derive(Serialize, Deserialize)]
struct TargetDocument {
    id: String,
    arn: String,
    role: Option<String>,
    input: InputDocument,
    max_age_s: Option<u32>,
    max_attempts: Option<u32>,
    since_ms: i64,
}

/// [`RuleInput`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InputDocument {
    Event,
    Constant(String),
    Part(String),
    Template { paths: BTreeMap<String, String>, template: String },
}

/// Reads all of them.
pub(crate) fn load(connection: &Connection, into: &mut Schedules) -> Result<(), LoadError> {
    let mut query = connection
        .prepare("SELECT name, created_ms, modified_ms, tags, client_token FROM schedule_group")?;
    let rows = query.query_map([], |row| {
        let tags: String = row.get(3)?;
        let group = ScheduleGroup {
            name: row.get(0)?,
            created_ms: row.get::<_, i64>(1)?.cast_unsigned(),
            modified_ms: row.get::<_, i64>(2)?.cast_unsigned(),
            tags: BTreeMap::new(),
            client_token: row.get(4)?,
        };
        Ok((group, tags))
    })?;
    let mut groups = Vec::new();
    for row in rows {
        let (group, tags) = row?;
        let what = || format!("schedule group '{}'", group.name);
        let tags = document::read("list of tags", &tags).map_err(failed(what))?;
        groups.push(Arc::new(ScheduleGroup { tags, ..group }));
    }
    let mut schedules = Vec::new();
    for (id, path, document) in named(connection, "SELECT id, path, document FROM schedule")? {
        let what = || format!("schedule '{path}'");
        let schedule = read_schedule(&id, &path, &document).map_err(failed(what))?;
        schedules.push(Arc::new(schedule));
    }
    let mut rules = Vec::new();
    for (id, name, document) in named(connection, "SELECT id, name, document FROM rule")? {
        let what = || format!("rule '{name}'");
        rules.push(Arc::new(read_rule(&id, &name, &document).map_err(failed(what))?));
    }
    *into = Schedules::of(groups, schedules, rules);
    Ok(())
}

/// Writes a group.
pub(crate) fn save_group(
    connection: &Connection,
    group: &ScheduleGroup,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO schedule_group (name, created_ms, modified_ms, tags,
                 client_token)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            group.name,
            group.created_ms.cast_signed(),
            group.modified_ms.cast_signed(),
            document::write(&group.tags),
            group.client_token,
        ])?;
    Ok(())
}

/// Deletes a group.
pub(crate) fn delete_group(connection: &Connection, name: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("DELETE FROM schedule_group WHERE name = ?1")?.execute([name])?;
    Ok(())
}

/// Writes a schedule.
pub(crate) fn save_schedule(
    connection: &Connection,
    schedule: &Schedule,
) -> Result<(), rusqlite::Error> {
    let content = &schedule.content;
    let written = ScheduleDocument {
        created_ms: schedule.created_ms,
        modified_ms: schedule.modified_ms,
        expression: content.expression.clone(),
        zone: content.zone.clone(),
        start_ms: content.start_ms,
        end_ms: content.end_ms,
        description: content.description.clone(),
        enabled: content.enabled,
        window_minutes: content.window_minutes,
        delete_after: content.delete_after,
        arn: content.target.arn.clone(),
        role: content.target.role.clone(),
        input: content.target.input.clone(),
        max_age_s: content.target.retry.max_age_s,
        max_attempts: content.target.retry.max_attempts,
        anchor_ms: schedule.timing.anchor_ms,
        since_ms: schedule.timing.since_ms,
        client_token: schedule.client_token.clone(),
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO schedule (id, path, document) VALUES (?1, ?2, ?3)")?
        .execute(params![schedule.id.to_string(), schedule.path, document::write(&written)])?;
    Ok(())
}

/// Deletes a schedule.
pub(crate) fn delete_schedule(
    connection: &Connection,
    schedule: &Schedule,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached("DELETE FROM schedule WHERE id = ?1")?
        .execute([schedule.id.to_string()])?;
    Ok(())
}

/// Writes a rule.
pub(crate) fn save_rule(connection: &Connection, rule: &Rule) -> Result<(), rusqlite::Error> {
    let written = RuleDocument {
        expression: rule.expression.clone(),
        description: rule.description.clone(),
        role: rule.role.clone(),
        enabled: rule.enabled,
        tags: rule.tags.clone(),
        anchor_ms: rule.timing.anchor_ms,
        since_ms: rule.timing.since_ms,
        targets: rule.targets.iter().map(TargetDocument::of).collect(),
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO rule (id, name, document) VALUES (?1, ?2, ?3)")?
        .execute(params![rule.id.to_string(), rule.name, document::write(&written)])?;
    Ok(())
}

/// Deletes a rule.
pub(crate) fn delete_rule(connection: &Connection, rule: &Rule) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("DELETE FROM rule WHERE id = ?1")?.execute([rule.id.to_string()])?;
    Ok(())
}

fn read_schedule(id: &str, path: &str, text: &str) -> Result<Schedule, DocumentError> {
    let read: ScheduleDocument = document::read("schedule", text)?;
    let retry = RetryPolicy { max_age_s: read.max_age_s, max_attempts: read.max_attempts };
    Ok(Schedule {
        id: read_id(id)?,
        path: path.to_owned(),
        created_ms: read.created_ms,
        modified_ms: read.modified_ms,
        content: ScheduleContent {
            expression: read.expression,
            zone: read.zone,
            start_ms: read.start_ms,
            end_ms: read.end_ms,
            description: read.description,
            enabled: read.enabled,
            window_minutes: read.window_minutes,
            delete_after: read.delete_after,
            target: ScheduleTarget { arn: read.arn, role: read.role, input: read.input, retry },
        },
        timing: Timing { anchor_ms: read.anchor_ms, since_ms: read.since_ms },
        client_token: read.client_token,
    })
}

fn read_rule(id: &str, name: &str, text: &str) -> Result<Rule, DocumentError> {
    let read: RuleDocument = document::read("rule", text)?;
    Ok(Rule {
        id: read_id(id)?,
        name: name.to_owned(),
        expression: read.expression,
        description: read.description,
        role: read.role,
        enabled: read.enabled,
        tags: read.tags,
        timing: Timing { anchor_ms: read.anchor_ms, since_ms: read.since_ms },
        targets: read.targets.into_iter().map(TargetDocument::into).collect(),
    })
}

fn read_id(text: &str) -> Result<ScheduleId, DocumentError> {
    ScheduleId::parse(text).ok_or_else(|| document::value("schedule's id", text))
}

fn failed(what: impl Fn() -> String) -> impl Fn(DocumentError) -> LoadError {
    move |source| LoadError::Row { what: what(), source }
}

fn named(
    connection: &Connection,
    query: &str,
) -> Result<Vec<(String, String, String)>, rusqlite::Error> {
    let mut query = connection.prepare(query)?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

// === impl TargetDocument ===

impl TargetDocument {
    fn of(target: &RuleTarget) -> Self {
        Self {
            id: target.id.clone(),
            arn: target.arn.clone(),
            role: target.role.clone(),
            input: match target.input.clone() {
                RuleInput::Event => InputDocument::Event,
                RuleInput::Constant(text) => InputDocument::Constant(text),
                RuleInput::Part(path) => InputDocument::Part(path),
                RuleInput::Template { paths, template } => {
                    InputDocument::Template { paths, template }
                }
            },
            max_age_s: target.max_age_s,
            max_attempts: target.max_attempts,
            since_ms: target.since_ms,
        }
    }
}

impl From<TargetDocument> for RuleTarget {
    fn from(read: TargetDocument) -> Self {
        Self {
            id: read.id,
            arn: read.arn,
            role: read.role,
            input: match read.input {
                InputDocument::Event => RuleInput::Event,
                InputDocument::Constant(text) => RuleInput::Constant(text),
                InputDocument::Part(path) => RuleInput::Part(path),
                InputDocument::Template { paths, template } => {
                    RuleInput::Template { paths, template }
                }
            },
            max_age_s: read.max_age_s,
            max_attempts: read.max_attempts,
            since_ms: read.since_ms,
        }
    }
}
