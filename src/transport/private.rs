//! Addresses that are not of the public internet: what `limits.block_private_networks` refuses. Pure.
//!
//! The check is on the addresses that are about to be connected, behind every name, so that no spelling of a
//! host and no answer of a name server gets around it: there is no look-up between the check and the connect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::fail::Fail;

/// Leaves only the public ones; an error where none is left.
pub(super) fn permit(addresses: &mut Vec<SocketAddr>) -> Result<(), Fail> {
    let mut refused = None;
    addresses.retain(|address| match permitted(address.ip()) {
        Ok(()) => true,
        Err(what) => {
            refused.get_or_insert((address.ip(), what));
            false
        }
    });
    match refused {
        Some((ip, what)) if addresses.is_empty() => Err(blocked(ip, what)),
        _ => Ok(()),
    }
}

/// A host that a proxy is asked for: it resolves the names, and only what needs no look-up can be checked here.
pub(super) fn literal(host: &str) -> Result<(), Fail> {
    let name = host.trim_end_matches('.');
    if name == "localhost" || name.ends_with(".localhost") {
        return Err(blocked(host, "loopback"));
    }
    match host.parse().map(permitted) {
        Ok(Err(what)) => Err(blocked(host, what)),
        _ => Ok(()),
    }
}

/// The words for a refused address.
fn blocked(ip: impl std::fmt::Display, what: &str) -> Fail {
    Fail::Blocked(format!("blocked address {ip} ({what}; limits.block_private_networks)"))
}

/// Is it an address of the public internet? Else what it is.
pub(super) fn permitted(ip: IpAddr) -> Result<(), &'static str> {
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => v6(ip),
    }
}

fn v4(ip: Ipv4Addr) -> Result<(), &'static str> {
    // IANA's registry of special-purpose addresses (RFC 6890 and its heirs).
    Err(match ip.octets() {
        [0, ..] => "unspecified",
        [127, ..] => "loopback",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared by carriers",
        [169, 254, ..] => "link-local",
        [192, 0, 0, _] | [192, 88, 99, _] => "reserved",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation",
        [198, 18..=19, ..] => "benchmarks",
        [224..=239, ..] => "multicast",
        [255, 255, 255, 255] => "broadcast",
        [240..=255, ..] => "reserved",
        _ => return Ok(()),
    })
}

fn v6(ip: Ipv6Addr) -> Result<(), &'static str> {
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        v4(Ipv4Addr::new(a, b, c, d))
    };
    let s = ip.segments();
    Err(match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        // What carries an IPv4 address is as good as that one: mapped, translated (RFC 2765), compatible,
        // NAT64 (RFC 6052), 6to4.
        [0, 0, 0, 0, 0, 0xffff, h, l] | [0, 0, 0, 0, 0xffff, 0, h, l] | [0, 0, 0, 0, 0, 0, h, l] => {
            return inner(h, l);
        }
        [0x64, 0xff9b, 0, 0, 0, 0, h, l] => return inner(h, l),
        [0x2002, h, l, ..] => return inner(h, l),
        // A translator of the own network's; where in it the IPv4 address stands is for that network to say.
        [0x64, 0xff9b, 1, ..] => "private NAT64",
        // Teredo hides the address of a relay and of a client in it, and is no more in use.
        [0x2001, 0, ..] => "Teredo",
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => "documentation",
        [0x2001, 0x0002, 0, ..] => "benchmarks",
        [0x2001, 0x0010..=0x001f, ..] => "reserved",
        [0x5f00, ..] => "segment routing",
        [0x0100, 0, 0, 0, ..] => "discarded",
        [0xfc00..=0xfdff, ..] => "unique local",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        // ISATAP (RFC 5214) carries one in the lower half.
        [_, _, _, _, 0x0000 | 0x0200, 0x5efe, h, l] => return inner(h, l),
        _ => return Ok(()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn what(ip: &str) -> Result<(), &'static str> {
        permitted(ip.parse().unwrap())
    }

    #[test]
    fn every_kind_of_private_address_is_known_to_its_edges() {
        for (ip, kind) in [
            ("0.0.0.0", "unspecified"),
            ("0.255.255.255", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.0", "private"),
            ("192.168.255.255", "private"),
            ("100.64.0.0", "shared by carriers"),
            ("100.127.255.255", "shared by carriers"),
            ("169.254.0.0", "link-local"),
            ("169.254.169.254", "link-local"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.1", "documentation"),
            ("198.18.0.0", "benchmarks"),
            ("198.19.255.255", "benchmarks"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.1.2.3", "private"),
            ("::ffff:0:10.1.2.3", "private"),
            ("::169.254.169.254", "link-local"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b:1::1", "private NAT64"),
            ("2002:7f00:1::", "loopback"),
            ("2002:c0a8:101::1", "private"),
            ("2001:0:1::1", "Teredo"),
            ("2001:db8::1", "documentation"),
            ("3fff:fff::1", "documentation"),
            ("fc00::1", "unique local"),
            ("fdff:ffff::1", "unique local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("2a00::5efe:10.0.0.1", "private"),
        ] {
            assert_eq!(what(ip), Err(kind), "{ip}");
        }
        for ip in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "8.8.8.8",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2606:4700::1111",
            "fbff::1",
            "2a00::5efe:8.8.8.8",
        ] {
            assert_eq!(what(ip), Ok(()), "{ip}");
        }
    }

    #[test]
    fn of_many_addresses_only_the_public_ones_are_left() {
        let of = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let mut addresses = of(&["127.0.0.1:1", "8.8.8.8:1", "[::1]:1", "[2606:4700::1]:1"]);
        permit(&mut addresses).unwrap();
        assert_eq!(addresses, of(&["8.8.8.8:1", "[2606:4700::1]:1"]));
        let mut addresses = of(&["10.0.0.1:1", "[::1]:1"]);
        let said = permit(&mut addresses).unwrap_err().to_string();
        assert!(said.contains("blocked address 10.0.0.1 (private; limits.block_private_networks)"), "{said}");
        // No address at all is another failure, and not ours to tell.
        permit(&mut Vec::new()).unwrap();
    }
}
