//! The address a request is taken to come from: its connection's, or what trusted proxies say.
//!
//! Invariant: what a client writes into `X-Forwarded-For` itself never counts. Each proxy appends
//! the address that it saw, so the header is read from its end, for as long as trusted proxies
//! wrote it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

pub const FORWARDED_FOR: &str = "x-forwarded-for";

/// The last address before the chain of `trusted` proxies that ends at `peer`, the other end of the
/// connection. IPv4 in IPv6 clothes is IPv4.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|it| it.to_canonical() == address);
    let mut address = peer.to_canonical();
    // A header sent in several lines is one list.
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    while is_trusted(address) {
        // An entry that is no address was not written by a proxy of ours: it tells nothing.
        match entries.next().and_then(entry) {
            Some(before) => address = before,
            None => return address,
        }
    }
    address
}

/// Some proxies add the port.
fn entry(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let address = text.parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    Some(address?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let trusted: Vec<IpAddr> = trusted.iter().map(|it| it.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn without_trusted_proxies_only_the_connection_counts() {
        assert_eq!(of("10.0.0.1", &["1.2.3.4"], &[]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["1.2.3.4"], &["10.0.0.2"]), "10.0.0.1");
        assert_eq!(of("::ffff:10.0.0.1", &[], &[]), "10.0.0.1");
    }

    #[test]
    fn a_trusted_proxy_tells_who_it_speaks_for() {
        let trusted = ["10.0.0.1", "10.0.0.2"];
        assert_eq!(of("10.0.0.1", &["1.2.3.4"], &trusted), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["1.2.3.4, 10.0.0.2"], &trusted), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["1.2.3.4", "10.0.0.2"], &trusted), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["1.2.3.4:55"], &trusted), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["[2001:db8::1]:55"], &trusted), "2001:db8::1");
        assert_eq!(of("10.0.0.1", &["2001:db8::1"], &trusted), "2001:db8::1");
    }

    #[test]
    fn what_the_client_wrote_itself_does_not_count() {
        let trusted = ["10.0.0.1"];
        assert_eq!(of("10.0.0.1", &["9.9.9.9, 1.2.3.4"], &trusted), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["9.9.9.9", "1.2.3.4"], &trusted), "1.2.3.4");
        assert_eq!(of("1.2.3.4", &["10.0.0.1"], &trusted), "1.2.3.4");
    }

    #[test]
    fn what_is_no_address_leaves_the_last_that_is_one() {
        let trusted = ["10.0.0.1"];
        for line in ["", "unknown", "1.2.3.4, ", "1.2.3.4 5", "\u{e9}", "for=1.2.3.4"] {
            assert_eq!(of("10.0.0.1", &[line], &trusted), "10.0.0.1", "{line:?}");
        }
        assert_eq!(of("10.0.0.1", &["10.0.0.1, 10.0.0.1"], &trusted), "10.0.0.1");
    }
}
