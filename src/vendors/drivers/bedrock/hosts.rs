//! Where Bedrock answers: a control host and a runtime host in each region (facts, 2).

use std::sync::LazyLock;

use url::Url;

use crate::crd::names::did_you_mean;

/// One of AWS's separate clouds: its hosts' suffix, its regions with Bedrock, and those of them
/// that have FIPS hosts too. As botocore 1.44 has them, but for China's, which that file does not
/// name with this service; their hosts follow from the suffix.
struct Partition {
    suffix: &'static str,
    regions: &'static [&'static str],
    fips: &'static [&'static str],
}

const PARTITIONS: [Partition; 4] = [
    Partition {
        suffix: "amazonaws.com",
        regions: &[
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
            "af-south-1",
            "ap-east-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-south-1",
            "ap-south-2",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-southeast-3",
            "ap-southeast-4",
            "ap-southeast-5",
            "ap-southeast-6",
            "ap-southeast-7",
            "ca-central-1",
            "ca-west-1",
            "eu-central-1",
            "eu-central-2",
            "eu-north-1",
            "eu-south-1",
            "eu-south-2",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "il-central-1",
            "me-central-1",
            "me-south-1",
            "mx-central-1",
            "sa-east-1",
        ],
        fips: &["us-east-1", "us-east-2", "us-west-2", "ca-central-1"],
    },
    Partition {
        suffix: "amazonaws.com",
        regions: &["us-gov-east-1", "us-gov-west-1"],
        fips: &["us-gov-east-1", "us-gov-west-1"],
    },
    Partition {
        suffix: "amazonaws.com.cn",
        regions: &["cn-north-1", "cn-northwest-1"],
        fips: &[],
    },
    Partition {
        suffix: "amazonaws.eu",
        regions: &["eusc-de-east-1"],
        fips: &[],
    },
];

const CONTROL: &str = "bedrock";
const RUNTIME: &str = "bedrock-runtime";

/// All of AWS's own fixed hosts of this service. The names are made once and kept.
static HOSTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut hosts: Vec<&'static str> = Vec::new();
    for partition in &PARTITIONS {
        for plane in [CONTROL, RUNTIME] {
            let plain = partition.regions.iter().map(|region| (region, ""));
            let fips = partition.fips.iter().map(|region| (region, "-fips"));
            hosts.extend(plain.chain(fips).map(|(region, fips)| {
                &*format!("{plane}{fips}.{region}.{}", partition.suffix).leak()
            }));
        }
    }
    hosts
});

/// AWS's own fixed hosts of this service, exact.
pub(super) fn fixed() -> &'static [&'static str] {
    &HOSTS
}

/// The regions that are known, in their order.
pub(super) fn regions() -> impl Iterator<Item = &'static str> {
    PARTITIONS.iter().flat_map(|p| p.regions.iter().copied())
}

/// The runtime host's URL in a known region.
pub(super) fn runtime_url(region: &str) -> Option<String> {
    PARTITIONS
        .iter()
        .find(|partition| partition.regions.contains(&region))
        .map(|partition| format!("https://{RUNTIME}.{region}.{}", partition.suffix))
}

/// The host of STS in a known region; else the one for all.
pub(super) fn sts(region: Option<&str>) -> String {
    let known = |region: &str| PARTITIONS.iter().find(|p| p.regions.contains(&region));
    match region.and_then(|region| known(region).map(|partition| (region, partition))) {
        Some((region, partition)) => format!("sts.{region}.{}", partition.suffix),
        None => "sts.amazonaws.com".to_owned(),
    }
}

/// Where a call goes, and the region that its signature is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BedrockHost {
    /// Lists and reads.
    pub control: Url,
    /// Calls of models.
    pub runtime: Url,
    /// As it stands in a signature's scope.
    pub region: String,
}

/// The hosts of an endpoint. One of AWS's own fixed hosts stands for both of its region; at any
/// other URL, a gateway's or a VPC endpoint's, everything is asked there, and nowhere else.
///
/// # Errors
/// Why there is no region to sign for, and what to write.
pub(super) fn place(base: &Url, region: Option<&str>) -> Result<BedrockHost, String> {
    let host = base.host_str().unwrap_or_default();
    let by_host = region_in(host);
    let region = match (by_host, region) {
        (Some(there), Some(said)) if there != said => {
            return Err(format!(
                "spec.region is {said}, and spec.baseUrl is a host of {there}: make them agree"
            ));
        }
        (Some(there), _) => there,
        (None, Some(said)) if is_known(said) => said,
        (None, region) => return Err(no_region(region)),
    };
    let twin = |plane: &str| {
        let (_, rest) = host.split_once('.')?;
        let first = host.split('.').next()?;
        let fips = if first.ends_with("-fips") {
            "-fips"
        } else {
            ""
        };
        Url::parse(&format!("https://{plane}{fips}.{rest}")).ok()
    };
    let is_fixed = base.scheme() == "https" && base.port().is_none() && fixed().contains(&host);
    let (control, runtime) = match is_fixed {
        true => (twin(CONTROL), twin(RUNTIME)),
        false => (None, None),
    };
    Ok(BedrockHost {
        control: control.unwrap_or_else(|| base.clone()),
        runtime: runtime.unwrap_or_else(|| base.clone()),
        region: region.to_owned(),
    })
}

/// What to write where no region is known.
pub(super) fn no_region(said: Option<&str>) -> String {
    let known: Vec<&str> = regions().collect();
    let known = known.join(", ");
    match said {
        None => format!(
            "spec.region is required: Bedrock's hosts and keys' signatures are for one region; the known ones are {known}"
        ),
        Some(said) => format!(
            "spec.region: Bedrock has no region {said} that is known here{}; the known ones are {known}",
            did_you_mean(said, regions())
        ),
    }
}

fn is_known(region: &str) -> bool {
    regions().any(|known| known == region)
}

/// The region that a host of AWS's names: a known host's, a VPC endpoint's
/// (`vpce-0a1b.bedrock-runtime.us-east-1.vpce.amazonaws.com`), or a new region's.
fn region_in(host: &str) -> Option<&str> {
    let labels: Vec<&str> = host.split('.').collect();
    let at = labels.iter().position(|label| {
        let plane = label.strip_suffix("-fips").unwrap_or(label);
        plane == CONTROL || plane == RUNTIME
    })?;
    let region = labels.get(at + 1)?;
    let rest = labels.get(at + 2..)?.join(".");
    let suffix = rest.strip_prefix("vpce.").unwrap_or(&rest);
    let is_aws = PARTITIONS.iter().any(|p| p.suffix == suffix);
    let like_a_region = region.contains('-') && region.ends_with(|c: char| c.is_ascii_digit());
    (is_aws && like_a_region).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base: &str, region: Option<&str>) -> Result<BedrockHost, String> {
        place(&Url::parse(base).expect("a URL"), region)
    }

    #[test]
    fn either_host_of_a_region_stands_for_both() {
        for (base, control, runtime, region) in [
            (
                "https://bedrock-runtime.us-east-1.amazonaws.com",
                "https://bedrock.us-east-1.amazonaws.com/",
                "https://bedrock-runtime.us-east-1.amazonaws.com/",
                "us-east-1",
            ),
            (
                "https://bedrock.eu-central-1.amazonaws.com/",
                "https://bedrock.eu-central-1.amazonaws.com/",
                "https://bedrock-runtime.eu-central-1.amazonaws.com/",
                "eu-central-1",
            ),
            (
                "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
                "https://bedrock-fips.us-gov-west-1.amazonaws.com/",
                "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/",
                "us-gov-west-1",
            ),
            (
                "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
                "https://bedrock.cn-north-1.amazonaws.com.cn/",
                "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/",
                "cn-north-1",
            ),
        ] {
            let place = at(base, None).expect("a place");
            assert_eq!(place.control.as_str(), control);
            assert_eq!(place.runtime.as_str(), runtime);
            assert_eq!(place.region, region);
            assert!(fixed().contains(&place.control.host_str().expect("a host")));
            assert_eq!(at(base, Some(region)).expect("a place"), place);
        }
    }

    #[test]
    fn elsewhere_everything_is_asked_at_the_one_url() {
        for (base, region, signed_for) in [
            ("https://gw.example.com/aws", Some("eu-west-1"), "eu-west-1"),
            ("http://127.0.0.1:9", Some("us-east-1"), "us-east-1"),
            (
                "https://vpce-0a.bedrock-runtime.us-east-1.vpce.amazonaws.com",
                None,
                "us-east-1",
            ),
            (
                "https://bedrock.us-east-1.amazonaws.com:8443",
                None,
                "us-east-1",
            ),
            ("http://bedrock.us-east-1.amazonaws.com", None, "us-east-1"),
            (
                "https://bedrock-runtime.xx-new-9.amazonaws.com",
                Some("xx-new-9"),
                "xx-new-9",
            ),
        ] {
            let place = at(base, region).expect("a place");
            let base = Url::parse(base).expect("a URL");
            assert_eq!((&place.control, &place.runtime), (&base, &base));
            assert_eq!(place.region, signed_for);
        }
    }

    #[test]
    fn a_region_that_is_missing_unknown_or_another_than_the_hosts_is_named() {
        let refused = |base, region| at(base, region).expect_err("refused");
        let text = refused("https://gw.example.com", None);
        assert!(text.starts_with("spec.region is required"), "{text}");
        let text = refused("https://gw.example.com", Some("us-east1"));
        assert!(text.contains("did you mean \"us-east-1\""), "{text}");
        assert!(text.contains("sa-east-1"), "{text}");
        let text = refused("https://bedrock.us-west-2.amazonaws.com", Some("us-east-1"));
        assert!(text.contains("us-west-2"), "{text}");
        assert!(at("https://bedrock.us-east-1.amazonaws.com.evil.example", None).is_err());
        assert!(at("https://bedrock.us-east-1.example.com", None).is_err());
    }

    #[test]
    fn only_aws_own_names_are_fixed() {
        assert!(fixed().contains(&"bedrock-runtime.us-east-1.amazonaws.com"));
        for host in fixed() {
            assert!(host.starts_with("bedrock"), "{host}");
            let suffix = host.splitn(3, '.').nth(2).expect("three parts");
            assert!(PARTITIONS.iter().any(|p| p.suffix == suffix), "{host}");
        }
        assert!(!fixed().contains(&"bedrock-fips.eu-west-1.amazonaws.com"));
        assert_eq!(runtime_url("mars-1"), None);
    }
}
