//! Programs and files that `.ci/tools` makes for the tests.

use std::path::{Path, PathBuf};

use super::plane::Plane;

/// Where something of `target/tools` is.
pub fn tool(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let link = target.join("tools").join(name);
    link.canonicalize()
        .unwrap_or_else(|error| panic!("{}: {error}; run .ci/tools", link.display()))
}

/// Others' definitions (Flux's, cert-manager's and so on) on this plane.
pub async fn apply_definitions(plane: &Plane) {
    let folder = tool("definitions");
    let apply = ["apply", "--server-side", "-f", folder.to_str().unwrap()];
    let established = ["wait", "--for=condition=Established", "crd", "--all"];
    for args in [&apply[..], &established] {
        let output = plane.kubectl(args).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}
