//! What others do with the same machine and the same body, in turns with us. They isolate less, or
//! nothing, or do something else as well; the rows say where we stand and ask nothing.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::cold::Cold;
use super::warm::echoes;
use super::{compare, flooded};
use crate::client::Shot;
use crate::functions::{BODY, ECHO};
use crate::lab::Lab;
use crate::report::{Finding, Unmeasured};
use crate::tools;

/// Until a server listens.
const LISTENS: Duration = Duration::from_secs(20);
/// Requests of one turn.
const PER_TURN: usize = 50;
/// First calls.
const COLD: usize = 40;
/// What the Python of the other containers does.
const NOTHING: [&str; 4] = ["/usr/bin/python3", "-S", "-c", "pass"];

/// Somebody else's server, ended with this value.
struct Server {
    child: Child,
    address: SocketAddr,
}

/// Row `functions-framework`.
pub fn functions_framework(lab: &Lab) -> Result<Finding> {
    const SOURCE: &str = "def handler(request):\n    return request.get_data()\n";
    let folder = made(lab, "functions-framework", &[("main.py", SOURCE)])?;
    let mut command = Command::new(tools::servers()?.join("bin/functions-framework"));
    command.args(["--target", "handler", "--source"]).arg(folder.join("main.py"));
    beside(lab, "functions-framework", |port| {
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        Ok(command)
    })
}

/// Row `uvicorn`.
pub fn uvicorn(lab: &Lab) -> Result<Finding> {
    const SOURCE: &str = "async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    body, more = b'', True
    while more:
        event = await receive()
        body += event.get('body', b'')
        more = event.get('more_body', False)
    length = str(len(body)).encode()
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', length)]})
    await send({'type': 'http.response.body', 'body': body})
";
    let folder = made(lab, "uvicorn", &[("app.py", SOURCE)])?;
    let mut command = Command::new(tools::servers()?.join("bin/uvicorn"));
    command.args(["app:app", "--log-level", "warning", "--app-dir"]).arg(folder);
    beside(lab, "uvicorn", |port| {
        command.args(["--port", &port.to_string()]);
        Ok(command)
    })
}

/// Row `workerd`.
pub fn workerd(lab: &Lab) -> Result<Finding> {
    const WORKER: &str =
        "export default { async fetch(request) { return new Response(await request.text()); } };\n";
    let program = tools::workerd()?;
    let folder = made(lab, "workerd", &[("worker.js", WORKER)])?;
    beside(lab, "workerd", |port| {
        let config = format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (services = [(name = \"main\", worker = .echo)],\n  \
             sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (), service = \"main\")]);\n\
             const echo :Workerd.Worker = (modules = [(name = \"worker\", esModule = embed \"worker.js\")],\n  \
             compatibilityDate = \"2026-01-01\");\n"
        );
        let file = folder.join("config.capnp");
        fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.arg("serve").arg(file);
        Ok(command)
    })
}

/// Row `runc`.
pub fn runc(lab: &Lab) -> Result<Finding> {
    let program = tools::debian("runc", "runc")?;
    let bundle = made(lab, "runc", &[])?;
    let mut spec = Command::new(&program);
    let done = spec.arg("spec").arg("--bundle").arg(&bundle).stdin(Stdio::null()).status()?;
    ensure!(done.success(), "runc makes no configuration");
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(NOTHING);
    config["root"] = json!({ "path": tools::image()?, "readonly": true });
    fs::write(&file, config.to_string())?;
    let state = bundle.join("state");
    let mut number = 0;
    first_calls(lab, "runc", &mut || {
        number += 1;
        let mut command = Command::new(&program);
        command.arg("--root").arg(&state).args(["run", "--bundle"]).arg(&bundle);
        timed(command.arg(format!("hearth-bench-{}-{number}", std::process::id())))
    })
}

/// Row `bubblewrap`.
pub fn bubblewrap(lab: &Lab) -> Result<Finding> {
    let program = tools::debian("bubblewrap", "bwrap")?;
    let image = tools::image()?;
    first_calls(lab, "bubblewrap", &mut || {
        let mut command = Command::new(&program);
        command.args(["--unshare-all", "--die-with-parent", "--ro-bind"]).arg(&image).arg("/");
        timed(command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]).args(NOTHING))
    })
}

/// A warm Python echo of ours against a server that is there.
fn beside(lab: &Lab, name: &str, command: impl FnOnce(u16) -> Result<Command>) -> Result<Finding> {
    // Whoever takes the port in between makes the row fail, which is seen.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let server =
        Server::start(command(port)?, port).with_context(|| format!("{name} does not serve"))?;
    let theirs = Shot::post(server.address, "/", BODY);
    echoes(&theirs)?;
    let daemon = lab.daemon()?;
    let function = format!("bench-beside-{name}");
    let ours = daemon.python(&function, ECHO)?;
    let mut figures = flooded(lab, &ours, &theirs, None)?;
    figures.truncate(1);
    figures.extend(compare(lab, &ours, &theirs, PER_TURN, [None, None])?);
    daemon.delete([function])?;
    Ok(figures.into())
}

/// First calls of ours against something that starts a Python and does nothing with it.
fn first_calls(
    lab: &Lab,
    kind: &str,
    floor: &mut dyn FnMut() -> Result<Duration>,
) -> Result<Finding> {
    floor()
        .map_err(|err| Unmeasured::NotInstalled(format!("{kind} does not run here: {err:#}")))?;
    let daemon = lab.daemon()?;
    Cold {
        rungs: &["spare", "fork", "exec"],
        spare: Some("python"),
        count: (COLD, 10),
        targets: [None, None],
        make: &|name| daemon.python(name, ECHO),
        floor,
    }
    .measure(lab, daemon, kind)
}

fn timed(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let output = command.output()?;
    let took = begun.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(took)
}

/// A folder of the run's with these files in it.
fn made(lab: &Lab, name: &str, files: &[(&str, &str)]) -> Result<std::path::PathBuf> {
    let folder = lab.folder(&format!("beside-{name}"));
    fs::create_dir_all(&folder)?;
    for (file, content) in files {
        fs::write(Path::new(&folder).join(file), content)?;
    }
    Ok(folder)
}

// === impl Server ===

impl Server {
    fn start(mut command: Command, port: u16) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut server = Self { child: command.spawn()?, address };
        let deadline = Instant::now() + LISTENS;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                anyhow::bail!("it ended with {status}");
            }
            ensure!(Instant::now() < deadline, "it does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers of its own come to the supervisor, which ends them.
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _gone = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
