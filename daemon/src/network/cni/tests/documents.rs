//! Configurations and results: all versions, and what is none.

use std::net::IpAddr;

use proptest::prelude::*;

use super::super::version::Version;
use super::*;
use crate::proto;

fn loaded(files: &[(&str, &str)]) -> Result<Network, CniError> {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    config::load(directory.path())
}

#[test]
fn the_first_file_by_name_is_the_network() {
    let list =
        |name| format!(r#"{{"cniVersion":"0.4.0","name":"{name}","plugins":[{{"type":"x"}}]}}"#);
    let conf =
        r#"{"cniVersion":"0.3.1","name":"single","type":"bridge","ipam":{"type":"host-local"}}"#;
    let network = loaded(&[
        ("20-b.conflist", &list("b")),
        ("00.txt", "junk"),
        ("10-a.conf", conf),
    ])
    .unwrap();
    assert_eq!(
        (network.name.as_str(), network.version),
        ("single", Version::V0_3_1)
    );
    assert_eq!(network.plugins[0].ipam(), Some("host-local"));
    let network = loaded(&[("20-b.conflist", &list("b")), ("30-c.json", conf)]).unwrap();
    assert_eq!(network.name, "b");
    assert!(matches!(
        loaded(&[("x", "")]),
        Err(CniError::NoNetwork { .. })
    ));
}

#[test]
fn versions_and_dropped_plugins_of_1_1() {
    let text = r#"{"cniVersion":"1.0.0","cniVersions":["1.1.0","9.0.0"],"name":"n","disableCheck":"true","plugins":[{"type":"x"}]}"#;
    let dropped = ("n/1.conf", r#"{"type":"dropped"}"#);
    let network = loaded(&[("a.conflist", text), dropped]).unwrap();
    assert_eq!(network.version, Version::V1_1_0);
    assert!(network.disable_check);
    let kinds: Vec<_> = network
        .plugins
        .iter()
        .map(|plugin| plugin.kind.as_str())
        .collect();
    assert_eq!(kinds, ["x", "dropped"]);
    let inlined = text.replace(r#""name""#, r#""loadOnlyInlinedPlugins":true,"name""#);
    assert_eq!(
        loaded(&[("a.conflist", &inlined), dropped])
            .unwrap()
            .plugins
            .len(),
        1
    );
}

#[test]
fn what_is_wrong_with_a_configuration_is_said() {
    let cases = [
        ("[]", "is no CNI configuration"),
        ("{}", "it has no name"),
        (r#"{"name":"../x"}"#, "is no network name"),
        (r#"{"name":"n"}"#, "it has 0 plugins"),
        (r#"{"name":"n","plugins":[]}"#, "it has 0 plugins"),
        (r#"{"name":"n","plugins":{}}"#, "plugins is no list"),
        (r#"{"name":"n","plugins":[{}]}"#, "no type"),
        (
            r#"{"name":"n","plugins":[{"type":"../sh"}]}"#,
            "is no plugin's type",
        ),
        (r#"{"name":"n","plugins":[7]}"#, "no object"),
        (
            r#"{"name":"n","cniVersion":"2.0.0","plugins":[{"type":"x"}]}"#,
            "2.0.0 none is known",
        ),
        (
            r#"{"name":"n","disableCheck":1,"plugins":[{"type":"x"}]}"#,
            "disableCheck is 1",
        ),
    ];
    for (text, part) in cases {
        let reason = loaded(&[("a.conflist", text)]).unwrap_err().reason();
        assert!(
            reason.contains(part) && reason.contains("a.conflist"),
            "{part:?} in {reason}"
        );
    }
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20));
    assert!(
        loaded(&[("a.conflist", &large)])
            .unwrap_err()
            .reason()
            .contains("more than")
    );
}

#[test]
fn results_of_all_versions_are_read() {
    let old = br#"{"ip4":{"ip":"10.0.0.2/16","gateway":"10.0.0.1","routes":[{"dst":"0.0.0.0/0"}]},"ip6":{"ip":"fd00::2/64"}}"#;
    let (result, value) = result::parse(old, Version::V0_2_0).unwrap();
    assert_eq!(
        result.pod_ips(),
        [
            "10.0.0.2".parse::<IpAddr>().unwrap(),
            "fd00::2".parse().unwrap()
        ]
    );
    assert_eq!(
        (result.routes.len(), &value["cniVersion"]),
        (1, &json!("0.2.0"))
    );
    result::parse(old, Version::V0_1_0).unwrap();

    let current =
        br#"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/16"},{"address":"fd00::2/64"}]}"#;
    let (_, value) = result::parse(current, Version::V0_4_0).unwrap();
    assert_eq!(
        (&value["ips"][0]["version"], &value["ips"][1]["version"]),
        (&json!("4"), &json!("6"))
    );
    let with_family = value.to_string();
    let (result, value) = result::parse(with_family.as_bytes(), Version::V1_1_0).unwrap();
    assert_eq!(
        (value["ips"][0].get("version"), result.ips.len()),
        (None, 2)
    );
    assert!(result::parse(current, Version::V0_2_0).is_err());
}

#[test]
fn what_is_no_result_is_said() {
    for (text, part) in [
        ("", "EOF"),
        ("null", "no object"),
        (r#"{"cniVersion":"7.0.0"}"#, "7.0.0"),
        (r#"{"cniVersion":1}"#, "version is 1"),
        (r#"{"ips":{}}"#, "ips is no list"),
        (r#"{"ips":[{}]}"#, "address is not there"),
        (r#"{"ips":[{"address":"10.0.0.1"}]}"#, "10.0.0.1"),
        (r#"{"ips":[{"address":"10.0.0.1/33"}]}"#, "/33"),
        (
            r#"{"ips":[{"address":"10.0.0.1/8","interface":0}]}"#,
            "interface 0",
        ),
        (
            r#"{"ips":[{"address":"10.0.0.1/8","gateway":"x"}]}"#,
            "gateway",
        ),
        (r#"{"routes":[{"dst":"x"}]}"#, "dst"),
        (r#"{"dns":7}"#, "dns"),
        (r#"{"interfaces":[{"name":7}]}"#, "name of an interface"),
    ] {
        let error = result::parse(text.as_bytes(), Version::V1_0_0).unwrap_err();
        assert!(error.contains(part), "{part:?} in {error}");
    }
}

#[test]
fn a_configuration_of_kubelet_becomes_a_pod_network() {
    let mapping = |host_port, protocol| proto::PortMapping {
        host_port,
        container_port: 53,
        protocol,
        host_ip: "127.0.0.1".into(),
    };
    let mut config = proto::PodSandboxConfig {
        port_mappings: vec![mapping(0, 0), mapping(5353, 1)],
        ..Default::default()
    };
    let annotations = [
        ("kubernetes.io/ingress-bandwidth", "10M"),
        ("kubernetes.io/egress-bandwidth", "1.5Ki"),
    ];
    config.annotations = annotations
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let pod = PodNetwork::from_config(ID, "/n", &config).unwrap();
    let all = Value::Object(pod.capabilities());
    let mappings =
        json!([{"hostPort": 5353, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"}]);
    assert_eq!(all["portMappings"], mappings);
    assert_eq!(all["bandwidth"]["ingressRate"], 10_000_000);
    assert_eq!(all["bandwidth"]["egressRate"], 1536);

    for bad in [
        mapping(70_000, 0),
        mapping(-1, 0),
        mapping(1, 9),
        proto::PortMapping {
            host_ip: "x".into(),
            ..mapping(1, 0)
        },
    ] {
        let config = proto::PodSandboxConfig {
            port_mappings: vec![bad],
            ..Default::default()
        };
        assert!(matches!(
            PodNetwork::from_config(ID, "/n", &config),
            Err(CniError::BadPod(_))
        ));
    }
    for bad in ["", "fast", "1", "2P"] {
        config
            .annotations
            .insert("kubernetes.io/egress-bandwidth".into(), bad.into());
        let error = PodNetwork::from_config(ID, "/n", &config)
            .unwrap_err()
            .reason();
        assert!(error.contains("egress-bandwidth"), "{error}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "cniVersion",
        "ips",
        "ip4",
        "ip6",
        "ip",
        "address",
        "interface",
        "interfaces",
        "gateway",
        "routes",
        "dst",
        "gw",
        "dns",
        "nameservers",
        "name",
        "sandbox",
        "mac",
        "x",
    ]);
    let text = prop::sample::select(vec![
        "",
        "1.0.0",
        "0.2.0",
        "10.0.0.1/8",
        "fd00::1/64",
        "::/0",
        "10.0.0.1",
        "eth0",
        "/",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| json!(number)),
        (0_u64..3).prop_map(|number| json!(number)),
        text.prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key.clone(), inner, 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    /// Whatever is printed: no panic, and what is taken is taken again by the next plugin's reading.
    #[test]
    fn any_document_is_a_result_or_an_error(value in any_json(), old: bool) {
        let asked = if old { Version::V0_2_0 } else { Version::V1_1_0 };
        if let Ok((result, next)) = result::parse(value.to_string().as_bytes(), asked) {
            let (again, same) = result::parse(next.to_string().as_bytes(), asked).unwrap();
            prop_assert_eq!(&result, &again);
            prop_assert_eq!(next, same);
            let _ = result.pod_ips();
            let kept: CniResult = serde_json::from_value(serde_json::to_value(&result).unwrap()).unwrap();
            prop_assert_eq!(result, kept);
        }
    }

    #[test]
    fn any_bytes_are_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = result::parse(&bytes, Version::V1_0_0);
    }

    #[test]
    fn any_text_is_a_quantity_or_none(text in "[0-9.+-]{0,6}[a-zA-Z]{0,3}[0-9-]{0,4}") {
        let _ = quantity::parse(&text);
    }

    /// What is printed of addresses comes out as it went in.
    #[test]
    fn addresses_keep_their_order(addresses in prop::collection::hash_set(any::<u32>(), 1..8)) {
        let addresses: Vec<IpAddr> = addresses.into_iter().map(|bits| std::net::Ipv4Addr::from(bits).into()).collect();
        let ips: Vec<_> = addresses.iter().map(|ip| json!({"address": format!("{ip}/32"), "interface": 0})).collect();
        let printed = json!({"cniVersion": "1.0.0", "ips": ips, "interfaces": [{"name": "eth0", "sandbox": "/n"}]});
        let (result, _) = result::parse(printed.to_string().as_bytes(), Version::V1_0_0).unwrap();
        prop_assert_eq!(result.pod_ips(), addresses);
    }
}
