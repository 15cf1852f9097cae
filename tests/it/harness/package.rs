//! Deployment packages, made in memory.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A zip being put together.
pub struct Package {
    writer: ZipWriter<Cursor<Vec<u8>>>,
}

// === impl Package ===

impl Package {
    /// An empty one.
    pub fn new() -> Self {
        Self { writer: ZipWriter::new(Cursor::new(Vec::new())) }
    }

    /// Adds a plain file.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(name, 0o644, content)
    }

    /// Adds a file that may be executed.
    pub fn program(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(name, 0o755, content)
    }

    /// Adds a file with mode bits.
    pub fn entry(mut self, name: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(mode);
        self.writer.start_file(name, options).expect("a fresh entry");
        self.writer.write_all(content.as_ref()).expect("memory does not fail");
        self
    }

    /// Adds a symbolic link.
    pub fn link(mut self, name: &str, target: &str) -> Self {
        let options = SimpleFileOptions::default();
        self.writer.add_symlink(name, target, options).expect("a fresh entry");
        self
    }

    /// Adds everything below a folder, named from `prefix`; what Python compiled is left out.
    pub fn folder(mut self, prefix: &str, folder: &Path) -> Self {
        let entries =
            fs::read_dir(folder).unwrap_or_else(|err| panic!("{}: {err}", folder.display()));
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            let name =
                path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            let inside = format!("{prefix}/{name}");
            self = match path.is_dir() {
                true if name == "__pycache__" => self,
                true => self.folder(&inside, &path),
                false => self.file(&inside, fs::read(&path).expect("a readable file")),
            };
        }
        self
    }

    /// The bytes.
    pub fn build(self) -> Vec<u8> {
        self.writer.finish().expect("memory does not fail").into_inner()
    }
}

/// Text without the indentation that all its lines share, so that functions of other languages can
/// stand indented inside a test.
pub fn dedent(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let depth = lines().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let cut = text.lines().map(|line| line.get(depth..).unwrap_or("").to_owned() + "\n");
    cut.collect::<String>().trim_start_matches('\n').to_owned()
}
