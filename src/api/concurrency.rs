//! Reserved concurrency: PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency.

use http::StatusCode;

use crate::errors;
use crate::requests::{self, ConcurrencyRequest};
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::shapes::Concurrency;

/// Reserves.
pub(crate) async fn put(call: &Call<'_>) -> Answer {
    let request: ConcurrencyRequest = requests::parse(&call.body)?;
    let wanted = request.reserved_concurrent_executions;
    let mut violations = call.violations();
    violations.required("reservedConcurrentExecutions", wanted.is_some());
    violations.number("reservedConcurrentExecutions", wanted, 0, Some(i32::MAX.into()));
    reserve(call, violations, wanted).await?;
    let shape = Concurrency {
        reserved_concurrent_executions: wanted.and_then(|wanted| u32::try_from(wanted).ok()),
    };
    json(StatusCode::OK, &shape)
}

/// What is reserved.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    let local = call.unqualified(call.violations())?;
    let function = call.function(&local)?;
    let reserved_concurrent_executions = function.reserved_concurrency;
    json(StatusCode::OK, &Concurrency { reserved_concurrent_executions })
}

/// Gives back what was reserved.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    reserve(call, call.violations(), None).await?;
    empty(StatusCode::NO_CONTENT)
}

async fn reserve(
    call: &Call<'_>,
    violations: crate::validate::Violations,
    wanted: Option<i64>,
) -> Result<(), httpd::AwsError> {
    let local = call.unqualified(violations)?;
    let arn = local.arn(&call.api.home);
    let name = local.function_name().ok_or_else(|| errors::function_not_found(&arn))?;
    let wanted = wanted.and_then(|wanted| u32::try_from(wanted).ok());
    let unreserved = call.api.unreserved();
    let reserved = call.api.store.reserve_concurrency(&name, wanted, unreserved).await;
    reserved.map_err(|err| errors::refused(err, &arn))?;
    call.api.tell_reserved();
    Ok(())
}
