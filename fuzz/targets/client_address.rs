//! `Forwarded` and `X-Forwarded-For`. Whatever a client invents, it has the address that the trusted proxy saw, or, if
//! that cannot be read, the proxy's: never that of another client.
#![no_main]

use std::net::IpAddr;

use axum::http::{HeaderName, HeaderValue, Request, header};
use client_address::{ClientAddress, TrustedProxies};
use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../server/src/http/client_address.rs"]
mod client_address;

const PROXY: &str = "10.0.0.1";
const CLIENT: &str = "203.0.113.7";

/// Which header the proxy adds, and then the lines of both headers.
fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let of_proxies = HeaderName::from_static("x-forwarded-for");
    let mut request = Request::new(());
    let headers = request.headers_mut();
    for line in rest.split(|byte| *byte == b'\n') {
        let Some((kind, line)) = line.split_first() else { continue };
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        let name = if *kind == b'f' { header::FORWARDED } else { of_proxies.clone() };
        headers.append(name, value);
    }
    if *first == b'f' {
        headers.append(header::FORWARDED, HeaderValue::from_static("for=203.0.113.7"));
    } else {
        headers.append(of_proxies, HeaderValue::from_static(CLIENT));
    }
    let proxies: TrustedProxies = "10.0.0.0/8".parse().unwrap();
    let addresses: [IpAddr; 2] = [PROXY.parse().unwrap(), CLIENT.parse().unwrap()];
    for peer in addresses {
        proxies.identify_client(&mut request, peer, false);
        let ClientAddress(address) = *request.extensions().get().unwrap();
        assert!(address == peer || address == addresses[1], "{address}");
    }
    let _ = str::from_utf8(bytes).map(str::parse::<TrustedProxies>);
});
