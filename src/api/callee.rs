//! What the targets of schedules and rules are: functions of this server, or something it has not.

use model::Home;

use crate::target::Target;

/// What an ARN names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callee {
    /// A function of this account and region, perhaps qualified; whether there is one is seen when it
    /// is called, as on AWS.
    Function,
    /// A function of another account or region.
    Elsewhere,
    /// Something of another service.
    Other,
    /// It is no ARN.
    NoArn,
}

// === impl Callee ===

impl Callee {
    /// Looks at an ARN.
    pub(crate) fn of(arn: &str, home: &Home) -> Self {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        match parts.as_slice() {
            ["arn", _, "lambda", region, account, "function", _] => {
                let fits = schedules::plan::function(arn).is_some() && Target::parse(arn).is_some();
                let ours = *region == home.region.as_str() && *account == home.account.as_str();
                match (fits, ours) {
                    (true, true) => Self::Function,
                    (true, false) => Self::Elsewhere,
                    (false, _) => Self::NoArn,
                }
            }
            ["arn", partition, service, _, _, rest, ..]
                if !partition.is_empty() && !service.is_empty() && !rest.is_empty() =>
            {
                Self::Other
            }
            _ => Self::NoArn,
        }
    }
}

/// What to say of something of another service.
pub(crate) fn not_served(arn: &str) -> String {
    format!(
        "{arn} is not available on this server: targets are functions of its account and region."
    )
}
