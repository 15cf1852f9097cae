//! Functions that use layers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::LayerName;
use serde_json::{Value, json};
use store::{AboutLayer, Code, NewLayerVersion};

use super::layers::{ARN, archive, path, publish};
use super::server::{Server, new_function_with, package_text};

const INVALID: &str = "InvalidParameterValueException";

/// What there is beneath a tree of the code store, sorted.
fn files_in(server: &Server, digest: model::Digest) -> Vec<(String, String)> {
    let root = server.api.code.tree_path(&digest);
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            found.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_function_shows_its_layers_and_has_them_merged() {
    let server = Server::open();
    let first = publish(&server, "first", &[("python/a.py", "first"), ("bin/tool", "first")]).await;
    let second = publish(&server, "second", &[("python/a.py", "second"), ("bin", "a file")]).await;
    let layers = json!([format!("{ARN}:first:1"), format!("{ARN}:second:1")]);
    let new = new_function_with("f", json!({ "Layers": layers, "Publish": true }));
    let created = server.call("POST", "/2015-03-31/functions", new).await;
    assert_eq!(created.status, 201, "{created:?}");
    let expected = json!([
        { "Arn": format!("{ARN}:first:1"), "CodeSize": first["Content"]["CodeSize"] },
        { "Arn": format!("{ARN}:second:1"), "CodeSize": second["Content"]["CodeSize"] },
    ]);
    assert_eq!(created.json()["Layers"], expected);
    let settled = server.settled("f").await;
    assert_eq!((&settled["State"], &settled["Layers"]), (&json!("Active"), &expected));
    let tree = server.api.store.snapshot().function("f").unwrap().latest.runnable.layers.unwrap();
    let there = |files: &[(&str, &str)]| -> Vec<(String, String)> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    assert_eq!(files_in(&server, tree), there(&[("bin", "a file"), ("python/a.py", "second")]));
    // The other way round is another tree.
    let configuration = "/2015-03-31/functions/f/configuration";
    let layers = json!([format!("{ARN}:second:1"), format!("{ARN}:first:1")]);
    let updated = server.call("PUT", configuration, json!({ "Layers": layers })).await.json();
    assert_eq!(updated["LastUpdateStatus"], "InProgress");
    server.settled("f").await;
    let other = server.api.store.snapshot().function("f").unwrap().latest.runnable.layers.unwrap();
    assert_ne!(other, tree);
    assert_eq!(files_in(&server, other), there(&[("bin/tool", "first"), ("python/a.py", "first")]));
    // Who does not speak of layers keeps them; an empty list takes them away.
    server.call("PUT", configuration, json!({ "Timeout": 9 })).await;
    assert_eq!(server.settled("f").await["Layers"].as_array().unwrap().len(), 2);
    let updated = server.call("PUT", configuration, json!({ "Layers": [] })).await.json();
    assert!(updated.get("Layers").is_none(), "{updated}");
    server.settled("f").await;
    assert_eq!(server.api.store.snapshot().function("f").unwrap().latest.runnable.layers, None);
    // The published version is what it was.
    let version = server.get("/2015-03-31/functions/f/configuration?Qualifier=1").await.json();
    assert_eq!(version["Layers"], expected);
    let listed = server.get("/2015-03-31/functions/f/versions").await.json();
    assert_eq!(listed["Versions"][1]["Layers"], expected);
}

#[tokio::test]
async fn functions_keep_layers_that_were_deleted_and_nobody_else_gets_them() {
    let server = Server::open();
    publish(&server, "l", &[("a", "")]).await;
    let layers = json!([format!("{ARN}:l:1")]);
    let with = |name: &str| new_function_with(name, json!({ "Layers": layers }));
    server.call("POST", "/2015-03-31/functions", with("f")).await;
    server.settled("f").await;
    assert_eq!(server.call("DELETE", &format!("{}/1", path("l")), Value::Null).await.status, 204);
    let code = json!({ "ZipFile": package_text("two") });
    let updated = server.call("PUT", "/2015-03-31/functions/f/code", code).await;
    assert_eq!(updated.status, 200, "{updated:?}");
    let settled = server.settled("f").await;
    assert_eq!(settled["LastUpdateStatus"], "Successful");
    assert_eq!(settled["Layers"][0]["Arn"], format!("{ARN}:l:1"));
    let gone = format!("Layer version {ARN}:l:1 does not exist.");
    let refused = server.call("POST", "/2015-03-31/functions", with("g")).await;
    refused.refused(400, INVALID, &gone);
    let again = json!({ "Layers": layers });
    let refused = server.call("PUT", "/2015-03-31/functions/f/configuration", again).await;
    refused.refused(400, INVALID, &gone);
}

#[tokio::test]
async fn layers_that_a_function_cannot_have_are_refused_in_awss_words() {
    let server = Server::open();
    server.create("f").await;
    for layer in 1..=6 {
        publish(&server, &format!("l{layer}"), &[("a", "")]).await;
    }
    publish(&server, "l1", &[("a", "")]).await;
    let arn = |named: &str| format!("{ARN}:{named}");
    let tried = async |layers: Vec<String>| {
        let body = json!({ "Layers": layers });
        let changed = server.call("PUT", "/2015-03-31/functions/f/configuration", body).await;
        let new = new_function_with("g", json!({ "Layers": layers }));
        let created = server.call("POST", "/2015-03-31/functions", new).await;
        assert_eq!(changed.error(), created.error());
        changed
    };
    let six: Vec<String> = (1..=6).map(|layer| arn(&format!("l{layer}:1"))).collect();
    let refused = tried(six.clone()).await;
    refused.refused(400, INVALID, "Cannot reference more than 5 layers.");
    let twice = "Two different versions of the same layer are not allowed to be referenced in the \
                 same function.";
    for (one, other) in [("l1:1", "l1:2"), ("l1:1", "l1:1")] {
        let (one, other) = (arn(one), arn(other));
        let message = format!("{twice} {one} and {other} are versions of the same layer.");
        tried(vec![one, arn("l2:1"), other]).await.refused(400, INVALID, &message);
    }
    for none in ["l1:9", "doesnotexist:1", "l1:99999999999999999999"] {
        let message = format!("Layer version {} does not exist.", arn(none));
        tried(vec![arn(none)]).await.refused(400, INVALID, &message);
    }
    let of_aws = "arn:aws:lambda:::awslayer:AmazonLinux1703";
    let message = format!("Layer version {of_aws} does not exist.");
    tried(vec![of_aws.to_owned()]).await.refused(400, INVALID, &message);
    let elsewhere = arn("l1:1").replace("us-east-1", "eu-west-1");
    tried(vec![elsewhere]).await.refused(
        400,
        INVALID,
        "Layers are not in the same region as the function. Layers are expected to be in region \
         us-east-1.",
    );
    let foreign = arn("l1:1").replace("000000000000", "123456789012");
    let (status, code, message) = tried(vec![foreign.clone()]).await.error();
    assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    let begin = format!(
        "User: arn:aws:iam::000000000000:root is not authorized to perform: lambda:GetLayerVersion on \
         resource: {foreign}"
    );
    assert!(message.starts_with(&begin), "{message}");
    let (_, code, message) = tried(vec![arn("l1")]).await.error();
    assert_eq!(code, "ValidationException");
    let begin = format!(
        "1 validation error detected: Value '[{}]' at 'layers' failed to satisfy constraint: Member \
         must satisfy constraint: [Member must have length less than or equal to 2048, Member must \
         have length greater than or equal to 1, Member must satisfy regular expression pattern: \
         (arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{{2}}",
        arn("l1")
    );
    assert!(
        message.starts_with(&begin) && message.ends_with(", Member must not be null]"),
        "{message}"
    );
    // Five are not too many.
    let five = json!({ "Layers": six[..5] });
    let changed = server.call("PUT", "/2015-03-31/functions/f/configuration", five).await;
    assert_eq!(changed.json()["Layers"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn code_and_layers_together_are_250_megabytes_at_most() {
    const MOST: u64 = 262_144_000;
    let server = Server::open();
    server.create("f").await;
    let own = {
        let code = server.api.store.snapshot().function("f").unwrap().latest.code;
        server.api.code.unzipped(&code.digest).unwrap()
    };
    assert!(own > 0);
    // What is kept about layers says how much is in them; nobody has to write 250 MB for that.
    let publish_weighing = async |name: &str, unzipped: u64| {
        let zip = STANDARD.decode(archive(&[(name, "")])).unwrap();
        let stored = server.api.code.put(&zip).unwrap();
        let new = NewLayerVersion {
            name: LayerName::parse(name).unwrap(),
            code: Code { digest: stored.digest, size: stored.size },
            unzipped,
            about: AboutLayer::default(),
            at_ms: 0,
        };
        server.api.store.publish_layer(new).await.unwrap();
    };
    publish_weighing("half", 100_000_000).await;
    publish_weighing("fits", MOST - 100_000_000 - own).await;
    publish_weighing("large", MOST - 100_000_000 - own + 1).await;
    let configuration = "/2015-03-31/functions/f/configuration";
    let layers =
        |other: &str| json!({ "Layers": [format!("{ARN}:half:1"), format!("{ARN}:{other}:1")] });
    let message = format!(
        "Function code combined with layers exceeds the maximum allowed size of {MOST} bytes. The \
         actual size is {} bytes.",
        MOST + 1
    );
    let refused = server.call("PUT", configuration, layers("large")).await;
    refused.refused(400, INVALID, &message);
    let new = new_function_with("g", layers("large"));
    server.call("POST", "/2015-03-31/functions", new).await.refused(400, INVALID, &message);
    assert_eq!(server.call("PUT", configuration, layers("fits")).await.status, 200);
    server.settled("f").await;
    // Other code, one byte more.
    let code = json!({ "ZipFile": archive(&[("app.py", &"x".repeat(own as usize + 1))]) });
    let refused = server.call("PUT", "/2015-03-31/functions/f/code", code).await;
    refused.refused(400, INVALID, &message);
    let code = json!({ "ZipFile": archive(&[("app.py", &"x".repeat(own as usize))]) });
    assert_eq!(server.call("PUT", "/2015-03-31/functions/f/code", code).await.status, 200);
}

#[tokio::test]
async fn a_function_whose_layers_are_not_on_the_disk_is_not_made_ready() {
    let server = Server::open();
    publish(&server, "one", &[("a", "")]).await;
    publish(&server, "two", &[("b", "")]).await;
    let digest = {
        let snapshot = server.api.store.snapshot();
        snapshot.layer("two").unwrap().versions[&1].code.digest
    };
    std::fs::remove_dir_all(server.api.code.path(&digest)).unwrap();
    let layers = json!([format!("{ARN}:one:1"), format!("{ARN}:two:1")]);
    let new = new_function_with("f", json!({ "Layers": layers }));
    server.call("POST", "/2015-03-31/functions", new).await;
    let settled = server.settled("f").await;
    assert_eq!(
        (&settled["State"], &settled["StateReasonCode"]),
        (&json!("Failed"), &json!("InvalidZipFileException"))
    );
    assert!(
        settled["StateReason"]
            .as_str()
            .unwrap()
            .starts_with("A layer is not on this server's disk")
    );
}
