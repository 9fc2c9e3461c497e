//! Debian's packages, installed where the user may install them and asked for where not.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::process;

/// Installs packages. Only root can, and nothing that is there is removed for them.
pub fn install(packages: &[&str]) -> Result<()> {
    ensure!(process::on_path("apt-get"), "this is no Debian system");
    let user = process::output(Command::new("id").arg("-u"))?;
    ensure!(user == "0", "only root can install packages");
    eprintln!("    installing {}", packages.join(", "));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
        // Somebody else's apt-get may be at work, and a mirror may not answer: wait for neither without end.
        for bound in ["DPkg::Lock::Timeout=300", "Acquire::http::Timeout=60", "Acquire::https::Timeout=60"] {
            command.args(["--option", bound]);
        }
        command
    };
    // A list of packages from an image's birthday may name a version that is too old, or files
    // that have gone. That the update fails need not mean that the installation does.
    if let Err(error) = process::output(apt().arg("update")) {
        eprintln!("    {error:#}; going on with the lists that are there");
    }
    let options = ["install", "--yes", "--no-install-recommends", "--no-remove"];
    process::output(apt().args(options).args(packages)).map(drop)
}
