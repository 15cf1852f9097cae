//! The first layer of validation: does a request have the shape that the operation's model says?
//!
//! Every violation is collected, none hides another, and all are told at once:
//! `2 validation errors detected: Value '…' at '…' failed to satisfy constraint: …; Value …`.
//! Members are named as AWS names them, in lower camel case with their path (`vpcConfig.subnetIds`).

use httpd::AwsError;

use crate::errors;
use crate::patterns::Pattern;

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    found: Vec<String>,
}

/// What a text has to be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Text {
    /// Fewest characters; 0 is no limit.
    pub(crate) least: usize,
    /// Most characters; 0 is no limit.
    pub(crate) most: usize,
    /// Its form.
    pub(crate) pattern: Option<Pattern>,
}

// === impl Text ===

impl Text {
    /// Whether a text is so.
    fn allows(self, text: &str) -> bool {
        let length = text.chars().count();
        (self.most == 0 || length <= self.most)
            && length >= self.least
            && self.pattern.is_none_or(|pattern| (pattern.matches)(text))
    }

    /// What is asked of a member of a list or map, as AWS lists it.
    fn constraints(self) -> String {
        let mut all = Vec::new();
        if self.most > 0 {
            all.push(at_most_long(self.most));
            all.push(at_least_long(self.least));
        }
        all.extend(self.pattern.map(has_form));
        all.push("Member must not be null".to_owned());
        all.join(", ")
    }
}

// === impl Violations ===

impl Violations {
    /// Something must be given.
    pub(crate) fn required(&mut self, at: &str, given: bool) {
        if !given {
            self.found.push(format!(
                "Value null at '{at}' failed to satisfy constraint: Member must not be null"
            ));
        }
    }

    /// A text has lengths and a form.
    pub(crate) fn text(&mut self, at: &str, value: Option<&str>, must: Text) {
        let Some(value) = value else { return };
        let length = value.chars().count();
        if must.most > 0 && length > must.most {
            self.add(at, value, &at_most_long(must.most));
        }
        if length < must.least {
            self.add(at, value, &at_least_long(must.least));
        }
        if let Some(pattern) = must.pattern
            && !(pattern.matches)(value)
        {
            self.add(at, value, &has_form(pattern));
        }
    }

    /// A number lies between two others.
    pub(crate) fn number(&mut self, at: &str, value: Option<i64>, least: i64, most: Option<i64>) {
        let Some(value) = value else { return };
        let value_text = value.to_string();
        if value < least {
            let constraint = format!("Member must have value greater than or equal to {least}");
            self.add(at, &value_text, &constraint);
        }
        if let Some(most) = most.filter(|most| value > *most) {
            let constraint = format!("Member must have value less than or equal to {most}");
            self.add(at, &value_text, &constraint);
        }
    }

    /// Something that is too long to be repeated has at least and at most so many entries.
    pub(crate) fn length(&mut self, at: &str, entries: i64, least: i64, most: i64) {
        let constraint = match entries {
            entries if entries > most => format!("less than or equal to {most}"),
            entries if entries < least => format!("greater than or equal to {least}"),
            _ => return,
        };
        self.found.push(format!(
            "Value at '{at}' failed to satisfy constraint: Member must have length {constraint}"
        ));
    }

    /// A text is one of several.
    pub(crate) fn one_of(&mut self, at: &str, value: Option<&str>, set: &[&str]) {
        if let Some(value) = value
            && !set.contains(&value)
        {
            self.add(at, value, &in_set(set));
        }
    }

    /// A list has at least and at most so many members.
    pub(crate) fn count(&mut self, at: &str, list: Option<&[String]>, least: usize, most: usize) {
        let Some(list) = list else { return };
        if list.len() > most {
            self.add(at, &printed(list), &at_most_long(most));
        }
        if list.len() < least {
            self.add(at, &printed(list), &at_least_long(least));
        }
    }

    /// Every member of a list is one of several.
    pub(crate) fn each_one_of(&mut self, at: &str, list: Option<&[String]>, set: &[&str]) {
        let Some(list) = list else { return };
        if list.iter().any(|member| !set.contains(&member.as_str())) {
            let constraint = format!(
                "Member must satisfy constraint: [{}, Member must not be null]",
                in_set(set)
            );
            self.add(at, &printed(list), &constraint);
        }
    }

    /// Every member of a list has lengths and a form.
    pub(crate) fn each_text(&mut self, at: &str, list: Option<&[String]>, must: Text) {
        let Some(list) = list else { return };
        if !list.iter().all(|member| must.allows(member)) {
            let constraint = format!("Member must satisfy constraint: [{}]", must.constraints());
            self.add(at, &printed(list), &constraint);
        }
    }

    /// Every key and every value of a map has lengths.
    pub(crate) fn map(&mut self, at: &str, map: &[(String, String)], keys: Text, values: Text) {
        let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let value = format!("{{{}}}", pairs.join(", "));
        if !map.iter().all(|(key, _)| keys.allows(key)) {
            let constraint = format!("Map keys must satisfy constraint: [{}]", keys.constraints());
            self.add(at, &value, &constraint);
        }
        if !map.iter().all(|(_, value)| values.allows(value)) {
            let constraint =
                format!("Map value must satisfy constraint: [{}]", values.constraints());
            self.add(at, &value, &constraint);
        }
    }

    /// Every key of a map has a form; neither keys nor values are repeated, because they may be
    /// secrets.
    pub(crate) fn secret_keys<'a>(
        &mut self,
        at: &str,
        mut keys: impl Iterator<Item = &'a str>,
        must: Text,
    ) {
        if !keys.all(|key| must.allows(key)) {
            self.found.push(format!(
                "Value at '{at}' failed to satisfy constraint: Map keys must satisfy constraint: \
                 [{}]",
                must.constraints()
            ));
        }
    }

    /// Adds what was found elsewhere.
    pub(crate) fn append(&mut self, other: Self) {
        self.found.extend(other.found);
    }

    /// All that was found, as one error.
    ///
    /// # Errors
    /// If anything was found.
    pub(crate) fn finish(self) -> Result<(), AwsError> {
        if self.found.is_empty() { Ok(()) } else { Err(errors::violated(&self.found)) }
    }

    fn add(&mut self, at: &str, value: &str, constraint: &str) {
        self.found
            .push(format!("Value '{value}' at '{at}' failed to satisfy constraint: {constraint}"));
    }
}

fn at_most_long(most: usize) -> String {
    format!("Member must have length less than or equal to {most}")
}

fn at_least_long(least: usize) -> String {
    format!("Member must have length greater than or equal to {least}")
}

fn has_form(pattern: Pattern) -> String {
    format!("Member must satisfy regular expression pattern: {}", pattern.text)
}

fn in_set(set: &[&str]) -> String {
    format!("Member must satisfy enum value set: [{}]", set.join(", "))
}

fn printed(list: &[String]) -> String {
    format!("[{}]", list.join(", "))
}

#[cfg(test)]
mod tests;
