//! Provisioned concurrency: Put-, Get-, DeleteProvisionedConcurrencyConfig,
//! ListProvisionedConcurrencyConfigs.
//!
//! What is configured is the store's; how far along it is, the pool's, which is asked whenever
//! somebody looks. Two aliases of one version share its instances; each is shown its part, the first
//! one's first.

use std::ops::Bound;
use std::sync::Arc;

use http::StatusCode;
use httpd::AwsError;
use model::{FunctionName, Qualifier};
use pool::Shortfall;
use store::{ChangeError, Function, Provisioned, Provisioning, Refusal};

use crate::listing::{self, Page};
use crate::requests::{self, ProvisionedRequest};
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::shapes::provisioned::{Configured, ListProvisioned, ProvisionedConfig};
use crate::target::{Local, Target};
use crate::{errors, validate};

/// AWS's largest page of this list, and the usual one.
const PAGE: i64 = 50;

/// What a request is about.
struct Subject<'a> {
    local: Local<'a>,
    qualifier: Qualifier,
    /// Qualified.
    arn: String,
}

/// PutProvisionedConcurrencyConfig.
pub(crate) async fn put(call: &Call<'_>) -> Answer {
    let request: ProvisionedRequest = requests::parse(&call.body)?;
    let wanted = request.provisioned_concurrent_executions;
    let mut violations = violations(call);
    violations.required("provisionedConcurrentExecutions", wanted.is_some());
    violations.number("provisionedConcurrentExecutions", wanted, 1, Some(i32::MAX.into()));
    let local = call.local(violations)?;
    if local.qualifier == Some("$LATEST") {
        return Err(errors::invalid(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        ));
    }
    let subject = Subject::of(call, local)?;
    let name = subject.name()?;
    let new = Provisioning {
        qualifier: subject.qualifier.clone(),
        wanted: wanted.and_then(|wanted| u32::try_from(wanted).ok()).unwrap_or(u32::MAX),
        at_ms: now_ms(),
    };
    let done = call.api.store.provision(&name, new, call.api.unreserved()).await;
    let function = done.map_err(|err| match err {
        ChangeError::Refused(Refusal::NoFunction | Refusal::NoVersion) => subject.missing(),
        err => errors::refused(err, &subject.arn),
    })?;
    call.api.tell_provisioned(function.id, &function.name);
    json(StatusCode::ACCEPTED, &shown(call, &function, &subject.qualifier)?)
}

/// GetProvisionedConcurrencyConfig.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    let subject = Subject::of(call, call.local(violations(call))?)?;
    let function = subject.function(call)?;
    json(StatusCode::OK, &shown(call, &function, &subject.qualifier)?)
}

/// DeleteProvisionedConcurrencyConfig.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    let subject = Subject::of(call, call.local(violations(call))?)?;
    let function = subject.function(call)?;
    let gone = call.api.store.unprovision(&function.name, subject.qualifier.clone()).await;
    // What was not provisioned is not provisioned now, which is what was asked for.
    if gone.map_err(|err| errors::refused(err, &subject.arn))? {
        call.api.tell_provisioned(function.id, &function.name);
    }
    empty(StatusCode::NO_CONTENT)
}

/// ListProvisionedConcurrencyConfigs.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    let page = Page::read(&call.query, call.violations(), PAGE)?;
    let local = call.unqualified(validate::Violations::default())?;
    let function = call.function(&local)?;
    let plain = call.api.home.function_arn(&function.name);
    let after = page.after.as_deref().and_then(|marker| Qualifier::parse(marker).ok());
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rest = function.provisioned.range((from, Bound::Unbounded));
    let (configs, next_marker) =
        listing::take(rest, page.size, |(qualifier, _)| qualifier.to_string());
    let provisioned_concurrency_configs = configs
        .into_iter()
        .map(|(qualifier, provisioned)| ProvisionedConfig {
            function_arn: format!("{plain}:{qualifier}"),
            configured: progress(call, &function, qualifier, provisioned),
        })
        .collect();
    json(StatusCode::OK, &ListProvisioned { provisioned_concurrency_configs, next_marker })
}

fn violations(call: &Call<'_>) -> validate::Violations {
    let mut violations = call.violations();
    let named = Target::parse(call.target).is_some_and(|target| target.qualifier.is_some());
    violations.required("qualifier", named || call.qualifier().is_some());
    violations
}

fn shown(
    call: &Call<'_>,
    function: &Function,
    qualifier: &Qualifier,
) -> Result<Configured, AwsError> {
    let provisioned = function.provisioned.get(qualifier).ok_or_else(|| {
        AwsError::user(
            StatusCode::NOT_FOUND,
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
        )
    })?;
    Ok(progress(call, function, qualifier, provisioned))
}

/// How far one configuration is.
fn progress(
    call: &Call<'_>,
    function: &Function,
    qualifier: &Qualifier,
    provisioned: &Provisioned,
) -> Configured {
    let (mut up, mut shortfall) = (0, None);
    for (version, wanted) in function.provisioned_parts(qualifier, provisioned.wanted) {
        let Some(standing) = call.api.pool.provisioned(version.generation) else { continue };
        // What other aliases of the same version have before this one.
        let before: u32 = function
            .provisioned
            .iter()
            .take_while(|(other, _)| *other != qualifier)
            .flat_map(|(other, provisioned)| function.provisioned_parts(other, provisioned.wanted))
            .filter(|(other, _)| other.generation == version.generation)
            .map(|(_, wanted)| wanted)
            .sum();
        let own = standing.up.saturating_sub(before).min(wanted);
        if own < wanted {
            shortfall = shortfall.or(standing.shortfall);
        }
        up += own;
    }
    Configured::new(provisioned, up, shortfall.map(reason))
}

/// What `StatusReason` says. The first is AWS's; AWS has no words for the others.
fn reason(shortfall: Shortfall) -> &'static str {
    match shortfall {
        Shortfall::Function => "FUNCTION_ERROR_INIT_FAILURE",
        Shortfall::Sandbox => "No sandbox could be started; the server's log says more.",
        Shortfall::Room => "This server has no room for as many instances.",
    }
}

// === impl Subject ===

impl<'a> Subject<'a> {
    fn of(call: &Call<'_>, local: Local<'a>) -> Result<Self, AwsError> {
        let arn = local.arn(&call.api.home);
        match local.parsed_qualifier() {
            Ok(Some(qualifier @ (Qualifier::Version(_) | Qualifier::Alias(_)))) => {
                Ok(Self { local, qualifier, arn })
            }
            Ok(Some(Qualifier::Latest) | None) => Err(errors::invalid(
                "The function resource provided must be an alias or a published version.",
            )),
            Err(()) => Err(errors::function_not_found(&arn)),
        }
    }

    fn name(&self) -> Result<FunctionName, AwsError> {
        self.local.function_name().ok_or_else(|| self.missing())
    }

    /// The function, if it has what is meant.
    fn function(&self, call: &Call<'_>) -> Result<Arc<Function>, AwsError> {
        let snapshot = call.api.store.snapshot();
        let function = snapshot.function(self.local.name);
        let function =
            function.filter(|function| function.version(Some(&self.qualifier)).is_some());
        function.cloned().ok_or_else(|| self.missing())
    }

    fn missing(&self) -> AwsError {
        match self.qualifier {
            Qualifier::Alias(_) => {
                errors::not_found(format!("Cannot find alias arn: {}", self.arn))
            }
            _ => errors::function_not_found(&self.arn),
        }
    }
}
