//! A function's folder: what is in it, what language it is, what to call.
//!
//! Everything happens in the caller's own process, with the caller's own rights: the daemon never
//! reads a user's folder, it is sent a zip. Nothing of the project is executed here; the syntax check
//! parses and stops.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use images::RuntimePath;

/// Names tried, in this order, for the file that holds the handler.
const STEMS: [&str; 6] = ["app", "lambda_function", "index", "main", "handler", "function"];
/// Names tried for the handler itself.
const HANDLERS: [&str; 3] = ["handler", "lambda_handler", "main"];

/// What the files of a language end in.
const ENDINGS: [(&str, Language); 4] = [
    ("py", Language::Python),
    ("mjs", Language::Node),
    ("js", Language::Node),
    ("cjs", Language::Node),
];

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Files ending in `.py`.
    Python,
    /// Files ending in `.js`, `.mjs` or `.cjs`.
    Node,
    /// An executable named `bootstrap`.
    Custom,
}

/// What was found out about a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its language.
    pub language: Language,
    /// What is called, such as `app.handler`.
    pub handler: String,
}

/// A file of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies on this machine.
    pub source: PathBuf,
    /// Its path in the package and relative to the folder.
    pub name: String,
}

// === impl Language ===

impl Language {
    /// The newest of `served` that runs this language.
    pub fn runtime(self, served: &[String]) -> Option<String> {
        let prefix = match self {
            Self::Python => "python3.",
            Self::Node => "nodejs",
            Self::Custom => return Some("provided.al2023".to_owned()),
        };
        let number = |id: &str| -> Option<u32> {
            id.strip_prefix(prefix)?.trim_end_matches(".x").parse().ok()
        };
        served.iter().filter(|id| number(id).is_some()).max_by_key(|id| number(id)).cloned()
    }

    /// What it is called in a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Node => "Node.js",
            Self::Custom => "custom",
        }
    }
}

// === impl Project ===

impl Project {
    /// What a handler that was named is written in: the language of the file it names.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn of_handler(folder: &Path, handler: &str) -> Result<Self> {
        let Some((file, _)) = handler.rsplit_once('.') else {
            return match folder.join("bootstrap").is_file() {
                true => Ok(Self { language: Language::Custom, handler: handler.to_owned() }),
                false => bail!("{handler} is not of the form FILE.FUNCTION"),
            };
        };
        // Python's dots may stand for folders.
        let stems = [file.to_owned(), file.replace('.', "/")];
        for (ending, language) in ENDINGS {
            let there = |stem: &String| folder.join(format!("{stem}.{ending}")).is_file();
            if stems.iter().any(there) {
                return Ok(Self { language, handler: handler.to_owned() });
            }
        }
        bail!(
            "{handler} names no file in {}: looked for {file} with .py, .mjs, .js and .cjs",
            folder.display()
        )
    }

    /// Looks at the files of a folder.
    ///
    /// # Errors
    /// If no handler can be found, or several could be meant: the message says what to type instead.
    pub fn detect(folder: &Path) -> Result<Self> {
        if folder.join("bootstrap").is_file() {
            return Ok(Self { language: Language::Custom, handler: "bootstrap".to_owned() });
        }
        let mut found = Vec::new();
        for stem in STEMS {
            for (ending, language) in ENDINGS {
                let file = folder.join(format!("{stem}.{ending}"));
                let Ok(text) = fs::read_to_string(&file) else { continue };
                let exports = |name: &&&str| defines(language, &text, name);
                if let Some(name) = HANDLERS.iter().find(exports) {
                    found.push(Self { language, handler: format!("{stem}.{name}") });
                }
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => bail!(
                "no handler was found in {}: looked for {} in files named {} (.py, .js, .mjs, \
                 .cjs) and for an executable named bootstrap; name one with --handler FILE.FUNCTION \
                 and --runtime",
                folder.display(),
                HANDLERS.join(", "),
                STEMS.join(", "),
            ),
            _ => {
                let all: Vec<_> = found.iter().map(|one| one.handler.as_str()).collect();
                bail!(
                    "{} could be meant in {}; choose one with --handler and --runtime",
                    all.join(" or "),
                    folder.display()
                )
            }
        }
    }
}

/// Whether a file's text defines `name` at its top level, in the ways people write it.
fn defines(language: Language, text: &str, name: &str) -> bool {
    text.lines().any(|line| match language {
        Language::Python => {
            let rest = line.strip_prefix("def ").and_then(|rest| rest.strip_prefix(name));
            let bound = line.strip_prefix(name).map(str::trim_start);
            rest.is_some_and(|rest| rest.trim_start().starts_with('('))
                || bound.is_some_and(|rest| rest.starts_with('=') && !rest.starts_with("=="))
        }
        Language::Node => {
            let word = |rest: &str| {
                rest.trim_start().strip_prefix(name).is_some_and(|after| {
                    !after.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
                })
            };
            let heads = [
                "exports.",
                "module.exports.",
                "export const ",
                "export let ",
                "export function ",
                "export async function ",
            ];
            heads.iter().any(|head| line.strip_prefix(head).is_some_and(word))
                || (line.starts_with("module.exports") || line.starts_with("export {"))
                    && line.split(['{', ',', '}']).any(word)
        }
        Language::Custom => false,
    })
}

/// The files of a folder that belong into its package: everything but what `.gitignore` and
/// `.hearthignore` exclude, and `.git` itself.
///
/// # Errors
/// If the folder cannot be read, or a name is not UTF-8.
pub fn files(folder: &Path) -> Result<Vec<Entry>> {
    let walk = ignore::WalkBuilder::new(folder)
        .hidden(false)
        .require_git(false)
        .git_global(false)
        .add_custom_ignore_filename(".hearthignore")
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    let mut out = Vec::new();
    for entry in walk {
        let entry = entry.with_context(|| format!("{} cannot be read", folder.display()))?;
        if entry.file_type().is_none_or(|kind| kind.is_dir()) {
            continue;
        }
        let inside = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let name = inside
            .to_str()
            .with_context(|| format!("the name of {} is not UTF-8", entry.path().display()))?;
        out.push(Entry { source: entry.path().to_owned(), name: name.to_owned() });
    }
    if out.is_empty() {
        bail!("{} holds no file to deploy", folder.display());
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

/// The interpreter by which a project's syntax is checked: the last one named for its language, else
/// the server's own; none if neither is there.
pub fn interpreter(language: Language, named: &[RuntimePath]) -> Option<PathBuf> {
    let (wanted, usual) = match language {
        Language::Python => (images::Language::Python, "/usr/bin/python3"),
        Language::Node => (images::Language::Node, "/usr/bin/node"),
        Language::Custom => return None,
    };
    let given = named.iter().rev().find(|given| given.identifier.language == wanted);
    let program = given.map_or_else(|| PathBuf::from(usual), |given| given.path.clone());
    program.exists().then_some(program)
}

/// Parses the project's own source files (vendored dependencies are not checked) and returns what
/// the interpreter says about the first that is wrong.
///
/// # Errors
/// If the interpreter cannot be started at all.
pub fn syntax_error(
    language: Language,
    interpreter: &Path,
    entries: &[Entry],
) -> Result<Option<String>> {
    const PYTHON: &str =
        "import sys\nfor f in sys.argv[1:]:\n compile(open(f,'rb').read(),f,'exec')";
    let ours = |endings: &[&str]| -> Vec<&PathBuf> {
        let top = |entry: &&Entry| {
            !entry.name.contains('/') && endings.iter().any(|end| entry.name.ends_with(end))
        };
        entries.iter().filter(top).map(|entry| &entry.source).collect()
    };
    let run = |command: &mut Command| -> Result<Option<String>> {
        let done = command
            .output()
            .with_context(|| format!("{} cannot be started", interpreter.display()))?;
        let text = String::from_utf8_lossy(&done.stderr);
        Ok((!done.status.success()).then(|| said(&text)))
    };
    match language {
        Language::Custom => Ok(None),
        Language::Python => {
            run(Command::new(interpreter).args(["-I", "-c", PYTHON]).args(ours(&[".py"])))
        }
        Language::Node => {
            for file in ours(&[".js", ".mjs", ".cjs"]) {
                if let Some(wrong) = run(Command::new(interpreter).arg("--check").arg(file))? {
                    return Ok(Some(wrong));
                }
            }
            Ok(None)
        }
    }
}

/// The part of an interpreter's complaint that is about the user's file.
fn said(text: &str) -> String {
    let frames = ["Traceback", "  File \"<string>\"", "    compile(", "    at ", "Node.js v"];
    let lines = text.lines().filter(|line| {
        !line.trim().is_empty() && !frames.iter().any(|frame| line.starts_with(frame))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        folder
    }

    fn names(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn a_python_handler_is_found() {
        let folder = folder(&[("app.py", "import os\n\ndef handler(event, context):\n  pass\n")]);
        let project = Project::detect(folder.path()).expect("a project");
        assert_eq!(project, Project { language: Language::Python, handler: "app.handler".into() });
    }

    #[test]
    fn a_node_handler_is_found_however_it_is_exported() {
        for text in [
            "exports.handler = async () => 1",
            "module.exports.handler = () => {}",
            "export const handler = async () => 1",
            "export async function handler(event) {}",
            "module.exports = { other, handler }",
        ] {
            let folder = folder(&[("index.js", text)]);
            let project = Project::detect(folder.path()).expect(text);
            assert_eq!(
                (project.language, project.handler.as_str()),
                (Language::Node, "index.handler")
            );
        }
    }

    #[test]
    fn a_file_that_merely_mentions_a_handler_is_not_one() {
        let folder = folder(&[("app.py", "# def handler(\nx = handlers\n")]);
        assert!(Project::detect(folder.path()).is_err());
    }

    #[test]
    fn the_language_of_a_named_handler_is_that_of_its_file() {
        let folder = folder(&[("src/main.py", "x"), ("lib/index.mjs", "x")]);
        let language = |handler: &str| {
            Project::of_handler(folder.path(), handler).map(|project| project.language).ok()
        };
        assert_eq!(language("src/main.run"), Some(Language::Python));
        assert_eq!(language("src.main.run"), Some(Language::Python));
        assert_eq!(language("lib/index.run"), Some(Language::Node));
        assert_eq!(language("lib/other.run"), None);
        assert_eq!(language("bootstrap"), None);
    }

    #[test]
    fn two_candidates_are_not_guessed_between() {
        let text = "def handler(e, c):\n  pass\n";
        let folder = folder(&[("app.py", text), ("main.py", text)]);
        let message = Project::detect(folder.path()).expect_err("ambiguous").to_string();
        assert!(message.contains("app.handler or main.handler"), "{message}");
    }

    #[test]
    fn what_gitignore_excludes_is_not_deployed() {
        let folder = folder(&[
            (".gitignore", "*.log\nbuild/\n"),
            (".git/config", ""),
            ("app.py", ""),
            ("debug.log", ""),
            ("build/out", ""),
            ("lib/x.py", ""),
        ]);
        let entries = files(folder.path()).expect("files");
        assert_eq!(names(&entries), [".gitignore", "app.py", "lib/x.py"]);
    }

    #[test]
    fn the_newest_served_runtime_is_chosen() {
        let served = ["python3.9", "python3.11", "nodejs20.x", "provided"].map(str::to_owned);
        assert_eq!(Language::Python.runtime(&served).as_deref(), Some("python3.11"));
        assert_eq!(Language::Node.runtime(&served).as_deref(), Some("nodejs20.x"));
        assert_eq!(Language::Node.runtime(&served[..2]), None);
    }

    #[test]
    fn a_syntax_error_is_shown_with_its_file_and_line() {
        let folder = folder(&[("app.py", "def handler(e, c)\n  pass\n")]);
        let entries = files(folder.path()).expect("files");
        let python = Path::new("/usr/bin/python3");
        let text = syntax_error(Language::Python, python, &entries).expect("python runs");
        let text = text.expect("an error");
        assert!(text.contains("app.py\", line 1"), "{text}");
        assert!(!text.contains("<string>"), "{text}");
    }
}
