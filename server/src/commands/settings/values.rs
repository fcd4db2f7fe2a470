//! Reading the values of settings.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

/// Where to listen: an IP address and a port, or a name such as `localhost` that stands only for loopback addresses.
pub fn listen_addr(text: &str) -> Result<SocketAddr, String> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let expected = "must be an address and a port, such as 127.0.0.1:3000";
    let addrs = text.to_socket_addrs().map_err(|error| format!("{expected}: {error}"))?;
    only_loopback(addrs.collect())?.ok_or_else(|| expected.to_owned())
}

/// The address to listen on, of those that a name stands for. Every client tries the IPv4 address of a name.
fn only_loopback(addrs: Vec<SocketAddr>) -> Result<Option<SocketAddr>, String> {
    if let Some(beyond) = addrs.iter().find(|addr| !addr.ip().is_loopback()) {
        return Err(format!("stands for {}, which is not a loopback address", beyond.ip()));
    }
    Ok(addrs.iter().find(|addr| addr.is_ipv4()).or(addrs.first()).copied())
}

/// An http or https URL, without a slash at its end. Paths are appended to it.
pub fn http_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("must be an http or https URL".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have neither a query nor a fragment: paths are appended to it".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A number greater than zero.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("must be a number greater than zero".to_owned()),
    }
}

/// A number with a unit, such as `30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale_ms = match unit {
        "ms" => 1.0,
        "s" | "" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return Err("must be a number followed by ms, s, m or h, such as 30s".to_owned()),
    };
    let number = positive(number)?;
    Duration::try_from_secs_f64(number * scale_ms / 1_000.0).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_paths_cannot_be_appended_to_is_refused() {
        assert_eq!(http_url("https://u:p@x:8443/bank/"), Ok("https://u:p@x:8443/bank".to_owned()));
        for url in ["http://x/?a=b", "http://x/#", "http://x?", "ftp://x", "x", "http://"] {
            assert!(http_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_name_to_listen_on_stands_only_for_loopback_addresses() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (four, six, beyond) = (addr("127.0.0.1:1"), addr("[::1]:1"), addr("10.0.0.1:1"));
        assert_eq!(only_loopback(vec![six, four]), Ok(Some(four)));
        assert_eq!(only_loopback(vec![six]), Ok(Some(six)));
        assert!(only_loopback(vec![four, beyond]).is_err());
        assert_eq!(listen_addr("localhost:3000").unwrap().port(), 3000);
        for text in ["localhost", "3000", "localhost:http", "localhost:99999", ""] {
            assert!(listen_addr(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "s", "-1s", "0s", "1x"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
