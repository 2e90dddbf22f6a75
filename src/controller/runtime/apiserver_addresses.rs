//! Where the cluster's kube-apiservers are, beside the address in the kubeconfig: the Service
//! `kubernetes` in the namespace `default` and its EndpointSlices, which every cluster keeps.

use std::{io, net::SocketAddr};

use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, Client, api::ListParams};

const NAMESPACE: &str = "default";
const SERVICE: &str = "kubernetes";
/// Selects the slices of that Service.
const SLICES: &str = "kubernetes.io/service-name=kubernetes";

/// Addresses and ports of the Service.
pub(super) fn of_service(client: Client) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    async move {
        let services: Api<Service> = Api::namespaced(client, NAMESPACE);
        let service = services.get_opt(SERVICE).await.map_err(unread)?;
        Ok(service.as_ref().map(service_addresses).unwrap_or_default())
    }
    .boxed()
}

/// Addresses and ports of the kube-apiservers behind it.
pub(super) fn of_slices(client: Client) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    async move {
        let slices: Api<EndpointSlice> = Api::namespaced(client, NAMESPACE);
        let slices = slices.list(&ListParams::default().labels(SLICES)).await;
        let slices = slices.map_err(unread)?;
        Ok(slices.items.iter().flat_map(slice_addresses).collect())
    }
    .boxed()
}

fn unread(error: kube::Error) -> io::Error {
    tracing::debug!(%error, "the kube-apiservers' own addresses cannot be read");
    io::Error::other(error)
}

fn service_addresses(service: &Service) -> Vec<SocketAddr> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let ports = spec.ports.iter().flatten().map(|port| port.port);
    pairs(spec.cluster_ips.iter().flatten(), ports)
}

fn slice_addresses(slice: &EndpointSlice) -> Vec<SocketAddr> {
    let addresses = slice.endpoints.iter().flat_map(|one| &one.addresses);
    let ports = slice.ports.iter().flatten().filter_map(|port| port.port);
    pairs(addresses, ports)
}

/// Each address with each port; names are left out, for they are no addresses.
fn pairs<'a>(
    addresses: impl Iterator<Item = &'a String>,
    ports: impl Iterator<Item = i32> + Clone,
) -> Vec<SocketAddr> {
    let ports = ports.filter_map(|port| u16::try_from(port).ok());
    addresses
        .filter_map(|address| address.parse().ok())
        .flat_map(|ip| ports.clone().map(move |port| SocketAddr::new(ip, port)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_address_is_known_at_each_port() {
        let service = json!({
            "spec": { "clusterIPs": ["10.96.0.1", "fd00::1", "None"], "ports": [{ "port": 443 }] },
        });
        let service: Service = serde_json::from_value(service).unwrap();
        let found = service_addresses(&service);
        let wanted = ["10.96.0.1:443", "[fd00::1]:443"];
        assert_eq!(found, wanted.map(|text| text.parse().unwrap()));

        let slice = json!({
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"] }],
            "ports": [{ "port": 6443 }, { "name": "other" }],
        });
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        let found = slice_addresses(&slice);
        let wanted = ["10.0.0.1:6443", "10.0.0.2:6443"];
        assert_eq!(found, wanted.map(|text| text.parse().unwrap()));
    }
}
