//! What pages take for granted: what `make up` leaves, two namespaces of teams beside it, and a cluster that has nothing
//! of llmplane's.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use llmplane::local::StateDir;
use llmplane::local::binaries::Binaries;
use llmplane::local::postgres::{self, Role};
use tokio::process::Command;

use super::markdown::ROOT;
use super::session::Session;
use crate::support::fake_vendor::FakeVendor;
use crate::support::tools::tool;

/// Namespaces that the controller looks after: that of the samples, and those of two teams.
const NAMESPACES: &str = "default,team-a,team-b";

/// Takes away what a page left, and has it as before: the samples, with a key that nobody had, and what team A has declared. The API
/// tells it.
const RENEW: &str = r#"set -e
kinds=llmproviders,llmendpoints,llmcredentials,llmmodels,llmmodelclasses,secrets,rolebindings,roles,serviceaccounts
for namespace in default team-a team-b; do
    kubectl create namespace $namespace --dry-run=client -o yaml | kubectl apply --server-side -f - >/dev/null
    kubectl delete $kinds -n $namespace --field-selector metadata.name!=default >/dev/null
done
vendor=$LLMPLANE_STATE_DIR/sample-vendor
[ ! -s "$vendor/pid" ] || kill "$(cat "$vendor/pid")"
rm -rf "$vendor"
"$ROOT/examples/first-run/up" >"$FOLDER/up"
eval "$(grep '^  export ' "$FOLDER/up")"
sed "s#VENDOR_URL#$TEAM_VENDOR#; s#VENDOR_KEY#$TEAM_KEY#" "$ROOT/tests/docs/team-a.yaml" | kubectl apply -f - >/dev/null
kubectl wait -n team-a --for=condition=Ready --timeout=60s llmproviders,llmendpoints,llmcredentials --all >/dev/null
told() {
    curl --silent -H "Authorization: Bearer $(kubectl create token "$3" -n "$1" --audience=llmplane)" \
        "$API/api/v1/models/$2" | grep -q "$(kubectl get llmmodel "$2" -n "$1" -o jsonpath='{.metadata.uid}')"
}
for try in $(seq 200); do
    if told default sample-chat demo-agent && told team-a gpt-4o agent; then exit 0; fi
    sleep 0.2
done
echo "the API does not tell of what is declared"
exit 1"#;

/// The key of team A, and the one that comes after it.
const TEAM_KEYS: [&str; 2] = [
    "sk-team-a-0123456789abcdef0123456789abcdef",
    "sk-team-a-fedcba9876543210fedcba9876543210",
];

/// What `make up` leaves, and what two teams have; it goes with this value.
pub struct Samples {
    vendor: FakeVendor,
    folder: tempfile::TempDir,
    path: String,
    cache: String,
}

impl Samples {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        symlink(env!("CARGO_BIN_EXE_llmplane"), programs.join("llmplane")).unwrap();
        let found = Binaries::find(&|line| eprintln!("{line}")).await.unwrap();
        symlink(found.kubectl, programs.join("kubectl")).unwrap();
        symlink(tool("helm"), programs.join("helm")).unwrap();
        // What opens a browser.
        symlink("/bin/true", programs.join("xdg-open")).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let home = std::env::var("HOME").unwrap_or_default();
        Self {
            path: format!("{}:{path}", programs.display()),
            cache: std::env::var("XDG_CACHE_HOME").unwrap_or(format!("{home}/.cache")),
            vendor: FakeVendor::start(&TEAM_KEYS, &["gpt-4o", "gpt-4o-mini"]).await,
            folder,
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Starts what does not run, and has everything as it is for who has read nothing yet.
    async fn renew(&self) {
        let made = self.bash(RENEW).await;
        let said = [made.stdout, made.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(made.status.success(), "{said}");
    }

    async fn bash(&self, script: &str) -> Output {
        let state = self.state();
        // The first time there is no plane yet whose namespaces could be looked at.
        let start = r#""$LLMPLANE" local up --state-dir "$LLMPLANE_STATE_DIR" >/dev/null"#;
        Command::new("bash")
            .args(["-c", &format!("set -e\n{start}\n{script}")])
            .current_dir(ROOT)
            .env("LLMPLANE", env!("CARGO_BIN_EXE_llmplane"))
            .env("ROOT", ROOT)
            .env("FOLDER", self.folder.path())
            .env("PATH", &self.path)
            .env("KUBECONFIG", state.join("kubeconfig"))
            .env("LLMPLANE_STATE_DIR", &state)
            .env("LLMPLANE_NAMESPACES", NAMESPACES)
            .env("NO_PROXY", "127.0.0.1")
            .env("TEAM_VENDOR", self.vendor.url())
            .env("TEAM_KEY", TEAM_KEYS[0])
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap()
    }

    /// A shell in the repository, after the lines that `make up` prints for it, and as `make up` leaves everything.
    pub async fn renewed_session(&self, name: &str) -> Session {
        self.renew().await;
        let place = self.place(name);
        symlink(self.state(), place.join("work/.llmplane")).unwrap();
        let printed = std::fs::read_to_string(self.folder.path().join("up")).unwrap();
        let lines = printed.lines().filter(|line| line.starts_with("  export "));
        let exports: Vec<&str> = lines.collect();
        assert!(!exports.is_empty(), "{printed}");
        // A kubeconfig of its own, and the API, where a pod's would be reached by a port-forward.
        let more = format!(
            "mkdir ~/.kube && cp \"$KUBECONFIG\" ~/.kube/config
export KUBECONFIG=~/.kube/config LLMPLANE_API_URL=$API NEXT_KEY={}",
            TEAM_KEYS[1]
        );
        self.shell(&place, &format!("{}\n{more}", exports.join("\n")))
            .await
    }

    /// A shell in the repository, for a cluster that has nothing of llmplane's and a database that has no schema.
    pub async fn empty_session(&self, name: &str) -> Session {
        let place = self.place(name);
        let state = place.join("state");
        let up = ["local", "up", "--empty", "--throwaway", "--state-dir"];
        let made = Command::new(env!("CARGO_BIN_EXE_llmplane"))
            .args(up)
            .arg(&state)
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        std::fs::create_dir(place.join(".kube")).unwrap();
        std::fs::copy(state.join("kubeconfig"), place.join(".kube/config")).unwrap();
        let dir = StateDir::new(&state).unwrap();
        let url = |role| postgres::url(&dir, role, "llmplane").unwrap().unwrap();
        let exports = format!(
            "export OWNER_URL='{}' CONTROLLER_URL='{}' API_URL='{}'",
            url(Role::Owner),
            url(Role::Controller),
            url(Role::Api)
        );
        self.shell(&place, &exports).await
    }

    /// A home with a folder in it that holds what the repository does.
    fn place(&self, name: &str) -> PathBuf {
        let place = self.folder.path().join(name.replace('/', "-"));
        for folder in ["work", "strict", ".local/bin"] {
            std::fs::create_dir_all(place.join(folder)).unwrap();
        }
        // What was declared a moment ago may be told a moment later.
        let strict = "fail-with-body\nretry = 20\nretry-delay = 1\nretry-all-errors\n";
        std::fs::write(place.join("strict/.curlrc"), strict).unwrap();
        for entry in std::fs::read_dir(ROOT).unwrap() {
            let name = entry.unwrap().file_name();
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                symlink(Path::new(ROOT).join(&name), place.join("work").join(&name)).unwrap();
            }
        }
        place
    }

    async fn shell(&self, place: &Path, exports: &str) -> Session {
        let path = format!("{}/.local/bin:{}", place.display(), self.path);
        let home = std::env::var("HOME").unwrap_or_default();
        let rustup = std::env::var("RUSTUP_HOME").unwrap_or(format!("{home}/.rustup"));
        let environment = [
            ("RUSTUP_HOME", rustup.as_str()),
            ("PATH", &path),
            ("HOME", place.to_str().unwrap()),
            ("STRICT", place.join("strict").to_str().unwrap()),
            ("XDG_CACHE_HOME", &self.cache),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        let environment = environment
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let mut session = Session::start(&place.join("work"), &environment);
        let ended = session.run(exports).await;
        assert_eq!(ended.code, 0, "{}", ended.printed);
        session
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        let run = |program: &mut std::process::Command| {
            let ended = program.stdout(Stdio::null()).status();
            if !ended.is_ok_and(|status| status.success()) {
                eprintln!("a plane of the documentation's does not end: {program:?}");
            }
        };
        let down = format!("{ROOT}/examples/first-run/down");
        run(std::process::Command::new(down)
            .arg("--purge")
            .env("LLMPLANE_STATE_DIR", self.state()));
        let places = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        for state in places.map(|place| place.path().join("state")) {
            if state.is_dir() {
                run(std::process::Command::new(env!("CARGO_BIN_EXE_llmplane"))
                    .args(["local", "down", "--purge", "--state-dir"])
                    .arg(state));
            }
        }
    }
}
