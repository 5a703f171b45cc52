//! The client's address behind proxies: forwarded headers count only from proxies that are trusted.

use std::{fmt, net::IpAddr, str::FromStr};

use primus_core::Head;

/// An address or a network such as `10.0.0.0/8` or `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network; write it as `10.0.0.0/8`, `192.0.2.1` or `2001:db8::/32`")]
pub struct BadNetwork(String);

impl Network {
    /// Whether it has this address. IPv4 addresses mapped into IPv6 are taken as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        fn bits(address: IpAddr) -> (u128, u32) {
            match address {
                IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
                IpAddr::V6(v6) => (v6.to_bits(), 128),
            }
        }
        let ((ours, our_length), (theirs, their_length)) =
            (bits(self.address), bits(address.to_canonical()));
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        our_length == their_length && (ours & mask) == (theirs & mask)
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix.parse().ok().filter(|p| *p <= longest).ok_or_else(bad)?,
        };
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Sets the client's address and whether it came over TLS.
///
/// The chain of addresses is walked from the peer outwards for as long as they are trusted; the
/// first that is not is the client. What stands further left is the client's own claim.
pub(crate) fn resolve(head: &mut Head, trusted: &[Network]) {
    let Some(peer) = head.peer.map(|peer| peer.ip().to_canonical()) else { return };
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer;
    if is_trusted(peer) {
        let chain: Vec<Option<IpAddr>> = head
            .headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(parse_hop)
            .collect();
        for hop in chain.into_iter().rev() {
            let Some(hop) = hop else { break };
            client = hop;
            if !is_trusted(hop) {
                break;
            }
        }
        let proto = head.header("x-forwarded-proto");
        if let Some(proto) = proto.and_then(|value| value.rsplit(',').next()) {
            head.secure = proto.trim().eq_ignore_ascii_case("https");
        }
    }
    head.address = Some(client);
}

fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    hop.parse()
        .or_else(|_| hop.parse::<std::net::SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, Uri};

    use super::*;

    fn client(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let mut head = Head::new(Method::GET, Uri::from_static("/"));
        head.peer = Some(peer.parse().unwrap());
        head.headers.insert("x-forwarded-for", HeaderValue::from_str(forwarded).unwrap());
        head.headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        resolve(&mut head, &trusted);
        format!("{} {}", head.address.unwrap(), head.secure)
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let forged = "203.0.113.9, 198.51.100.7";
        assert_eq!(client("192.0.2.1:5", forged, &[]), "192.0.2.1 false");
        assert_eq!(client("192.0.2.1:5", forged, &["10.0.0.0/8"]), "192.0.2.1 false");
        assert_eq!(client("10.1.2.3:5", forged, &["10.0.0.0/8"]), "198.51.100.7 true");
        let two = ["10.0.0.0/8", "198.51.100.0/24"];
        assert_eq!(client("10.1.2.3:5", forged, &two), "203.0.113.9 true");
        assert_eq!(client("10.1.2.3:5", "junk, 198.51.100.7", &two), "198.51.100.7 true");
        assert_eq!(client("[::ffff:10.1.2.3]:5", forged, &["10.0.0.0/8"]), "198.51.100.7 true");
        assert_eq!(client("[::1]:5", "[2001:db8::1]:99", &["::1"]), "2001:db8::1 true");
    }

    #[test]
    fn bad_networks() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "x/8", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("192.0.2.1".parse().unwrap()));
        assert!(!"0.0.0.0/0".parse::<Network>().unwrap().contains("::1".parse().unwrap()));
    }
}
