//! What breaks the model in a request, in AWS's words.
//!
//! [`misfit`] comes first: a value of another type than the model's is one sentence and the end of it.
//! Then [`violations`] collects everything else; no violation hides another, and they are told in the
//! model's order. Members are named as AWS names them, in lower camel case with their path:
//! `vpcConfig.subnetIds`, `filterCriteria.filters.1.member.pattern`.

use std::fmt::Display;

use crate::shape::{Kind, Length, Member, Range, Shape};
use crate::value::Value;

/// Longest text that is held against a pattern, in characters. The model's longest text with a form is a
/// policy of 20 KiB; what is longer breaks its length, which says enough.
const LONGEST: usize = 20_480;

/// What is wrong with the type of a value, if anything.
pub(crate) fn misfit(shape: &Shape, value: &Value<'_>) -> Option<String> {
    match (&shape.kind, value) {
        (_, Value::Null)
        | (Kind::Text { .. } | Kind::Blob, Value::Text(_))
        | (Kind::Integer { long: true, .. }, Value::Integer(_))
        | (Kind::Double { .. } | Kind::Timestamp, Value::Double(_) | Value::Integer(_))
        | (Kind::Boolean, Value::Boolean(_)) => None,
        (Kind::Integer { .. }, Value::Integer(number)) if i32::try_from(*number).is_ok() => None,
        (Kind::List { of, .. }, Value::List(values)) => {
            values.iter().find_map(|value| misfit(of, value))
        }
        (Kind::Map { value: of, .. }, Value::Map(values)) => {
            values.iter().find_map(|(_, value)| misfit(of, value))
        }
        (Kind::Structure(members), Value::Map(values)) => {
            values.iter().find_map(|(name, value)| {
                let member = members.iter().find(|member| member.name == name)?;
                misfit(member.shape, value)
            })
        }
        (_, Value::List(_)) => Some("Start of list found where not expected".to_owned()),
        (_, Value::Map(_)) => {
            Some("Start of structure or map found where not expected.".to_owned())
        }
        (Kind::List { .. }, _) => Some("Expected list or null".to_owned()),
        (Kind::Map { .. } | Kind::Structure(_), _) => Some("Expected null".to_owned()),
        (kind, value) => {
            let wanted = match kind {
                Kind::Integer { long: false, .. } => "an Integer",
                Kind::Integer { .. } => "a Long",
                Kind::Double { .. } => "a Double",
                Kind::Boolean => "a Boolean",
                Kind::Timestamp => "a Date",
                _ => "a String",
            };
            Some(format!("{} can not be converted to {wanted}", value.token()))
        }
    }
}

/// Everything that breaks the model in the members of a structure.
pub(crate) fn violations(shape: &Shape, value: &Value<'_>) -> Vec<String> {
    let mut found = Found::default();
    found.members(shape.members(), value, "");
    found.0
}

/// What was found so far.
#[derive(Default)]
struct Found(Vec<String>);

// === impl Found ===

impl Found {
    fn members(&mut self, members: &[Member], value: &Value<'_>, within: &str) {
        for member in members {
            let at = format!("{within}{}", uncapitalized(member.name));
            match value.get(member.name) {
                Some(value) => self.value(member.shape, value, &at, member.later),
                None if member.required => {
                    self.0.push(format!(
                        "Value null at '{at}' failed to satisfy constraint: Member must not be null"
                    ));
                }
                None => {}
            }
        }
    }

    fn value(&mut self, shape: &Shape, value: &Value<'_>, at: &str, later: bool) {
        match (&shape.kind, value) {
            (Kind::Structure(members), _) => self.members(members, value, &format!("{at}.")),
            (Kind::List { of, length, flat }, Value::List(values)) => {
                self.each(broken_length(*length, values.len()), shape, value, at);
                if let Kind::Structure(members) = of.kind {
                    for (number, value) in (1..).zip(values) {
                        self.members(members, value, &format!("{at}.{number}.member."));
                    }
                } else if !values.iter().all(|value| allows(of, value)) {
                    let constraint = match (flat, &of.kind) {
                        (true, Kind::Text { set, .. }) => in_set(set),
                        _ => format!("Member must satisfy constraint: [{}]", constraints(of)),
                    };
                    self.add(shape, value, at, &constraint);
                }
            }
            (Kind::Map { key, value: of, length }, Value::Map(values)) => {
                self.each(broken_length(*length, values.len()), shape, value, at);
                if !values.iter().all(|(name, _)| allows(key, &Value::Text(name.clone()))) {
                    let constraint = constraints(key);
                    let constraint = format!("Map keys must satisfy constraint: [{constraint}]");
                    self.add(shape, value, at, &constraint);
                }
                if !values.iter().all(|(_, value)| allows(of, value)) {
                    let constraint = constraints(of);
                    let constraint = format!("Map value must satisfy constraint: [{constraint}]");
                    self.add(shape, value, at, &constraint);
                }
            }
            _ => self.each(broken(shape, value, later), shape, value, at),
        }
    }

    fn each(&mut self, broken: Vec<String>, shape: &Shape, value: &Value<'_>, at: &str) {
        for constraint in broken {
            self.add(shape, value, at, &constraint);
        }
    }

    fn add(&mut self, shape: &Shape, value: &Value<'_>, at: &str, constraint: &str) {
        let value = match shape.secret {
            true => String::new(),
            false => format!(" '{}'", shown(shape, value)),
        };
        self.0.push(format!("Value{value} at '{at}' failed to satisfy constraint: {constraint}"));
    }
}

/// Whether a member of a list or map is as its shape says.
fn allows(shape: &Shape, value: &Value<'_>) -> bool {
    match (&shape.kind, value) {
        (_, Value::Null) => false,
        (Kind::List { of, length, .. }, Value::List(values)) => {
            broken_length(*length, values.len()).is_empty()
                && values.iter().all(|value| allows(of, value))
        }
        _ => broken(shape, value, false).is_empty(),
    }
}

/// The constraints that a value breaks which has no others inside.
fn broken(shape: &Shape, value: &Value<'_>, later: bool) -> Vec<String> {
    match (&shape.kind, value) {
        (Kind::Text { length, pattern, set }, Value::Text(text)) => {
            let characters = text.chars().count();
            let mut found = broken_length(*length, characters);
            if let Some(pattern) = pattern
                && characters <= LONGEST
                && !pattern.matches(text)
            {
                found.push(has_form(pattern.text));
            }
            if !later && !set.is_empty() && !set.contains(&text.as_ref()) {
                found.push(in_set(set));
            }
            found
        }
        (Kind::Integer { range, .. }, Value::Integer(number)) => {
            outside(*range, *number, &|n| n.to_string())
        }
        (Kind::Double { range }, Value::Double(number)) => outside(*range, *number, &double),
        (Kind::Double { range }, Value::Integer(number)) => {
            outside(*range, *number as f64, &double)
        }
        _ => Vec::new(),
    }
}

fn broken_length(length: Option<Length>, given: usize) -> Vec<String> {
    match length {
        Some(length) if given > length.most => vec![at_most_long(length)],
        Some(length) if given < length.least => vec![at_least_long(length)],
        _ => Vec::new(),
    }
}

fn outside<T: PartialOrd + Copy>(
    range: Range<T>,
    given: T,
    text: &dyn Fn(T) -> String,
) -> Vec<String> {
    let above = range.most.filter(|most| given > *most).map(|most| at_most(&text(most)));
    let below = range.least.filter(|least| given < *least).map(|least| at_least(&text(least)));
    above.into_iter().chain(below).collect()
}

/// What is asked of a member of a list or map, as AWS lists it.
fn constraints(shape: &Shape) -> String {
    let mut all = Vec::new();
    match &shape.kind {
        Kind::Text { length, pattern, set } => {
            all.extend(length.map(at_most_long));
            all.extend(length.map(at_least_long));
            all.extend(pattern.map(|pattern| has_form(pattern.text)));
            all.extend((!set.is_empty()).then(|| in_set(set)));
        }
        Kind::Integer { range, .. } => {
            all.extend(range.most.map(|most| at_most(&most)));
            all.extend(range.least.map(|least| at_least(&least)));
        }
        Kind::Double { range } => {
            all.extend(range.most.map(|most| at_most(&double(most))));
            all.extend(range.least.map(|least| at_least(&double(least))));
        }
        Kind::List { of, length, .. } => {
            all.extend(length.map(at_most_long));
            all.extend(length.map(at_least_long));
            all.push(format!("Member must satisfy constraint: [{}]", constraints(of)));
        }
        _ => {}
    }
    all.push("Member must not be null".to_owned());
    all.join(", ")
}

fn at_most_long(length: Length) -> String {
    format!("Member must have length less than or equal to {}", length.most)
}

fn at_least_long(length: Length) -> String {
    format!("Member must have length greater than or equal to {}", length.least)
}

fn at_most(most: &dyn Display) -> String {
    format!("Member must have value less than or equal to {most}")
}

fn at_least(least: &dyn Display) -> String {
    format!("Member must have value greater than or equal to {least}")
}

fn has_form(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn in_set(set: &[&str]) -> String {
    format!("Member must satisfy enum value set: [{}]", set.join(", "))
}

/// A value as Java prints it; structures as AWS's generated classes do.
fn shown(shape: &Shape, value: &Value<'_>) -> String {
    match (&shape.kind, value) {
        (Kind::Structure(members), Value::Map(_)) => {
            let of = |member: &Member| {
                let value = value.get(member.name).unwrap_or(&Value::Null);
                format!("{}={}", uncapitalized(member.name), shown(member.shape, value))
            };
            let members: Vec<String> = members.iter().map(of).collect();
            format!("{}({})", shape.name, members.join(", "))
        }
        (Kind::List { of, .. }, Value::List(values)) => {
            let values: Vec<String> = values.iter().map(|value| shown(of, value)).collect();
            format!("[{}]", values.join(", "))
        }
        (Kind::Map { value: of, .. }, Value::Map(values)) => {
            let pair = |(name, value): &(_, Value<'_>)| format!("{name}={}", shown(of, value));
            let pairs: Vec<String> = values.iter().map(pair).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        (Kind::Double { .. }, Value::Integer(number)) => double(*number as f64),
        (_, Value::Double(number)) => double(*number),
        (_, Value::Integer(number)) => number.to_string(),
        (_, Value::Boolean(is)) => is.to_string(),
        (_, Value::Text(text)) => text.clone().into_owned(),
        _ => "null".to_owned(),
    }
}

/// `1.0`, never `1`.
fn double(number: f64) -> String {
    format!("{number:?}")
}

/// `FunctionName` → `functionName`
fn uncapitalized(name: &str) -> String {
    let mut rest = name.chars();
    let first = rest.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests;
