//! The command line: `--run [--sandboxes N] [--functions N] [--repeats N] [--seconds N] [--overload N] [NAME…]`.

/// What was asked for.
#[derive(Debug)]
pub struct Options {
    /// Sandboxes that come and go without a function in them.
    pub sandboxes: u32,
    /// Sandboxes that come and go with a Python function in them.
    pub functions: u32,
    /// How often each kill of a matrix is repeated.
    pub repeats: u32,
    /// How long hostile functions go on.
    pub seconds: u32,
    /// For how many seconds more is asked for than is admitted.
    pub overload: u32,
    /// Which soaks; all where none is named.
    pub names: Vec<String>,
}

// === impl Options ===

impl Options {
    /// Reads the arguments; `None` without `--run`, whatever else there is: `cargo test` hands its own
    /// arguments to every test program.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let arguments: Vec<String> = arguments.collect();
        if !arguments.iter().any(|argument| argument == "--run") {
            return Ok(None);
        }
        let mut options = Self {
            sandboxes: 5_000,
            functions: 300,
            repeats: 20,
            seconds: 60,
            overload: 60,
            names: Vec::new(),
        };
        let mut rest = arguments.into_iter();
        while let Some(argument) = rest.next() {
            let field = match argument.as_str() {
                "--run" => continue,
                "--sandboxes" => &mut options.sandboxes,
                "--functions" => &mut options.functions,
                "--repeats" => &mut options.repeats,
                "--seconds" => &mut options.seconds,
                "--overload" => &mut options.overload,
                name if !name.starts_with('-') => {
                    options.names.push(argument);
                    continue;
                }
                _ => return Err(format!("unknown argument {argument}")),
            };
            let value = rest.next().and_then(|value| value.parse().ok());
            *field = value.ok_or_else(|| format!("{argument} needs a number"))?;
        }
        Ok(Some(options))
    }

    /// Whether a soak is to be run.
    pub fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}
