//! Which client sent a request, and whether it did so over https: what the connection says, or what a trusted proxy says.
//!
//! The listener adds both to each request before a router sees it, so no handler reads a forwarding header itself.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use axum::http::{HeaderMap, HeaderName, Request, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address of the client that sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// How the client sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientScheme {
    /// In the clear, as far as is known: a proxy that is not trusted may have received it over https.
    Http,
    /// Encrypted.
    Https,
}

/// The networks whose proxies are believed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

/// Why a text is no list of networks.
#[derive(Debug, thiserror::Error)]
#[error("must be addresses or networks that are separated by commas, such as 10.0.0.1,10.1.0.0/16")]
pub struct NotNetworks;

impl FromStr for TrustedProxies {
    type Err = NotNetworks;

    fn from_str(text: &str) -> Result<Self, NotNetworks> {
        let network = |text: &str| match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => text.parse().map_err(|_| NotNetworks),
        };
        let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        texts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the client to a request that came over a connection from `peer`, which was encrypted or not.
    pub fn identify_client<B>(&self, request: &mut Request<B>, peer: IpAddr, is_encrypted: bool) {
        let peer = peer.to_canonical();
        let of_connection = if is_encrypted { ClientScheme::Https } else { ClientScheme::Http };
        let (address, scheme) = match self.trust(peer) {
            true => self.forwarded(request.headers(), peer, of_connection),
            false => (peer, of_connection),
        };
        request.extensions_mut().insert(ClientAddress(address));
        request.extensions_mut().insert(scheme);
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// What a trusted proxy says, or the peer itself if that cannot be read. With both kinds of headers it is not known
    /// which of them the proxy wrote and which the client invented, so neither counts.
    fn forwarded(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        of_connection: ClientScheme,
    ) -> (IpAddr, ClientScheme) {
        let has = |name: &HeaderName| headers.contains_key(name);
        match (has(&header::FORWARDED), has(&X_FORWARDED_FOR) || has(&X_FORWARDED_PROTO)) {
            (true, false) => {
                let hops = forwarded_hops(headers).unwrap_or_default();
                let client = self.client_among(hops.iter().map(|hop| hop.node.as_deref()));
                let Some(index) = client else { return (peer, of_connection) };
                let hop = &hops[index];
                let address = hop.node.as_deref().and_then(address_of);
                (address.unwrap_or(peer), hop.scheme.unwrap_or(of_connection))
            }
            (false, true) => {
                let nodes = listed(headers, &X_FORWARDED_FOR).unwrap_or_default();
                let client = self.client_among(nodes.iter().map(|node| Some(*node)));
                let address = client.and_then(|index| address_of(nodes[index]));
                let scheme = forwarded_scheme(headers);
                (address.unwrap_or(peer), scheme.unwrap_or(of_connection))
            }
            (false, false) | (true, true) => (peer, of_connection),
        }
    }

    /// The place of the client among the nodes that proxies have listed, each behind the one before: the last one that is
    /// no trusted proxy itself. What is before it may be invented. `None` if a node on the way there is no address.
    fn client_among<'a>(
        &self,
        nodes: impl DoubleEndedIterator<Item = Option<&'a str>> + ExactSizeIterator,
    ) -> Option<usize> {
        let mut client = None;
        for (index, node) in nodes.enumerate().rev() {
            let address = node.and_then(address_of)?;
            client = Some(index);
            if !self.trust(address) {
                break;
            }
        }
        client
    }
}

/// One element of `Forwarded` (RFC 7239).
struct Hop {
    node: Option<String>,
    scheme: Option<ClientScheme>,
}

/// The elements of `Forwarded`; `None` if it is malformed.
fn forwarded_hops(headers: &HeaderMap) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        for element in split_unquoted(line.to_str().ok()?, ',') {
            let mut hop = Hop { node: None, scheme: None };
            for pair in split_unquoted(element, ';').into_iter().filter(|pair| !pair.is_empty()) {
                let (name, value) = pair.split_once('=')?;
                let value = value.trim().trim_matches('"');
                if name.trim().eq_ignore_ascii_case("for") {
                    hop.node = Some(value.to_owned());
                } else if name.trim().eq_ignore_ascii_case("proto") {
                    hop.scheme = Some(scheme_of(value)?);
                }
            }
            hops.push(hop);
        }
    }
    Some(hops)
}

/// The parts of a text between separators that are not within quotes.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let mut is_quoted = false;
    let parts = text.split(|c: char| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    });
    parts.map(str::trim).collect()
}

/// The items of a header that is a list, over all its lines.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Vec<&'a str>> {
    let lines = headers.get_all(name).into_iter().map(|line| line.to_str().ok());
    let lines = lines.collect::<Option<Vec<_>>>()?;
    Some(lines.into_iter().flat_map(|line| line.split(',')).map(str::trim).collect())
}

/// `X-Forwarded-Proto`, if it is there once and has one value.
fn forwarded_scheme(headers: &HeaderMap) -> Option<ClientScheme> {
    match listed(headers, &X_FORWARDED_PROTO)?[..] {
        [only] => scheme_of(only),
        _ => None,
    }
}

fn scheme_of(text: &str) -> Option<ClientScheme> {
    match text {
        text if text.eq_ignore_ascii_case("https") => Some(ClientScheme::Https),
        text if text.eq_ignore_ascii_case("http") => Some(ClientScheme::Http),
        _ => None,
    }
}

/// The address of a node: with or without a port, IPv6 with or without brackets.
fn address_of(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse().ok();
    let address = address.or_else(|| Some(node.parse::<std::net::SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// The client of a request with these headers that came from `peer`.
    fn client(peer: &str, headers: &[(&str, &str)]) -> (String, ClientScheme) {
        let proxies: TrustedProxies = "10.0.0.1, 10.1.0.0/16,fd00::/8,".parse().unwrap();
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        proxies.identify_client(&mut request, peer.parse().unwrap(), false);
        let extensions = request.extensions();
        let ClientAddress(address) = extensions.get().unwrap();
        (address.to_string(), *extensions.get().unwrap())
    }

    #[test]
    fn a_trusted_proxy_names_the_client_and_its_scheme() {
        use ClientScheme::{Http, Https};
        for (headers, address, scheme) in [
            (&[("x-forwarded-for", "203.0.113.7")][..], "203.0.113.7", Http),
            (
                &[("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https")],
                "203.0.113.7",
                Https,
            ),
            (&[("x-forwarded-for", "198.51.100.1, 203.0.113.7, 10.1.2.3")], "203.0.113.7", Http),
            (
                &[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.7")],
                "203.0.113.7",
                Http,
            ),
            (&[("x-forwarded-for", "203.0.113.7:4711")], "203.0.113.7", Http),
            (&[("x-forwarded-for", "::ffff:203.0.113.7")], "203.0.113.7", Http),
            (&[("x-forwarded-for", "10.1.0.9, 10.1.0.8")], "10.1.0.9", Http),
            (&[("x-forwarded-proto", "HTTPS")], PROXY, Https),
            (&[("forwarded", "for=203.0.113.7;proto=https")], "203.0.113.7", Https),
            (
                &[("forwarded", r#"for=192.0.2.1, For="[2001:db8::7]:4711";Proto=https;by=x"#)],
                "2001:db8::7",
                Https,
            ),
            (
                &[("forwarded", r#"for=203.0.113.7;host="a,b;c", for=10.1.0.8;proto=https"#)],
                "203.0.113.7",
                Http,
            ),
        ] {
            assert_eq!(client(PROXY, headers), (address.to_owned(), scheme), "{headers:?}");
        }
    }

    #[test]
    fn what_a_proxy_says_that_cannot_be_read_does_not_count() {
        for headers in [
            &[("x-forwarded-for", "unknown")][..],
            &[("x-forwarded-for", "203.0.113.7, _hidden")],
            &[("x-forwarded-for", "")],
            &[("x-forwarded-proto", "https, http")],
            &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")],
            &[("x-forwarded-proto", "wss")],
            &[("forwarded", "for=_hidden")],
            &[("forwarded", "203.0.113.7")],
            &[("forwarded", "for=203.0.113.7;proto=x")],
            &[("forwarded", "proto=https")],
            &[("forwarded", "for=203.0.113.7"), ("x-forwarded-for", "203.0.113.8")],
        ] {
            assert_eq!(
                client(PROXY, headers),
                (PROXY.to_owned(), ClientScheme::Http),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn what_anyone_else_says_does_not_count() {
        let headers = [("x-forwarded-for", "10.0.0.1"), ("x-forwarded-proto", "https")];
        assert_eq!(client("203.0.113.9", &headers), ("203.0.113.9".to_owned(), ClientScheme::Http));
    }

    #[test]
    fn proxies_are_addresses_or_networks() {
        for text in ["proxy", "10.0.0.1/33", "10.0.0.1 10.0.0.2", "10.0.0.1:80"] {
            assert!(text.parse::<TrustedProxies>().is_err(), "{text}");
        }
        assert!("".parse::<TrustedProxies>().unwrap().is_empty());
    }
}
