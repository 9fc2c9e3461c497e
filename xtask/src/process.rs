//! How child processes are run: with a clean environment, checked, and bounded in time.

use std::env;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// The cargo that started us, in the workspace's root and for the workspace's target directory. Every
/// call names the component in the same way, so that none makes another build the host again.
pub fn cargo(workspace: &Workspace) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(&workspace.root);
    clean(&mut command, workspace);
    command.env("CARGO_TARGET_DIR", &workspace.target);
    // The host's build script embeds this file, and insists on it if it is named.
    let component = workspace.component();
    if component.is_file() {
        command.env("ESKER_COMPONENT", component);
    } else {
        command.env_remove("ESKER_COMPONENT");
    }
    command
}

/// Takes out of `command`'s environment what `cargo run` put there about xtask itself: a build
/// script that watches such a variable would run again at each change between `cargo build` and
/// `cargo xtask build`, and another compiler must not load this one's libraries.
pub fn clean(command: &mut Command, workspace: &Workspace) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let about_xtask = text.starts_with("CARGO_PKG_")
            || matches!(
                &*text,
                "CARGO"
                    | "CARGO_BIN_NAME"
                    | "CARGO_BUILD_TARGET"
                    | "CARGO_CRATE_NAME"
                    | "CARGO_MANIFEST_DIR"
                    | "CARGO_MANIFEST_PATH"
                    | "CARGO_PRIMARY_PACKAGE"
                    | "OUT_DIR"
            );
        if about_xtask {
            command.env_remove(name);
        }
    }
    if let Some(list) = env::var_os("LD_LIBRARY_PATH") {
        let foreign = |path: &Path| {
            !path.starts_with(&workspace.target)
                && !path.components().any(|part| part.as_os_str() == "toolchains")
        };
        let kept = env::join_paths(env::split_paths(&list).filter(|path| foreign(path)));
        match kept {
            Ok(list) if !list.is_empty() => command.env("LD_LIBRARY_PATH", list),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
}

/// Does `work` under a heading, and says how long it took.
pub fn step<T>(heading: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {heading}");
    let started = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "done" } else { "FAILED" };
    eprintln!("    {outcome} in {:.1} s", started.elapsed().as_secs_f64());
    result
}

/// Runs `command` with the caller's output, and fails if it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs `command` and returns what it printed, without the final newline.
pub fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", shown(command), output.status, said.trim());
    }
    let text = String::from_utf8(output.stdout)
        .with_context(|| format!("{} printed something that is not UTF-8", shown(command)))?;
    Ok(text.trim_end().to_owned())
}

/// Runs `command` for at most `limit`. `None` means that it was still running then, and was killed.
pub fn run_for(command: &mut Command, limit: Duration) -> Result<Option<ExitStatus>> {
    let mut child =
        command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {}", shown(command)))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Whether `program` can be found on the search path.
pub fn on_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|list| env::split_paths(&list).any(|directory| directory.join(program).is_file()))
}

/// `command` as one would type it: the program's file name and its arguments.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_takes_too_long_is_killed() {
        let started = Instant::now();
        let mut sleeper = Command::new("sleep");
        sleeper.arg("30");
        assert!(run_for(&mut sleeper, Duration::from_millis(100)).unwrap().is_none());
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_failing_child_is_named_with_its_arguments() {
        let mut child = Command::new("sh");
        child.args(["-c", "exit 3"]);
        let error = run(&mut child).unwrap_err().to_string();
        assert!(error.contains("sh -c exit 3") && error.contains('3'), "{error}");
    }
}
