//! GetAccountSettings.

use http::StatusCode;

use crate::respond::{Answer, json};
use crate::router::Call;
use crate::shapes::{AccountLimit, AccountSettings, AccountUsage};

/// AWS's 75 GiB for all packages; shown because clients look at it, not enforced: the disk is.
const TOTAL_CODE_SIZE: u64 = 75 * 1024 * 1024 * 1024;

/// What there is, and how much of it is used.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    let totals = call.api.store.snapshot().totals();
    let limits = archive::Limits::AWS;
    let concurrency = u64::from(call.api.concurrency);
    let settings = AccountSettings {
        account_limit: AccountLimit {
            total_code_size: TOTAL_CODE_SIZE,
            code_size_unzipped: limits.unzipped,
            code_size_zipped: limits.zipped,
            concurrent_executions: concurrency,
            // What is provisioned without a reservation is nobody else's either.
            unreserved_concurrent_executions: concurrency.saturating_sub(totals.set_aside),
        },
        account_usage: AccountUsage {
            total_code_size: totals.code_size,
            function_count: totals.functions,
        },
    };
    json(StatusCode::OK, &settings)
}
