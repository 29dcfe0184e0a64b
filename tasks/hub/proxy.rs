//! Proxies, chosen by the address's scheme as curl and the hub's own programs choose them.
//!
//! ureq opens a tunnel (CONNECT) through any proxy, which most proxies allow for https only. Here
//! plain http is sent to the proxy itself, with the whole address in the request's first line (RFC
//! 9112, 3.2.2).

use std::io;

use base64::prelude::{BASE64_STANDARD, Engine};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, Either, NextTimeout, Transport,
};
use ureq::{Agent, Error, Proxy, ProxyProtocol};

/// The proxy of each scheme, if it has one.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
}

impl Proxies {
    /// Reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in lower or upper case.
    pub fn from_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| {
            let names = [name.to_owned(), name.to_uppercase()];
            let values = names.iter().filter_map(|name| variable(name));
            values
                .map(|value| value.trim().to_owned())
                .find(|value| !value.is_empty())
        };
        let except = variable("no_proxy").unwrap_or_default();
        let proxy = |name| {
            let address = variable(name).or_else(|| variable("all_proxy"));
            address.and_then(|address| proxy(&address, &except))
        };
        let (http, https) = (proxy("http_proxy"), proxy("https_proxy"));
        Self { http, https }
    }

    /// Agents for http and for https addresses; `config` makes their configuration with a proxy.
    pub(super) fn agents(&self, config: impl Fn(Option<Proxy>) -> Config) -> (Agent, Agent) {
        let http = match &self.http {
            Some(proxy) if proxy.protocol() == ProxyProtocol::Http => {
                let connector = DefaultConnector::default().chain(Forward(proxy.clone()));
                Agent::with_parts(config(None), connector, ProxyResolver(proxy.clone()))
            }
            other => config(other.clone()).new_agent(),
        };
        (http, config(self.https.clone()).new_agent())
    }
}

fn proxy(address: &str, except: &str) -> Option<Proxy> {
    let named = Proxy::new(address).ok()?;
    let mut proxy = Proxy::builder(named.protocol()).host(named.host()).port(named.port());
    if let Some(user) = named.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = named.password() {
        proxy = proxy.password(password);
    }
    for name in except.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        proxy = proxy.no_proxy(name);
        // a name stands for the names below it too
        if !name.starts_with(['*', '.']) {
            proxy = proxy.no_proxy(&format!(".{name}"));
        }
    }
    proxy.build().ok()
}

/// Finds the address of the proxy in place of the server's.
#[derive(Debug)]
struct ProxyResolver(Proxy);

impl Resolver for ProxyResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let uri = if self.0.is_no_proxy(uri) { uri } else { self.0.uri() };
        DefaultResolver::default().resolve(uri, config, timeout)
    }
}

/// Makes a connection one to the proxy, which is told where each request is to go.
#[derive(Debug)]
struct Forward(Proxy);

impl<In: Transport> Connector<In> for Forward {
    type Out = Either<In, Forwarded<In>>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let server = details.uri.authority().map_or("", |authority| authority.as_str());
        let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
        let password = self.0.username().map(|user| {
            let both = format!("{user}:{}", self.0.password().unwrap_or_default());
            format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(both))
        });
        Ok(chained.map(|transport| match self.0.is_no_proxy(details.uri) {
            true => Either::A(transport),
            false => Either::B(Forwarded {
                transport,
                server: format!("http://{server}"),
                header: password.unwrap_or_default(),
            }),
        }))
    }
}

/// A connection to the proxy, for one server.
#[derive(Debug)]
struct Forwarded<In> {
    transport: In,
    /// Scheme, host and port of the server.
    server: String,
    /// A header line for the proxy, or nothing.
    header: String,
}

impl<In: Transport> Transport for Forwarded<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = self.transport.buffers().output();
        let head = forwarded(&output[..amount], &self.server, &self.header);
        let room = output.get_mut(..head.len());
        room.ok_or_else(|| io::Error::other("the request is too long"))?
            .copy_from_slice(&head);
        self.transport.transmit_output(head.len(), timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.transport.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }
}

/// The head of a request with the whole address and the proxy's header; what is no such head stays.
fn forwarded(output: &[u8], server: &str, header: &str) -> Vec<u8> {
    const GET: &[u8] = b"GET ";
    let line = output.windows(2).position(|end| end == b"\r\n");
    match (output.strip_prefix(GET), line) {
        (Some(rest), Some(line)) if rest.starts_with(b"/") => {
            let (line, rest) = rest.split_at(line + 2 - GET.len());
            [GET, server.as_bytes(), line, header.as_bytes(), rest].concat()
        }
        _ => output.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_scheme_has_its_own_proxy_or_that_of_all() {
        let host = |proxy: &Option<Proxy>| proxy.as_ref().map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
        let hosts = |variables: &[(&str, &str)]| {
            let proxies = read(variables);
            (host(&proxies.http), host(&proxies.https))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(hosts(&[]), (None, None));
        assert_eq!(hosts(&[("http_proxy", "http://a:1")]), (some("a:1"), None));
        assert_eq!(hosts(&[("HTTPS_PROXY", "b:2")]), (None, some("b:2")));
        let both = [("ALL_PROXY", "c:3"), ("https_proxy", "http://b:2"), ("http_proxy", " ")];
        assert_eq!(hosts(&both), (some("c:3"), some("b:2")));
    }

    #[test]
    fn names_without_a_proxy_stand_for_those_below_them() {
        let proxies = read(&[("http_proxy", "a:1"), ("NO_PROXY", "hub.test, .in,127.0.0.1")]);
        let direct = |address: &str| {
            proxies
                .http
                .as_ref()
                .is_some_and(|p| p.is_no_proxy(&address.parse().unwrap()))
        };
        for address in [
            "http://hub.test/x",
            "http://cdn.hub.test",
            "http://a.in",
            "http://127.0.0.1:9",
        ] {
            assert!(direct(address), "{address}");
        }
        assert!(!direct("http://other.test") && !direct("http://nothub.test"));
    }

    #[test]
    fn only_the_head_of_a_request_is_changed() {
        let head = b"GET /a?b HTTP/1.1\r\nhost: hub\r\n\r\n";
        let sent = forwarded(head, "http://hub:8", "Proxy-Authorization: Basic eA==\r\n");
        let expected = "GET http://hub:8/a?b HTTP/1.1\r\nProxy-Authorization: Basic eA==\r\nhost: hub\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&sent), expected);
        assert_eq!(forwarded(b"GET /a", "http://hub", ""), b"GET /a");
    }
}
