//! What the node's programs are told: a file each, at fixed places that the node alone sees.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::addresses::{POD_GATEWAY, PODS};
use super::{Host, Link, NAME, Node, cgroups};
use crate::local::state::StateDir;

/// Where the node sees its settings, programs and logs.
pub(super) const ETC: &str = "/run/llmplane/etc";
pub(super) const BIN: &str = "/run/llmplane/bin";
pub(super) const LOGS: &str = "/run/llmplane/logs";
/// The image of a pod's sandbox, made on the node.
pub(super) const PAUSE_IMAGE: &str = "localhost/llmplane-pause:1";
pub(super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// The node's end of the link.
pub(super) const UPLINK: &str = "uplink";

/// Every file's name in the settings' folder and its content, but for the certificates.
pub(super) fn files(
    dir: &StateDir,
    node: &Node,
    host: &Host,
    ca: &[u8],
) -> Vec<(&'static str, String)> {
    let tokens = &node.tokens;
    let kubeconfig = |token: &str| pretty(&kubeconfig(node.link, ca, token));
    vec![
        ("containerd.toml", containerd(host)),
        ("cni/10-llmplane.conflist", pretty(&network())),
        (
            "kubelet.json",
            pretty(&kubelet(node.link, &cgroups::name(dir))),
        ),
        ("kube-proxy.json", pretty(&kube_proxy())),
        ("Corefile", corefile(node.link)),
        ("forwarding.nft", forwarding(node.link)),
        ("kubelet.kubeconfig", kubeconfig(&tokens.kubelet)),
        ("kube-proxy.kubeconfig", kubeconfig(&tokens.kube_proxy)),
        (
            "kube-scheduler.kubeconfig",
            kubeconfig(&tokens.kube_scheduler),
        ),
        ("coredns.kubeconfig", kubeconfig(&tokens.coredns)),
    ]
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// containerd writes nothing outside of its two folders, and leaves the out-of-memory scores of the host's
/// other processes alone.
fn containerd(host: &Host) -> String {
    let cni = host.cni.display();
    let snapshotter = host.snapshotter;
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{ETC}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "/run/containerd/runc"
"#
    )
}

/// Pods on one bridge. Their addresses are given anew after each start, as none of them outlives it.
fn network() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "llmplane",
        "plugins": [{
            "type": "bridge",
            "bridge": "pods",
            "isGateway": true,
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/llmplane/addresses",
                "ranges": [[{"subnet": PODS, "gateway": POD_GATEWAY}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}

/// The kubelet asks kube-apiserver who may do what, and takes nobody without a certificate or token: its
/// port can be reached by the machine's other users.
fn kubelet(link: Link, cgroup: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": link.node(),
        "port": 10250,
        "healthzBindAddress": "127.0.0.1",
        "tlsCertFile": format!("{ETC}/kubelet.crt"),
        "tlsPrivateKeyFile": format!("{ETC}/kubelet.key"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": format!("{ETC}/kubelet-ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        // From 1.36 on the kubelet refuses version 1 unless it is told to take it.
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "clusterDNS": [link.node()],
        "clusterDomain": "cluster.local",
        // Nothing of the host's own resolver reaches pods.
        "resolvConf": "",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        // A laptop's disk is fuller than a node's.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        // Images are loaded by hand and cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        "maxPods": 60,
    })
}

fn kube_proxy() -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": PODS,
        "hostnameOverride": NAME,
        "clientConnection": {"kubeconfig": format!("{ETC}/kube-proxy.kubeconfig")},
        // These sysctls are the host's too.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    })
}

/// Names of the cluster, and no others: nothing is asked beyond the machine.
fn corefile(link: Link) -> String {
    let address = link.node();
    format!(
        r#".:53 {{
    bind {address}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {ETC}/coredns.kubeconfig
        ttl 5
    }}
}}
"#
    )
}

/// What pods send goes to each other, to the node, or, as if from the node, to the host's end of the link;
/// nowhere else. The host has no route to pods.
fn forwarding(link: Link) -> String {
    let host = link.host();
    format!(
        r#"table ip llmplane {{
  chain forward {{
    type filter hook forward priority -10; policy accept;
    oifname "{UPLINK}" ip daddr != {host} reject
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    oifname "{UPLINK}" masquerade
  }}
}}
"#
    )
}

/// By the host's end of the link, under a name that the certificate has.
fn kubeconfig(link: Link, ca: &[u8], token: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "llmplane-local", "cluster": {
            "server": format!("https://{}", link.apiserver()),
            "tls-server-name": "kubernetes",
            "certificate-authority-data": STANDARD.encode(ca),
        }}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "llmplane-local", "context": {"cluster": "llmplane-local", "user": "user"}}],
        "current-context": "llmplane-local",
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::local::node::Tokens;

    fn all() -> Vec<(&'static str, String)> {
        let node = Node {
            link: serde_json::from_str("3").unwrap(),
            tokens: Tokens::generate(),
        };
        let host = Host {
            cni: PathBuf::from("/opt/cni/bin"),
            snapshotter: "native",
        };
        let dir = StateDir::new(Path::new("/state")).unwrap();
        files(&dir, &node, &host, b"a certificate")
    }

    fn file(name: &str) -> String {
        all().into_iter().find(|(it, _)| *it == name).unwrap().1
    }

    #[test]
    fn the_kubelet_takes_nobody_whom_it_does_not_know() {
        let kubelet: Value = serde_json::from_str(&file("kubelet.json")).unwrap();
        assert_eq!(kubelet["authentication"]["anonymous"]["enabled"], false);
        assert_eq!(kubelet["authorization"]["mode"], "Webhook");
        assert_eq!(kubelet["address"], "10.244.8.14");
        let cgroup = kubelet["cgroupRoot"].as_str().unwrap();
        assert!(cgroup.starts_with("/llmplane-node-"), "{cgroup}");
    }

    #[test]
    fn pods_reach_the_host_by_its_end_of_the_link_alone() {
        let rules = file("forwarding.nft");
        assert!(
            rules.contains("oifname \"uplink\" ip daddr != 10.244.8.13 reject"),
            "{rules}"
        );
        let kubeconfig: Value = serde_json::from_str(&file("kubelet.kubeconfig")).unwrap();
        let cluster = &kubeconfig["clusters"][0]["cluster"];
        assert_eq!(cluster["server"], "https://10.244.8.13:6443");
        assert!(file("Corefile").contains("bind 10.244.8.14\n"));
    }

    #[test]
    fn what_the_machine_has_decides_about_plugins_and_layers() {
        let containerd = file("containerd.toml");
        assert!(
            containerd.contains("bin_dir = \"/opt/cni/bin\""),
            "{containerd}"
        );
        assert!(
            containerd.contains("snapshotter = \"native\""),
            "{containerd}"
        );
    }

    #[test]
    fn no_program_has_anothers_token() {
        let tokens: Vec<String> = all()
            .into_iter()
            .filter(|(name, _)| name.ends_with(".kubeconfig"))
            .map(|(_, text)| {
                let config: Value = serde_json::from_str(&text).unwrap();
                config["users"][0]["user"]["token"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
        assert_eq!((tokens.len(), distinct.len()), (4, 4));
    }
}
