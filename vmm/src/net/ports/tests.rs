//! Mappings as they are written, checked and followed.

use super::*;

fn mapping(text: &str) -> PortMapping {
    text.parse().unwrap()
}

#[test]
fn docker_writes_ports_like_this() {
    for (text, shown) in [
        ("8080:80", "8080:80/tcp"),
        ("8080:80/tcp", "8080:80/tcp"),
        ("5353:53/udp", "5353:53/udp"),
        ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
        ("[::1]:8080:80/udp", "[::1]:8080:80/udp"),
    ] {
        assert_eq!(mapping(text).to_string(), shown);
    }
}

#[test]
fn wrong_ports_are_named() {
    let said = |text: &str| text.parse::<PortMapping>().unwrap_err().to_string();
    for (text, part) in [
        ("", "write [IP:]HOST:GUEST"),
        ("80", "write [IP:]HOST:GUEST"),
        ("0:80", "\"0\" is no port"),
        ("8080:", "\"\" is no port"),
        ("+80:80", "\"+80\" is no port"),
        ("8080:65536", "\"65536\" is no port"),
        ("8080:80/sctp", "\"sctp\" is no protocol"),
        ("8080:80/", "\"\" is no protocol"),
        ("localhost:8080:80", "\"localhost\" is no IP address"),
        ("::1:8080:80", "in brackets"),
        ("1.2.3:8080:80", "\"1.2.3\" is no IP address"),
    ] {
        assert!(said(text).contains(part), "{text}: {}", said(text));
    }
}

#[test]
fn one_port_is_published_once() {
    let list = |texts: &[&str]| {
        check(
            &Mode::Published,
            &texts.iter().map(|t| mapping(t)).collect::<Vec<_>>(),
        )
    };
    assert!(list(&["8080:80", "8081:81", "8080:80/udp"]).is_ok());
    let error = list(&["8080:80", "1.2.3.4:9090:80"]).unwrap_err();
    assert!(error.to_string().contains("8080:80/tcp"), "{error}");
    assert!(error.to_string().contains("1.2.3.4:9090:80/tcp"), "{error}");
    let error = check(&Mode::Host, &[mapping("8080:80")]).unwrap_err();
    assert!(error.to_string().contains("--network host"), "{error}");
    assert!(check(&Mode::Host, &[]).is_ok());
}

#[test]
fn the_host_address_is_what_both_sides_allow() {
    for (published, guest, host) in [
        ("8080:80", "0.0.0.0:80", Some("0.0.0.0:8080")),
        ("8080:80", "[::]:80", Some("[::]:8080")),
        ("8080:80", "10.0.0.5:80", Some("10.0.0.5:8080")),
        ("127.0.0.1:8080:80", "0.0.0.0:80", Some("127.0.0.1:8080")),
        (
            "127.0.0.1:8080:80",
            "[::]:80",
            Some("[::ffff:127.0.0.1]:8080"),
        ),
        ("[::1]:8080:80", "[::]:80", Some("[::1]:8080")),
        ("10.0.0.5:8080:80", "10.0.0.5:80", Some("10.0.0.5:8080")),
        ("10.0.0.5:8080:80", "10.0.0.6:80", None),
        ("0.0.0.0:8080:80", "10.0.0.6:80", Some("10.0.0.6:8080")),
        ("8080:80", "127.0.0.1:80", Some("127.0.0.1:8080")),
        ("10.0.0.5:8080:80", "[::1]:80", Some("[::1]:8080")),
    ] {
        let mappings = [mapping(published)];
        let guest: SocketAddr = guest.parse().unwrap();
        let found = find(&mappings, Protocol::Tcp, guest).unwrap();
        let wanted = host.map(|host| host.parse().unwrap());
        assert_eq!(
            found.host_address(guest, false),
            wanted,
            "{published} {guest}"
        );
    }
}

#[test]
fn a_socket_of_ipv6_alone_is_not_published_by_ipv4() {
    for (published, host) in [
        ("0.0.0.0:8080:80", "[::1]:8080"),
        ("10.0.0.5:8080:80", "[::1]:8080"),
        ("8080:80", "[::]:8080"),
    ] {
        let address = mapping(published).host_address("[::]:80".parse().unwrap(), true);
        assert_eq!(address, host.parse().ok(), "{published}");
    }
}

#[test]
fn a_guest_finds_itself_by_its_own_ports() {
    for (published, to, host, back) in [
        (
            "8080:80",
            "127.0.0.1:80",
            Some("127.0.0.1:8080"),
            Some("127.0.0.1:80"),
        ),
        ("8080:80", "0.0.0.0:80", Some("0.0.0.0:8080"), None),
        ("8080:80", "[::1]:80", Some("[::1]:8080"), Some("[::1]:80")),
        (
            "10.0.0.5:8080:80",
            "127.0.0.1:80",
            Some("10.0.0.5:8080"),
            Some("10.0.0.5:80"),
        ),
        ("8080:80", "127.0.0.1:8080", None, None),
        ("8080:80", "10.0.0.5:80", None, None),
        ("8080:80/udp", "127.0.0.1:80", None, None),
    ] {
        let mappings = [mapping(published)];
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let out = outward(&mappings, Protocol::Tcp, at(to));
        assert_eq!(out, host.map(at), "{published} {to}");
        let seen = out.and_then(|out| inward(&mappings, Protocol::Tcp, out));
        assert_eq!(seen, back.map(at), "{published} {to}");
    }
}

#[test]
fn other_sockets_have_no_mapping() {
    for (published, guest) in [
        ("8080:80", "0.0.0.0:81"),
        ("8080:80/udp", "0.0.0.0:80"),
        ("[::1]:8080:80", "0.0.0.0:80"),
    ] {
        let found = find(&[mapping(published)], Protocol::Tcp, guest.parse().unwrap()).copied();
        assert_eq!(found, None, "{published} {guest}");
    }
}
