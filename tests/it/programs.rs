//! Programs of every kind work behind the walls: what people bring as their own runtime.
//!
//! Python and Node are everywhere in these tests. Here: a program that brings everything with it, and
//! one that brings a just-in-time compiler, a garbage collector and threads of its own.

use serde_json::{Value, json};

use crate::harness::{Function, Package, setup, shared};

/// What the JVM needs of the runtime's folder `lib`; the rest is windows, sound and debuggers.
const LIBRARIES: [&str; 12] = [
    "jvm.cfg",
    "libextnet.so",
    "libjava.so",
    "libjimage.so",
    "libjli.so",
    "libmanagement.so",
    "libmanagement_ext.so",
    "libnet.so",
    "libnio.so",
    "libverify.so",
    "libzip.so",
    "modules",
];

/// A package with a Java runtime in it, and a class that speaks to the Runtime API.
fn java() -> Vec<u8> {
    let home = setup::jvm();
    let read =
        |name: &str| std::fs::read(home.join(name)).unwrap_or_else(|err| panic!("{name}: {err}"));
    let start =
        "#!/bin/sh\nexec /var/task/jre/bin/java $JAVA_FLAGS -Xmx128m -cp /var/task Bootstrap\n";
    let mut package = Package::new()
        .program("bootstrap", start)
        .file("Bootstrap.class", include_bytes!("functions/jvm/Bootstrap.class"))
        .program("jre/bin/java", read("bin/java"))
        .program("jre/lib/jspawnhelper", read("lib/jspawnhelper"))
        .folder("jre/conf", &home.join("conf"))
        .folder("jre/lib/server", &home.join("lib/server"));
    for library in LIBRARIES {
        if home.join("lib").join(library).exists() {
            package = package.file(&format!("jre/lib/{library}"), read(&format!("lib/{library}")));
        }
    }
    package.build()
}

#[test]
fn a_jvm_with_threads_and_either_collector_answers_invocations() {
    let daemon = shared();
    let function = Function::custom(java()).memory(512).timeout(60).deploy(&daemon);
    for (flags, collector) in [("-XX:+UseSerialGC", "MarkSweepCompact"), ("-XX:+UseG1GC", "G1 Old")]
    {
        let environment = json!({"Environment": {"Variables": {"JAVA_FLAGS": flags}}});
        daemon.api("PUT", &function.path("configuration"), &environment).expect(200);
        function.settle();
        for number in 0..3 {
            let answer = function.answer(&json!({"number": number}));
            assert_eq!(answer["event"], json!({"number": number}), "{answer}");
            // Eight threads, 4,000 times 16 KiB each.
            assert_eq!(answer["sum"], json!(8_i64 * 4_000 * 16 * 1024), "{answer}");
            assert!(answer["collections"].as_i64() > Some(0), "{answer}");
            let named = answer["collector"].as_str().is_some_and(|name| name.contains(collector));
            assert!(named, "{answer}");
            assert_eq!(
                (&answer["child"], &answer["exit"]),
                (&json!("child"), &json!(0)),
                "{answer}"
            );
        }
    }
}

#[test]
fn a_statically_linked_program_answers_invocations() {
    let program = std::fs::read(setup::custom_runtime()).expect("just built");
    // A dynamic one names its loader.
    let loader = b"/ld-linux";
    assert!(!program.windows(loader.len()).any(|bytes| bytes == loader), "it is not static");
    let daemon = shared();
    let package = Package::new().program("bootstrap", program).build();
    let function = Function::custom(package).deploy(&daemon);
    let answer: Value = function.answer(&json!({"a": 1}));
    assert!(!answer.is_null(), "{answer}");
}
