//! What the program prints: every attempt fails by the error that the interface has for it, or ends the instance that
//! made it, and every order is taken. `UPDATE=1` writes it anew.

use std::path::Path;
use std::process::Command;

#[test]
fn each_attempt_fails_and_each_order_is_taken() {
    let output = Command::new(env!("CARGO_BIN_EXE_plugin-host")).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let printed = String::from_utf8(output.stdout).expect("text");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attempts.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &printed).expect("can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("can be read");
    assert_eq!(printed, expected, "UPDATE=1 writes {} anew", path.display());
}
