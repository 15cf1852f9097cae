//! Packages that the operator gives every Python function.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::harness::package::dedent;
use crate::harness::{Daemon, Function, Home, Options, Package, eventually, setup};

/// Says which process has imported the package, and which one it is itself.
const IMPORTS: &str = "
    import os
    import sys

    import requests

    def handler(event, context):
        return {'own': os.getpid(), 'importer': requests.IMPORTER, 'from': requests.__file__,
                'path': sys.path, 'handlers': len(requests.logging.getLogger().handlers)}
    ";

/// What `pip install --target` would have made, under a name that a template imports. It is the same for
/// every run, so that one image serves all of them.
fn packages() -> &'static PathBuf {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let folder = setup::folder().join("python-packages");
        let package = folder.join("requests");
        fs::create_dir_all(&package).expect("the target folder is writable");
        let (path, new) = (package.join("__init__.py"), package.join("new"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let source = "import logging\nimport os\nIMPORTER = os.getpid()\n";
        if !fs::read_to_string(&path).is_ok_and(|there| there == source) {
            fs::write(&new, source).expect("a file");
            File::options()
                .append(true)
                .open(&new)
                .and_then(|it| it.set_modified(time))
                .expect("a time");
            // Another run may be at it.
            fs::rename(&new, &path)
                .or_else(|err| if path.exists() { Ok(()) } else { Err(err) })
                .expect("a name");
        }
        folder
    })
}

fn daemon() -> Daemon {
    let config = format!("python_packages = \"{}\"\n", packages().display());
    let options = Options { config: Some(config), ..Options::default() };
    Daemon::start_in(&Home::new(), &options)
}

#[test]
fn code_that_imports_a_package_of_the_image_is_served_by_a_template_that_has_imported_it() {
    let daemon = daemon();
    // The first ones may come before the template is up.
    let answer = eventually("a template has imported it", Duration::from_secs(60), || {
        let answer = Function::python(IMPORTS).deploy(&daemon).answer(&json!({}));
        (answer["own"] != answer["importer"]).then_some(answer)
    });
    let file = answer["from"].as_str().expect("text");
    assert!(file.starts_with("/var/lang/lib/python3."), "{file}");
    assert_eq!(answer["path"][0], "/var/task");
    assert_eq!(answer["handlers"], 1, "of the log, which the package has imported");
}

#[test]
fn a_functions_own_package_of_that_name_is_the_one_it_gets() {
    let daemon = daemon();
    let own = "import logging\nimport os\nIMPORTER = os.getpid()\n";
    let package = Package::new().file("app.py", dedent(IMPORTS)).file("requests.py", own).build();
    let own = Function::new(setup::python_runtime(), "app.handler", package).deploy(&daemon);
    let answer = own.answer(&json!({}));
    assert_eq!(answer["from"], "/var/task/requests.py");
    assert_eq!(answer["own"], answer["importer"]);
}
