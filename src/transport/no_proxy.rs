//! Which hosts are reached without the proxy, with curl's meaning. Pure.
//!
//! A list of names, addresses and networks (`10.0.0.0/8`), or `*` for every host. A name stands for itself and
//! everything below it, with a dot before it or without. Ports do not count.

use std::net::IpAddr;

#[derive(Clone, Debug, Default)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug)]
enum Entry {
    All,
    /// In lower case, without dots around it.
    Name(String),
    Network(IpAddr, u32),
}

impl NoProxy {
    /// Each of the texts is a list itself, with commas or spaces, as the environment has it.
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> NoProxy {
        let items = texts.into_iter().flat_map(|text| text.split([',', ' ', '\t']));
        NoProxy(items.filter_map(Entry::of).collect())
    }

    /// `host`: a name, or an address without brackets.
    pub fn covers(&self, host: &str) -> bool {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return self.0.iter().any(|entry| match entry {
                Entry::All => true,
                Entry::Network(network, bits) => within(ip, *network, *bits),
                Entry::Name(_) => false,
            });
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().any(|entry| match entry {
            Entry::All => true,
            Entry::Name(name) => {
                host.strip_suffix(name.as_str()).is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            Entry::Network(..) => false,
        })
    }
}

impl Entry {
    fn of(text: &str) -> Option<Entry> {
        if text == "*" {
            return Some(Entry::All);
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let bare = |a: &str| a.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        // The port of an entry: what is behind the last colon, where that is not part of an IPv6 address.
        let without_port = text.rsplit_once(':').filter(|(_, p)| p.bytes().all(|b| b.is_ascii_digit()));
        let ip = bare(address)
            .or_else(|| bare(without_port.filter(|(a, _)| a.ends_with(']') || !a.contains(':'))?.0));
        if let Some(ip) = ip {
            let whole = if ip.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(whole), |b| b.parse().ok().filter(|b| *b <= whole))?;
            return Some(Entry::Network(ip, bits));
        }
        let name = without_port.map_or(text, |(name, _)| name).trim_matches('.').to_ascii_lowercase();
        (!name.is_empty()).then_some(Entry::Name(name))
    }
}

fn within(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (ip.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let bits = if network.is_ipv6() { bits.saturating_sub(96) } else { bits };
            (a.to_bits() ^ b.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_networks_and_the_star_mean_what_they_mean_to_curl() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("", &[], &["a.example", "1.2.3.4"]),
            (" , ", &[], &["a.example"]),
            ("*", &["a.example", "1.2.3.4", "::1"], &[]),
            ("x.example,*", &["a.example"], &[]),
            (
                "example.com",
                &["example.com", "EXAMPLE.com", "example.com.", "a.b.example.com"],
                &["myexample.com", "example.com.evil", "com"],
            ),
            (".example.com", &["example.com", "a.example.com"], &["myexample.com"]),
            ("Example.Com.", &["example.com"], &["example.org"]),
            ("*.example.com", &[], &["a.example.com", "example.com"]),
            (
                "one.example two.example,three.example",
                &["one.example", "two.example", "three.example"],
                &["four.example"],
            ),
            ("example.com:8080", &["example.com"], &["example.org"]),
            ("127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1"], &["127.0.0.2", "localhost"]),
            ("127.0.0.1:80", &["127.0.0.1"], &["127.0.0.2"]),
            ("10.0.0.0/8", &["10.0.0.1", "10.255.255.255"], &["11.0.0.0", "9.255.255.255"]),
            ("192.168.1.64/26", &["192.168.1.64", "192.168.1.127"], &["192.168.1.63", "192.168.1.128"]),
            ("0.0.0.0/0", &["8.8.8.8"], &["::1", "a.example"]),
            ("10.0.0.0/33,10.0.0.0/x", &[], &["10.0.0.0"]),
            ("::1", &["::1"], &["::2", "0.0.0.1"]),
            ("[::1]", &["::1"], &["::2"]),
            ("[::1]:80", &["::1"], &["::2"]),
            ("fd00::/8", &["fd00::1", "fdff::1"], &["fe80::1"]),
            ("::/0", &["2a00::1"], &[]),
            // A suffix of an address is no network.
            ("0.1", &[], &["127.0.0.1"]),
        ];
        for (list, covered, others) in rows {
            let no_proxy = NoProxy::new([*list]);
            covered.iter().for_each(|host| assert!(no_proxy.covers(host), "{list:?} covers {host}"));
            others.iter().for_each(|host| assert!(!no_proxy.covers(host), "{list:?} does not cover {host}"));
        }
        let list = NoProxy::new(["a.example", "b.example"]);
        assert!(list.covers("a.example") && list.covers("b.example"));
    }
}
