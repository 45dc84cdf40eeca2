//! The scripts run on bash 3.2, which macOS has.

use super::read;

/// macOS has bash 3.2, which few other machines have: see `OTHER_BASH`.
#[test]
fn the_scripts_use_nothing_that_came_after_bash_3() {
    let newer = [
        "declare -A",
        "local -A",
        "local -n",
        "declare -n",
        "mapfile",
        "readarray",
        "inherit_errexit",
        "&>>",
        "|&",
        "coproc",
        ",,}",
        "^^}",
        "@Q}",
        "EPOCHSECONDS",
        "[ -v ",
        "[[ -v ",
    ];
    for script in ["deploy.sh", "destroy.sh", "package.sh", "setup.sh", "stack.sh"] {
        let text = read(&format!("scripts/{script}"));
        for feature in newer {
            assert!(!text.contains(feature), "{script}: {feature}");
        }
    }
}
