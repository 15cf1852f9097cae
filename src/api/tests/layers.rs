//! Layers and their policies.

use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::LayerName;
use model::policy::Statement;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use super::server::Server;

pub(super) const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:layer";
const INVALID: &str = "InvalidParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";
const NONE: &str = "The resource you requested does not exist.";

/// An archive of these files, in base64.
pub(super) fn archive(files: &[(&str, &str)]) -> String {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    STANDARD.encode(zip.finish().unwrap().into_inner())
}

pub(super) fn path(layer: &str) -> String {
    format!("/2018-10-31/layers/{layer}/versions")
}

pub(super) async fn publish(server: &Server, layer: &str, files: &[(&str, &str)]) -> Value {
    publish_with(server, layer, json!({ "Content": { "ZipFile": archive(files) } })).await
}

async fn publish_with(server: &Server, layer: &str, body: Value) -> Value {
    let reply = server.call("POST", &path(layer), body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

// === layers ===

#[tokio::test]
async fn a_version_is_shown_as_it_was_published() {
    let server = Server::open();
    let zip = archive(&[("python/lib.py", "x = 1\n")]);
    let body = json!({
        "Description": "what it is for",
        "Content": { "ZipFile": zip },
        "CompatibleRuntimes": ["python3.11", "nodejs20.x"],
        "CompatibleArchitectures": ["x86_64", "arm64"],
        "LicenseInfo": "MIT",
    });
    let published = publish_with(&server, "l", body).await;
    let size = STANDARD.decode(&zip).unwrap().len();
    assert_eq!(published["LayerArn"], format!("{ARN}:l"));
    assert_eq!(published["LayerVersionArn"], format!("{ARN}:l:1"));
    assert_eq!(published["Version"], 1);
    assert_eq!(published["Description"], "what it is for");
    assert_eq!(published["CompatibleRuntimes"], json!(["python3.11", "nodejs20.x"]));
    assert_eq!(published["CompatibleArchitectures"], json!(["x86_64", "arm64"]));
    assert_eq!(published["LicenseInfo"], "MIT");
    assert_eq!(published["Content"]["CodeSize"], size);
    let date = published["CreatedDate"].as_str().unwrap();
    assert!(date.ends_with("+0000") && date.len() == "2018-11-27T15:10:45.123+0000".len());
    let strip = |mut value: Value| {
        // Signed at another moment.
        value["Content"].as_object_mut().unwrap().remove("Location").unwrap();
        value
    };
    let expected = strip(published);
    for path in [
        format!("{}/1", path("l")),
        format!("{}/1", path(&format!("{ARN}:l"))),
        format!("/2018-10-31/layers?find=LayerVersion&Arn={ARN}:l:1"),
        format!(
            "/2018-10-31/layers?Arn={}&find=LayerVersion",
            format!("{ARN}:l:1").replace(':', "%3A")
        ),
    ] {
        assert_eq!(strip(server.get(&path).await.json()), expected, "{path}");
    }
}

#[tokio::test]
async fn what_was_not_given_is_not_shown() {
    let server = Server::open();
    let published = publish(&server, "l", &[("a", "")]).await;
    assert_eq!(published["Description"], "");
    for member in ["CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"] {
        assert!(published.get(member).is_none(), "{member}");
    }
}

#[tokio::test]
async fn the_address_of_a_version_gives_its_archive() {
    let server = Server::open();
    let published = publish(&server, "l", &[("a", "text")]).await;
    let location = published["Content"]["Location"].as_str().unwrap().to_owned();
    let reply = server.get(location.strip_prefix("http://localhost:9000").unwrap()).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (200, Some("application/zip"))
    );
    assert_eq!(STANDARD.encode(&reply.body), archive(&[("a", "text")]));
}

#[tokio::test]
async fn numbers_go_up_and_are_never_used_again() {
    let server = Server::open();
    for number in 1..=3 {
        // The same archive is another version all the same.
        assert_eq!(publish(&server, "l", &[("a", "")]).await["Version"], number);
    }
    for number in 1..=3 {
        let deleted = server.call("DELETE", &format!("{}/{number}", path("l")), Value::Null).await;
        assert_eq!(deleted.status, 204);
    }
    assert_eq!(server.get("/2018-10-31/layers").await.json(), json!({ "Layers": [] }));
    assert_eq!(publish(&server, "l", &[("a", "")]).await["Version"], 4);
    // Once more is no error; nor is what never was.
    for version in ["l/versions/1", "l/versions/99", "none/versions/1"] {
        let path = format!("/2018-10-31/layers/{version}");
        assert_eq!(server.call("DELETE", &path, Value::Null).await.status, 204, "{path}");
        server.get(&path).await.refused(404, NOT_FOUND, NONE);
    }
}

#[tokio::test]
async fn lists_have_the_newest_of_each_that_fits() {
    let server = Server::open();
    let with = |runtimes: Value, architectures: Value| {
        json!({
            "Content": { "ZipFile": archive(&[("a", "")]) },
            "CompatibleRuntimes": runtimes, "CompatibleArchitectures": architectures,
        })
    };
    publish_with(&server, "one", with(json!(["python3.11"]), json!(["x86_64"]))).await;
    publish_with(&server, "one", with(json!(["nodejs20.x"]), json!(["x86_64", "arm64"]))).await;
    publish_with(&server, "two", with(json!(["python3.11"]), json!(["arm64"]))).await;
    publish(&server, "three", &[("a", "")]).await;
    let seen = |listed: Value| -> Vec<String> {
        let layers = listed["Layers"].as_array().unwrap().iter();
        let arn = |layer: &Value| {
            layer["LatestMatchingVersion"]["LayerVersionArn"].as_str().unwrap().to_owned()
        };
        layers.map(|layer| arn(layer).replace(&format!("{ARN}:"), "")).collect()
    };
    for (query, expected) in [
        ("", &["one:2", "three:1", "two:1"][..]),
        ("?CompatibleRuntime=python3.11", &["one:1", "two:1"]),
        ("?CompatibleArchitecture=arm64", &["one:2", "two:1"]),
        ("?CompatibleRuntime=python3.11&CompatibleArchitecture=arm64", &["two:1"]),
        ("?CompatibleRuntime=java21", &[]),
        ("?CompatibleRuntime=", &["one:2", "three:1", "two:1"]),
    ] {
        let listed = server.get(&format!("/2018-10-31/layers{query}")).await.json();
        assert_eq!(seen(listed), expected, "{query}");
    }
    let versions =
        server.get(&format!("{}?CompatibleRuntime=nodejs20.x", path("one"))).await.json();
    let versions = versions["LayerVersions"].as_array().unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0]["Version"], 2);
    assert!(versions[0].get("Content").is_none() && versions[0].get("LayerArn").is_none());
    assert_eq!(server.get(&path("none")).await.json(), json!({ "LayerVersions": [] }));
}

#[tokio::test]
async fn lists_come_in_pages_newest_versions_first() {
    let server = Server::open();
    for name in ["a", "b", "c"] {
        publish(&server, name, &[("a", "")]).await;
    }
    for _ in 2..=5 {
        publish(&server, "a", &[("a", "")]).await;
    }
    let mut pages = Vec::new();
    let mut marker = String::new();
    loop {
        let page = format!("{}?MaxItems=2&Marker={marker}", path("a"));
        let page = server.get(&page).await.json();
        let numbers: Vec<i64> = page["LayerVersions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| version["Version"].as_i64().unwrap())
            .collect();
        pages.push(numbers);
        match page["NextMarker"].as_str() {
            Some(next) => next.clone_into(&mut marker),
            None => break,
        }
    }
    assert_eq!(pages, [vec![5, 4], vec![3, 2], vec![1]]);
    let first = server.get("/2018-10-31/layers?MaxItems=2").await.json();
    let next = first["NextMarker"].as_str().unwrap();
    let second = server.get(&format!("/2018-10-31/layers?MaxItems=2&Marker={next}")).await.json();
    let names = |page: &Value| -> Vec<String> {
        let layers = page["Layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["LayerName"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((names(&first), names(&second)), (vec!["a".into(), "b".into()], vec!["c".into()]));
    assert!(second.get("NextMarker").is_none());
    assert_eq!(server.get("/2018-10-31/layers?MaxItems=50").await.status, 200);
    for wrong in ["0", "51"] {
        let reply = server.get(&format!("/2018-10-31/layers?MaxItems={wrong}")).await;
        assert_eq!(reply.error().1, "ValidationException", "{wrong}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_in_awss_words() {
    let server = Server::open();
    let content = json!({ "ZipFile": archive(&[("a", "")]) });
    let tried = async |layer: &str, body: Value| {
        let (status, code, message) = server.call("POST", &path(layer), body).await.error();
        assert_eq!(status, 400, "{message}");
        (code, message)
    };
    let runtimes = json!({
        "Content": content, "CompatibleRuntimes": ["invalidruntime", "nodejs20.x"],
        "CompatibleArchitectures": ["x86_64", "vax"],
    });
    let (code, message) = tried("l", runtimes).await;
    assert_eq!(code, "ValidationException");
    let begin = "2 validation errors detected: Value '[invalidruntime, nodejs20.x]' at \
                 'compatibleRuntimes' failed to satisfy constraint: Member must satisfy enum value \
                 set: [";
    assert!(message.starts_with(begin), "{message}");
    assert!(message.contains("Value '[x86_64, vax]' at 'compatibleArchitectures'"), "{message}");
    let (_, message) = tried("l", json!({})).await;
    assert!(message.contains("Value null at 'content'"), "{message}");
    let (_, message) = tried("a.b", json!({ "Content": content })).await;
    assert!(message.contains("Value 'a.b' at 'layerName'"), "{message}");
    // From both sides of each limit.
    for (member, most) in [("Description", 256), ("LicenseInfo", 512)] {
        let with = |length: usize| json!({ "Content": content, member: "x".repeat(length) });
        publish_with(&server, "l", with(most)).await;
        let (_, message) = tried("l", with(most + 1)).await;
        assert!(message.contains(&format!("length less than or equal to {most}")), "{message}");
    }
    let with =
        |count: usize| json!({ "Content": content, "CompatibleRuntimes": vec!["java21"; count] });
    publish_with(&server, "l", with(15)).await;
    assert!(tried("l", with(16)).await.1.contains("length less than or equal to 15"));
    publish(&server, &"a".repeat(140), &[("a", "")]).await;
    assert!(tried(&"a".repeat(141), json!({ "Content": content })).await.1.contains("layerName"));
    let refused = server.get("/2018-10-31/layers?CompatibleRuntime=runtimedoesnotexist").await;
    let (_, code, message) = refused.error();
    assert_eq!(code, "ValidationException");
    let begin = "1 validation error detected: Value 'runtimedoesnotexist' at 'compatibleRuntime' \
                 failed to satisfy constraint: Member must satisfy enum value set: [";
    assert!(message.starts_with(begin), "{message}");
    server.get("/2018-10-31/layers?CompatibleArchitecture=archdoesnotexist").await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value 'archdoesnotexist' at 'compatibleArchitecture' failed to \
         satisfy constraint: Member must satisfy enum value set: [x86_64, arm64]",
    );
    let by_arn = format!("/2018-10-31/layers?find=LayerVersion&Arn={ARN}:l");
    let (_, code, message) = server.get(&by_arn).await.error();
    assert_eq!(code, "ValidationException");
    let begin = format!(
        "1 validation error detected: Value '{ARN}:l' at 'arn' failed to satisfy constraint: Member \
         must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{{2}}"
    );
    assert!(message.starts_with(&begin), "{message}");
}

#[tokio::test]
async fn versions_that_cannot_be_are_told_from_those_that_are_not_there() {
    let server = Server::open();
    publish(&server, "l", &[("a", "")]).await;
    let below = "Layer Version Cannot be less than 1";
    for number in ["0", "-1"] {
        let path = format!("{}/{number}", path("l"));
        server.get(&path).await.refused(400, INVALID, below);
        server.call("DELETE", &path, Value::Null).await.refused(400, INVALID, below);
    }
    let by_arn = |arn: &str| format!("/2018-10-31/layers?find=LayerVersion&Arn={arn}");
    server.get(&by_arn(&format!("{ARN}:l:0"))).await.refused(400, INVALID, below);
    for arn in [
        format!("{ARN}:l:2"),
        format!("{ARN}:none:1"),
        format!("{ARN}:l:99999999999999999999999"),
        "arn:aws:lambda:::awslayer:AmazonLinux1703".to_owned(),
    ] {
        server.get(&by_arn(&arn)).await.refused(404, NOT_FOUND, NONE);
    }
    // Nobody else's layers are here.
    let foreign = "arn:aws:lambda:us-east-1:123456789012:layer:l";
    let (status, code, message) = server.get(&format!("{}/1", path(foreign))).await.error();
    assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    assert!(message.contains("is not authorized to perform: lambda:GetLayerVersion"), "{message}");
    let elsewhere = ARN.replace("us-east-1", "eu-west-1");
    let reply = server.get(&format!("{}/1", path(&format!("{elsewhere}:l")))).await;
    assert_eq!(reply.status, 404, "{reply:?}");
}

#[tokio::test]
async fn hostile_archives_are_refused_and_leave_nothing() {
    let server = Server::open();
    let tried = async |zip: String| {
        let body = json!({ "Content": { "ZipFile": zip } });
        server.call("POST", &path("l"), body).await.error()
    };
    let link_out = {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.add_symlink("bin/sh", "../../../bin/sh", SimpleFileOptions::default()).unwrap();
        STANDARD.encode(zip.finish().unwrap().into_inner())
    };
    for (zip, why) in [
        (archive(&[("../evil", "x")]), "climbs out"),
        (archive(&[("/etc/passwd", "x")]), "absolute"),
        (link_out, "symbolic link out of the archive"),
        (archive(&[("a", "x"), ("a/b", "y")]), "beneath a file"),
        (STANDARD.encode("no zip at all"), "Could not unzip uploaded file"),
    ] {
        let (status, code, message) = tried(zip).await;
        assert_eq!((status, code.as_str()), (400, INVALID), "{message}");
        assert!(message.starts_with("Could not unzip uploaded file."), "{message}");
        assert!(message.contains(why), "{why}: {message}");
    }
    let (status, code, message) = tried(String::new()).await;
    let expected = (400, INVALID.to_owned(), "Uploaded file must be a non-empty zip".to_owned());
    assert_eq!((status, code, message), expected);
    assert_eq!(server.get("/2018-10-31/layers").await.json(), json!({ "Layers": [] }));
    // The number was given to nobody.
    assert_eq!(publish(&server, "l", &[("a", "")]).await["Version"], 1);
}

#[tokio::test]
async fn archives_elsewhere_are_refused_with_what_to_do() {
    let server = Server::open();
    let body = json!({ "Content": { "S3Bucket": "bucket", "S3Key": "k" } });
    let (status, code, message) = server.call("POST", &path("l"), body).await.error();
    assert_eq!((status, code.as_str()), (400, INVALID));
    assert!(message.starts_with("S3 is not available on this server."), "{message}");
}

// === policies ===

#[tokio::test]
async fn a_policy_is_added_shown_and_taken_away() {
    let server = Server::open();
    publish(&server, "l", &[("a", "")]).await;
    let policy = format!("{}/1/policy", path("l"));
    let none = "No policy is associated with the given resource.";
    server.get(&policy).await.refused(404, NOT_FOUND, none);
    let body = json!({ "StatementId": "s1", "Action": "lambda:GetLayerVersion", "Principal": "*" });
    let added = server.call("POST", &policy, body.clone()).await;
    assert_eq!(added.status, 201);
    let added = added.json();
    let statement = json!({
        "Sid": "s1", "Effect": "Allow", "Principal": "*",
        "Action": "lambda:GetLayerVersion", "Resource": format!("{ARN}:l:1"),
    });
    let parse = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
    assert_eq!(parse(&added["Statement"]), statement);
    let shown = server.get(&policy).await.json();
    assert_eq!(shown["RevisionId"], added["RevisionId"]);
    let expected = json!({ "Version": "2012-10-17", "Id": "default", "Statement": [statement] });
    assert_eq!(parse(&shown["Policy"]), expected);
    server.call("POST", &policy, body).await.refused(
        409,
        "ResourceConflictException",
        "The statement id (s1) provided already exists. Please provide a new statement id, or remove \
         the existing statement.",
    );
    let organization = json!({
        "StatementId": "s2", "Action": "lambda:GetLayerVersion", "Principal": "123456789012",
        "OrganizationId": "o-abcdefghij",
    });
    let stale = "The Revision Id provided does not match the latest Revision Id. Call the \
                 GetLayerPolicy API to retrieve the latest Revision Id";
    let with = |revision: &str| format!("{policy}?RevisionId={revision}");
    server.call("POST", &with("wrong"), organization.clone()).await.refused(
        412,
        "PreconditionFailedException",
        stale,
    );
    let revision = shown["RevisionId"].as_str().unwrap();
    let added = server.call("POST", &with(revision), organization).await.json();
    let statement = parse(&added["Statement"]);
    assert_eq!(statement["Principal"]["AWS"], "arn:aws:iam::123456789012:root");
    assert_eq!(statement["Condition"]["StringEquals"]["aws:PrincipalOrgID"], "o-abcdefghij");
    assert_ne!(added["RevisionId"], shown["RevisionId"]);
    let one = format!("{policy}/s1");
    server.call("DELETE", &format!("{one}?RevisionId={revision}"), Value::Null).await.refused(
        412,
        "PreconditionFailedException",
        stale,
    );
    assert_eq!(server.call("DELETE", &one, Value::Null).await.status, 204);
    let gone = "Statement s1 is not found in resource policy.";
    server.call("DELETE", &one, Value::Null).await.refused(404, NOT_FOUND, gone);
    assert_eq!(server.call("DELETE", &format!("{policy}/s2"), Value::Null).await.status, 204);
    server.get(&policy).await.refused(404, NOT_FOUND, none);
}

#[tokio::test]
async fn what_is_wrong_with_a_statement_is_told_in_awss_words() {
    let server = Server::open();
    publish(&server, "l", &[("a", "")]).await;
    let policy = format!("{}/1/policy", path("l"));
    let with = |member: &str, value: &str| {
        let mut body =
            json!({ "StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": "*" });
        body[member] = json!(value);
        body
    };
    server.call("POST", &policy, with("Action", "*")).await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value '*' at 'action' failed to satisfy constraint: Member must \
         satisfy regular expression pattern: lambda:GetLayerVersion",
    );
    for (member, value, at) in [
        ("Principal", "s3.amazonaws.com", "principal"),
        ("Principal", "12345678901", "principal"),
        ("OrganizationId", "o-short", "organizationId"),
        ("StatementId", "not.this", "statementId"),
        ("StatementId", "", "statementId"),
    ] {
        let (status, code, message) =
            server.call("POST", &policy, with(member, value)).await.error();
        assert_eq!((status, code.as_str()), (400, "ValidationException"), "{member} {value}");
        assert!(message.contains(&format!("'{at}'")), "{message}");
    }
    // Of what is not there, by its ARN.
    for (version, arn) in [("l/versions/2", "l:2"), ("none/versions/1", "none:1")] {
        let policy = format!("/2018-10-31/layers/{version}/policy");
        let message = format!("Layer version {ARN}:{arn} does not exist.");
        server.get(&policy).await.refused(404, NOT_FOUND, &message);
        server
            .call("POST", &policy, with("StatementId", "s"))
            .await
            .refused(404, NOT_FOUND, &message);
        let one = format!("{policy}/s");
        server.call("DELETE", &one, Value::Null).await.refused(404, NOT_FOUND, &message);
    }
}

#[tokio::test]
async fn a_policy_is_no_longer_than_awss() {
    let server = Server::open();
    publish(&server, "l", &[("a", "")]).await;
    let store = &server.api.store;
    let name = LayerName::parse("l").unwrap();
    let statement = |number: usize| Statement {
        id: format!("{number:0>90}"),
        action: "lambda:GetLayerVersion".to_owned(),
        principal: "*".to_owned(),
        source_arn: None,
        source_account: None,
        event_source_token: None,
        principal_org_id: None,
        url_auth: None,
        via_url: None,
    };
    for number in 0..90 {
        store.add_layer_statement(&name, 1, None, statement(number), |_| 0).await.unwrap();
    }
    let body = json!({ "StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": "*" });
    let reply = server.call("POST", &format!("{}/1/policy", path("l")), body).await;
    assert_eq!(
        (reply.status.as_u16(), reply.error().1.as_str()),
        (400, "PolicyLengthExceededException")
    );
}
