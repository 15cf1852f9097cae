//! Reserved concurrency: PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency.

use http::StatusCode;
use httpd::AwsError;
use lambda::types::{
    Concurrency, DeleteFunctionConcurrencyRequest, GetFunctionConcurrencyRequest,
    GetFunctionConcurrencyResponse, PutFunctionConcurrencyRequest,
};

use crate::errors;
use crate::respond::{Answer, empty, json};
use crate::router::Call;

/// Reserves.
pub(crate) async fn put(call: &Call<'_>) -> Answer {
    let request: PutFunctionConcurrencyRequest = call.read()?;
    let reserved_concurrent_executions = request.reserved_concurrent_executions;
    reserve(call, reserved_concurrent_executions).await?;
    json(StatusCode::OK, &Concurrency { reserved_concurrent_executions })
}

/// What is reserved.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    call.read::<GetFunctionConcurrencyRequest>()?;
    let function = call.function(&call.meant_unqualified()?)?;
    let reserved_concurrent_executions = function.reserved_concurrency.map(i64::from);
    json(StatusCode::OK, &GetFunctionConcurrencyResponse { reserved_concurrent_executions })
}

/// Gives back what was reserved.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    call.read::<DeleteFunctionConcurrencyRequest>()?;
    reserve(call, None).await?;
    empty(StatusCode::NO_CONTENT)
}

async fn reserve(call: &Call<'_>, wanted: Option<i64>) -> Result<(), AwsError> {
    let local = call.meant_unqualified()?;
    let arn = local.arn(&call.api.home);
    let name = local.function_name().ok_or_else(|| errors::function_not_found(&arn))?;
    let wanted = wanted.and_then(|wanted| u32::try_from(wanted).ok());
    let unreserved = call.api.unreserved();
    let reserved = call.api.store.reserve_concurrency(&name, wanted, unreserved).await;
    reserved.map_err(|err| errors::refused(err, &arn))?;
    call.api.tell_reserved();
    Ok(())
}
