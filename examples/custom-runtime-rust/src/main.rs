//! A function in Rust, on AWS's own runtime client: it greets whoever the event names.
//!
//! The program is its own runtime: it fetches each event from the Runtime API and posts the answer.
//! One thread is enough, as an instance is given one event at a time.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    let name = event["name"].as_str().unwrap_or("world");
    if name.is_empty() {
        return Err("nobody to greet".into());
    }
    println!("greeting {name}");
    Ok(json!({
        "message": format!("Hello, {name}!"),
        "request_id": context.request_id,
        "function": context.env_config.function_name,
    }))
}
