//! The recorder as a process of this machine, where there is no Docker engine.
//!
//! The process holds a lock on `opik/recorder.lock` through its standard input for as long as it
//! lives, so that nobody takes another process for it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::folder::Secrets;
use super::ports::{self, Port};
use super::{Stack, ready};
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};

/// How long the recorder may take to end.
const STOP: Duration = Duration::from_secs(20);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::new(Code::Failed, what).cause(error)
}

/// The lock's file; `true` when this process has the lock now.
fn lock(stack: &Stack) -> Result<(File, bool), Failure> {
    let path = stack.folder.path("opik/recorder.lock");
    let cannot = "cannot open the recorder's lock";
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path).map_err(failed(cannot))?;
    match file.try_lock() {
        Ok(()) => Ok((file, true)),
        Err(TryLockError::WouldBlock) => Ok((file, false)),
        Err(TryLockError::Error(error)) => Err(failed(cannot)(error)),
    }
}

/// Whether the recorder runs.
pub(super) fn runs(stack: &Stack) -> Result<bool, Failure> {
    lock(stack).map(|(_, free)| !free)
}

/// Starts the recorder, unless it runs.
pub(super) fn start(stack: &Stack, secrets: &Secrets) -> Outcome {
    if !cfg!(unix) {
        return Err(Failure::new(
            Code::Failed,
            "without Docker the recorder is started by hand",
        )
        .hint("opik-rs serve --vyasa --port 56500"));
    }
    let (lock, free) = lock(stack)?;
    if !free {
        return Ok(());
    }
    if !ports::is_free(stack.api_port) {
        let port = Port {
            service: "opik-api".to_owned(),
            number: stack.api_port,
            open: false,
        };
        let text = format!("port {} of opik-api is taken", stack.api_port);
        return Err(
            Failure::new(Code::Failed, text).hint(ports::advice(&port, Some("OPIK_API_PORT")))
        );
    }
    let folder = stack.folder.path("opik");
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("recorder.log"))
        .map_err(failed("cannot open the recorder's log"))?;
    let errors = log
        .try_clone()
        .map_err(failed("cannot open the recorder's log"))?;
    let program = std::env::current_exe().map_err(failed("this program has no name"))?;
    let mut command = Command::new(program);
    command
        .args(["serve", "--host", "127.0.0.1", "--vyasa", "--port"])
        .arg(stack.api_port.to_string())
        .current_dir(&folder)
        .env("OPIK_DB", folder.join("traces.db"))
        .env("OPIK_SERVER_API_KEY", secrets.key.expose())
        .env_remove("AGENT_OPIK_URL")
        .env_remove("URL_PREFIX")
        .stdin(Stdio::from(lock))
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(errors));
    for (name, value) in own_variables(stack) {
        command.env(name, value);
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        // Ctrl-C here is not for it.
        command.process_group(0);
    }
    let child = command
        .spawn()
        .map_err(failed("the recorder cannot be started"))?;
    std::fs::write(folder.join("recorder.pid"), child.id().to_string())
        .map_err(failed("cannot note the recorder's process"))
}

/// What the owner wrote into `recorder.env`.
fn own_variables(stack: &Stack) -> Vec<(String, String)> {
    let path = stack.folder.path("recorder.env");
    match dotenvy::from_path_iter(path) {
        Ok(lines) => lines.filter_map(Result::ok).collect(),
        Err(_) => Vec::new(),
    }
}

/// Tells the recorder to stop and waits until it has; does nothing when it does not run.
pub(super) fn stop(stack: &Stack) -> Outcome {
    if !runs(stack)? {
        return Ok(());
    }
    let path = stack.folder.path("opik/recorder.pid");
    let text =
        std::fs::read_to_string(path).map_err(failed("nobody knows the recorder's process"))?;
    tell(text.trim())?;
    let end = Instant::now() + STOP;
    while runs(stack)? {
        if Instant::now() >= end {
            let text = format!("the recorder does not stop; its process is {}", text.trim());
            return Err(Failure::new(Code::Failed, text).hint("opik-rs stack logs --opik opik-api"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

#[cfg(unix)]
fn tell(process: &str) -> Outcome {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = process.parse().ok().and_then(Pid::from_raw);
    let pid =
        pid.ok_or_else(|| Failure::new(Code::Failed, "nobody knows the recorder's process"))?;
    kill_process(pid, Signal::TERM)
        .map_err(|error| failed("the recorder cannot be stopped")(error.into()))
}

#[cfg(not(unix))]
fn tell(_: &str) -> Outcome {
    Err(Failure::new(
        Code::Failed,
        "the recorder is stopped by hand here",
    ))
}

/// Shows the last lines of the recorder's log.
pub(super) fn logs(stack: &Stack, follow: bool, tail: u32, ctx: &Context) -> Outcome {
    let path = stack.folder.path("opik/recorder.log");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(
                Failure::new(Code::NotFound, "the recorder has not been started yet")
                    .hint("opik-rs stack start --opik"),
            );
        }
        Err(error) => return Err(failed("cannot read the recorder's log")(error)),
    };
    let mut reader = BufReader::new(file);
    let keep = usize::try_from(tail).unwrap_or(usize::MAX);
    let mut last = std::collections::VecDeque::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        last.push_back(String::from_utf8_lossy(&line).into_owned());
        if last.len() > keep {
            last.pop_front();
        }
    }
    for line in last {
        ctx.out.text(&line)?;
    }
    while follow && runs(stack)? {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            std::thread::sleep(LOOK * 4);
            // The end of a file is not for ever.
            let at = reader.stream_position()?;
            reader.seek(io::SeekFrom::Start(at))?;
            continue;
        }
        ctx.out.text(&String::from_utf8_lossy(&line))?;
    }
    Ok(())
}

/// Whether the recorder runs and answers.
pub(super) fn state(stack: &Stack) -> Result<&'static str, Failure> {
    Ok(match (runs(stack)?, ready::is_ready(stack.api_port)) {
        (true, true) => "running",
        (true, false) => "starting",
        (false, _) => "stopped",
    })
}
