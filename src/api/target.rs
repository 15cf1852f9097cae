//! Which function a path means: `name`, `name:qualifier`, partial and full ARNs.
//!
//! [`Target::parse`] is the grammar alone and allocates nothing. [`Target::here`] adds what does not
//! depend on the function: that the region and account are ours, and that a qualifier in the name and
//! one in the query are the same.

use http::StatusCode;
use httpd::AwsError;
use model::{FunctionName, Home, Qualifier};

use crate::errors;
use crate::operation::Operation;
use crate::patterns::{self, every};
use crate::validate::{Text, Violations};

/// A function as a caller names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// The region, if it says one.
    pub(crate) region: Option<&'a str>,
    /// The account, if it says one.
    pub(crate) account: Option<&'a str>,
    /// The name: of the right characters, of any length.
    pub(crate) name: &'a str,
    /// What follows the name.
    pub(crate) qualifier: Option<&'a str>,
}

/// A function that could be ours.
#[derive(Debug, Clone)]
pub(crate) struct Local<'a> {
    /// Its name; one of more than 64 characters names nothing.
    pub(crate) name: &'a str,
    /// Which version, if the caller said.
    pub(crate) qualifier: Option<&'a str>,
}

// === impl Target ===

impl<'a> Target<'a> {
    /// Reads any of the forms; the text is already percent-decoded.
    ///
    /// Each part in front of the name is optional and ends in a colon, so that taking one whenever it
    /// is there can never be wrong: what is left would have had one colon more.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text;
        if let Some(after) = rest.strip_prefix("arn:") {
            let (partition, after) = after.split_once(":lambda:")?;
            let fits = partition.is_empty()
                || partition
                    .strip_prefix("aws")
                    .is_some_and(|more| more.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'));
            if !fits {
                return None;
            }
            rest = after;
        }
        let region = take(&mut rest, is_region);
        let account = take(&mut rest, is_account);
        take(&mut rest, |part| part == "function");
        let (name, qualifier) = match rest.split_once(':') {
            None => (rest, None),
            Some((name, qualifier)) => (name, Some(qualifier)),
        };
        let qualifier_fits = qualifier.is_none_or(|qualifier| {
            matches!(qualifier, "$LATEST" | "$LATEST.PUBLISHED") || every(qualifier, b"-_")
        });
        (every(name, b"-_.") && qualifier_fits).then_some(Self { region, account, name, qualifier })
    }

    /// The same, if it is said to be here; `also` is the qualifier in the query.
    ///
    /// # Errors
    /// In AWS's words, for another region, another account, or two qualifiers that differ.
    pub(crate) fn here(
        self,
        also: Option<&'a str>,
        home: &Home,
        operation: Operation,
    ) -> Result<Local<'a>, AwsError> {
        if let Some(region) = self.region
            && region != home.region.as_str()
        {
            return Err(errors::not_found(format!(
                "Functions from '{region}' are not reachable in this region ('{}')",
                home.region
            )));
        }
        if let Some(account) = self.account
            && account != home.account.as_str()
        {
            let message = format!(
                "User: arn:aws:iam::{}:root is not authorized to perform: lambda:{} on resource: \
                 arn:aws:lambda:{}:{account}:function:{} because no resource-based policy allows \
                 the lambda:{} action",
                home.account,
                operation.name(),
                home.region,
                self.name,
                operation.name(),
            );
            return Err(AwsError::new(StatusCode::FORBIDDEN, "AccessDeniedException", message));
        }
        let qualifier = match (self.qualifier, also) {
            (Some(named), Some(also)) if named != also => {
                return Err(errors::invalid(
                    "The derived qualifier from the function name does not match the specified \
                     qualifier.",
                ));
            }
            (named, also) => named.or(also),
        };
        Ok(Local { name: self.name, qualifier })
    }
}

// === impl Local ===

impl Local<'_> {
    /// The name as a name; `None` if no function could have it.
    pub(crate) fn function_name(&self) -> Option<FunctionName> {
        FunctionName::parse(self.name).ok()
    }

    /// The qualifier as one; `Err` if no version or alias could have it.
    pub(crate) fn parsed_qualifier(&self) -> Result<Option<Qualifier>, ()> {
        self.qualifier.map(Qualifier::parse).transpose().map_err(|_| ())
    }

    /// The ARN as the caller meant it: qualified if they qualified it.
    pub(crate) fn arn(&self, home: &Home) -> String {
        match self.qualifier {
            None => self.unqualified_arn(home),
            Some(qualifier) => format!("{}:{qualifier}", self.unqualified_arn(home)),
        }
    }

    /// The ARN without what the caller qualified it with.
    pub(crate) fn unqualified_arn(&self, home: &Home) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", home.region, home.account, self.name)
    }
}

/// How long and of what form `functionName` may be; operations that only look take more.
pub(crate) fn check_name(violations: &mut Violations, operation: Operation, name: &str) {
    let must = if operation.is_namespaced() {
        Text { least: 1, most: 256, pattern: Some(patterns::NAMESPACED_FUNCTION) }
    } else {
        Text { least: 1, most: 140, pattern: Some(patterns::FUNCTION) }
    };
    violations.text("functionName", Some(name), must);
}

/// `(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}`
pub(crate) fn is_region(text: &str) -> bool {
    let text = text.strip_prefix("eusc-").unwrap_or(text);
    let parts: Vec<&str> = text.split('-').collect();
    let lower = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let sovereign =
        |part: &str| part == "gov" || (part.starts_with("iso") && part.len() <= 4 && lower(part));
    let digit = |part: &str| part.len() == 1 && part.as_bytes()[0].is_ascii_digit();
    match parts[..] {
        [place, area, number] => place.len() == 2 && lower(place) && lower(area) && digit(number),
        [place, kind, area, number] => {
            place.len() == 2 && lower(place) && sovereign(kind) && lower(area) && digit(number)
        }
        _ => false,
    }
}

/// Twelve digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Takes the part in front of the first colon, if it is of a kind.
fn take<'a>(rest: &mut &'a str, is: impl Fn(&str) -> bool) -> Option<&'a str> {
    let (part, after) = rest.split_once(':')?;
    if !is(part) {
        return None;
    }
    *rest = after;
    Some(part)
}

#[cfg(test)]
mod tests;
