//! Values that tests of this crate start from.

use std::collections::BTreeMap;

use model::configuration::{
    Architecture, Description, EphemeralStorage, Handler, MemorySize, RoleArn, RuntimeId, Timeout,
};
use model::{Configuration, Digest, FunctionName};

use crate::function::Code;
use crate::lifecycle::NewFunction;

/// A name.
pub(crate) fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).unwrap()
}

/// A package, told apart by one byte.
pub(crate) fn code(byte: u8) -> Code {
    Code { digest: Digest([byte; 32]), size: 1000 + u64::from(byte) }
}

/// A configuration like any other.
pub(crate) fn configuration() -> Configuration {
    Configuration {
        runtime: RuntimeId::parse("python3.11").unwrap(),
        handler: Handler::parse("app.handler").unwrap(),
        role: RoleArn::parse("arn:aws:iam::000000000000:role/r").unwrap(),
        description: Description::parse("what it does").unwrap(),
        timeout: Timeout::DEFAULT,
        memory: MemorySize::DEFAULT,
        tmp: EphemeralStorage::DEFAULT,
        environment: None,
        architecture: Architecture::X86_64,
        log_group: None,
        snap_start: model::configuration::SnapStart::None,
        layers: None,
    }
}

/// A function to create.
pub(crate) fn new_function(called: &str) -> NewFunction {
    NewFunction {
        name: name(called),
        code: code(1),
        configuration: configuration(),
        tags: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
        publish: false,
        at_ms: 1000,
    }
}
