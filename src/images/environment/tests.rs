//! What is there before the function is known, and what cannot wait until then.

use super::{constants, is_early};
use crate::manifest::Kind;

#[test]
fn every_language_has_the_search_paths_of_its_own() {
    let names = |kind| constants(kind, "nodejs22.x").into_iter().map(|(name, _)| name);
    let common =
        ["LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "TZ", "LANG", "PATH", "LD_LIBRARY_PATH"];
    assert!(names(Kind::Custom).eq(common));
    assert!(names(Kind::Python).eq(common.into_iter().chain(["PYTHONPATH"])));
    assert!(names(Kind::Node).eq(common.into_iter().chain(["NODE_PATH"])));
    let (_, path) = constants(Kind::Node, "nodejs22.x").pop().expect("the last one");
    assert!(path.starts_with("/opt/nodejs/node22/node_modules:"), "{path}");
}

#[test]
fn what_the_loader_the_c_library_or_the_interpreter_reads_at_its_start_cannot_wait() {
    for kind in [Kind::Python, Kind::Node] {
        for name in ["LANG", "LC_ALL", "LD_PRELOAD", "MALLOC_ARENA_MAX", "OMP_NUM_THREADS"] {
            assert!(is_early(kind, name), "{name}");
        }
        for name in ["OPENBLAS_NUM_THREADS", "OPENSSL_CONF", "AWS_LAMBDA_EXEC_WRAPPER"] {
            assert!(is_early(kind, name), "{name}");
        }
    }
    assert!(is_early(Kind::Python, "PYTHONHASHSEED") && !is_early(Kind::Node, "PYTHONHASHSEED"));
    for name in ["NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NODE_DEBUG", "UV_THREADPOOL_SIZE"] {
        assert!(is_early(Kind::Node, name) && !is_early(Kind::Python, name), "{name}");
    }
}

#[test]
fn what_functions_usually_set_can_wait() {
    let usual =
        ["TABLE_NAME", "TZ", "PATH", "LANGCHAIN_API_KEY", "LOG_LEVEL", "NODE_ENV", "NODE_PATH"];
    for name in usual {
        assert!(!is_early(Kind::Python, name) && !is_early(Kind::Node, name), "{name}");
    }
}

#[test]
fn a_custom_runtime_is_always_executed() {
    assert!(is_early(Kind::Custom, "TABLE_NAME"));
}
