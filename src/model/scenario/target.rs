//! The system under test.

use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::data::choice;
use super::fields::{CONNECTION, TARGET, TLS};
use super::files::FileUse;
use super::names::{Names, Tables};
use super::node::{Entry, Node, NodeValue};
use super::reader::{Members, Reader};
use super::template::TemplateScope;
use super::{
    ConnectionPolicy, DataFile, Http, Identity, Pool, Problem, Reuse, Subject, Target, Tls, Url,
    flows,
};

const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// As browsers and curl's users have it: enough for any honest chain.
const REDIRECTS: u32 = 10;

/// Reads `target`; `replacement` (`--url`) stands in for `target.url`, which is then not looked at.
pub(super) fn read(
    reader: &mut Reader<'_>,
    entry: Option<&Entry>,
    connection: Option<&Entry>,
    replacement: Option<&str>,
    data: &[DataFile],
) -> Option<Target> {
    let members = entry
        .map(|entry| reader.members(&entry.node, &TARGET))
        .unwrap_or_default();
    let url = target_url(reader, entry, &members, replacement);
    let (subject, like) = subjects(reader, &members);
    let timeout = members
        .get("timeout")
        .and_then(|node| reader.positive_duration(node))
        .unwrap_or(TIMEOUT);
    let connect = members
        .get("connect_timeout")
        .and_then(|node| reader.positive_duration(node));
    // Nothing has been captured yet when the target is read: only data may be named.
    let headers = flows::headers(
        reader,
        &members,
        &TemplateScope {
            variables: &Names::default(),
            data: &Tables::of(data),
        },
    );
    let words = [("auto", Http::Auto), ("1.1", Http::One), ("2", Http::Two)];
    let http = members
        .get("http")
        .and_then(|node| choice(reader, node, "a version of HTTP", &words));
    let tls = members
        .get("tls")
        .map(|node| tls(reader, node))
        .unwrap_or_default();
    // With `--url` a file for https may be tried over plain http.
    if let (Some(entry), Some(Url { https: false, .. }), None) =
        (members.entry("tls"), &url, replacement)
    {
        let problem = Problem::new(entry.key_span.clone(), "this target is not asked for TLS");
        reader.report(problem.help("write its URL with `https://`, or leave `tls` out"));
    }
    Some(Target {
        url: url?,
        subject,
        like,
        timeout,
        connect_timeout: connect.unwrap_or(CONNECT_TIMEOUT).min(timeout),
        private: members
            .get("private")
            .and_then(|node| reader.boolean(node))
            .unwrap_or(false),
        headers,
        http: http.unwrap_or_default(),
        tls,
        redirects: members
            .get("redirects")
            .and_then(|node| reader.redirects(node))
            .unwrap_or(REDIRECTS),
        cookies: boolean(reader, &members, "cookies"),
        compression: boolean(reader, &members, "compression"),
        connection: connection
            .map(|entry| self::connection(reader, &entry.node))
            .unwrap_or_default(),
    })
}

fn target_url(
    reader: &mut Reader<'_>,
    entry: Option<&Entry>,
    members: &Members<'_>,
    replacement: Option<&str>,
) -> Option<Url> {
    match (replacement, members.get("url")) {
        (Some(replacement), _) => replaced(reader, replacement),
        (None, Some(node)) => url(reader, node),
        (None, None) if members.entry("url").is_none() && entry.is_none_or(has_no_url) => {
            let place = entry.map_or(0..0, |entry| entry.key_span.clone());
            let problem = Problem::new(place, "there is no URL to send load to");
            reader.report(
                problem.help("write `target: { url: https://shop.example.com }`, or give `--url`"),
            );
            None
        }
        (None, None) => None,
    }
}

/// Returns the group or service that is tested, and the one that it is compared with.
fn subjects(reader: &mut Reader<'_>, members: &Members<'_>) -> (Option<Subject>, Option<Subject>) {
    let group = members
        .get("group")
        .and_then(|node| group(reader, node))
        .map(Subject::Group);
    let service = members
        .get("service")
        .and_then(|node| service(reader, node));
    if let (Some(entry), Some(_), Some(_)) = (members.entry("service"), &group, &service) {
        let problem = Problem::new(
            entry.key_span.clone(),
            "a target is a `group` or a `service`, not both",
        );
        reader.report(problem.help("keep the one that scales what answers the URL"));
    }
    let is_service = service.is_some();
    let subject = group.or(service);
    let like = members.get("like").and_then(|node| match is_service {
        true => self::service(reader, node),
        false => self::group(reader, node).map(Subject::Group),
    });
    if let (Some(entry), None) = (members.entry("like"), &subject) {
        let problem = Problem::new(
            entry.key_span.clone(),
            "there is nothing to compare with what this names",
        );
        reader.report(problem.help("name what is tested as `target.group` or `target.service`"));
    }
    (subject, like)
}

/// Reads a switch that is on unless the file says otherwise.
fn boolean(reader: &mut Reader<'_>, members: &Members<'_>, name: &str) -> bool {
    members
        .get(name)
        .and_then(|node| reader.boolean(node))
        .unwrap_or(true)
}

fn connection(reader: &mut Reader<'_>, node: &Node) -> ConnectionPolicy {
    let usual = ConnectionPolicy::default();
    let members = reader.members(node, &CONNECTION);
    let reuse = [("session", Reuse::Session), ("request", Reuse::Request)];
    let pool = [("session", Pool::Session), ("shared", Pool::Shared)];
    let max_requests = members.get("max_requests").and_then(|node| {
        let most: u64 = reader.number(node, "a number of requests", "max_requests: 1000")?;
        if most == 0 {
            reader.report(
                Problem::new(
                    node.span.clone(),
                    "a connection carries at least one request",
                )
                .help("like `1000`"),
            );
        }
        Some(most.max(1))
    });
    ConnectionPolicy {
        reuse: members
            .get("reuse")
            .and_then(|node| choice(reader, node, "a reuse", &reuse))
            .unwrap_or(usual.reuse),
        pool: members
            .get("pool")
            .and_then(|node| choice(reader, node, "a pool", &pool))
            .unwrap_or(usual.pool),
        max_age: members
            .get("max_age")
            .and_then(|node| reader.positive_duration(node))
            .unwrap_or(usual.max_age),
        max_requests,
    }
}

fn tls(reader: &mut Reader<'_>, node: &Node) -> Tls {
    let members = reader.members(node, &TLS);
    let ca = members.get("ca").and_then(|node| {
        let (name, bytes) = reader.file(node, FileUse::Certificate)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .filter_map(Result::ok)
            .collect();
        if certificates.is_empty() {
            not_pem(reader, node, &name.value, "certificate");
        }
        Some(bytes)
    });
    let certificate = members.get("certificate").and_then(|node| {
        let (name, bytes) = reader.file(node, FileUse::Certificate)?;
        if CertificateDer::from_pem_slice(&bytes).is_err() {
            not_pem(reader, node, &name.value, "certificate");
        }
        Some(bytes)
    });
    let key = members.get("key").and_then(|node| {
        let (name, bytes) = reader.file(node, FileUse::Certificate)?;
        if PrivateKeyDer::from_pem_slice(&bytes).is_err() {
            not_pem(reader, node, &name.value, "private key");
        }
        Some(bytes)
    });
    for (given, other, missing) in [
        ("certificate", "key", &key),
        ("key", "certificate", &certificate),
    ] {
        if let (Some(entry), None, None) = (members.entry(given), missing, members.entry(other)) {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("a client's `{given}` needs its `{other}`"),
            );
            reader.report(problem.help("like `tls: { certificate: client.pem, key: client.key }`"));
        }
    }
    let versions = [("1.2", false), ("1.3", true)];
    let insecure = members
        .get("insecure")
        .and_then(|node| reader.boolean(node))
        .unwrap_or(false);
    if let (true, Some(entry), Some(_)) = (insecure, members.entry("ca"), &ca) {
        let problem = Problem::new(
            entry.key_span.clone(),
            "`insecure` takes any certificate: `ca` would not be looked at",
        );
        reader.report(problem.help("keep one of the two"));
    }
    Tls {
        only_13: members
            .get("min")
            .and_then(|node| choice(reader, node, "a version of TLS", &versions))
            .unwrap_or(false),
        ca,
        identity: certificate
            .zip(key)
            .map(|(chain, key)| Identity { chain, key }),
        insecure,
    }
}

fn not_pem(reader: &mut Reader<'_>, node: &Node, name: &str, what: &str) {
    let problem = Problem::new(node.span.clone(), format!("`{name}` holds no {what}"));
    reader.report(problem.help(format!(
        "it must be PEM, with a `-----BEGIN ... {}-----`",
        what.to_uppercase()
    )));
}

/// True if the URL is missing; a `url` without a value has been reported already.
fn has_no_url(entry: &Entry) -> bool {
    match &entry.node.value {
        NodeValue::Map(entries) => !entries.iter().any(|entry| entry.key == "url"),
        _ => false,
    }
}

fn replaced(reader: &mut Reader<'_>, replacement: &str) -> Option<Url> {
    match parse_url(replacement) {
        Ok(url) => Some(url),
        Err(InvalidUrl { reason, help }) => {
            reader.report(Problem::new(0..0, format!("--url {replacement}: {reason}")).help(help));
            None
        }
    }
}

fn url(reader: &mut Reader<'_>, node: &Node) -> Option<Url> {
    let text = reader.text(node)?;
    match parse_url(&text.value) {
        Ok(url) => Some(url),
        Err(InvalidUrl { reason, help }) => {
            let message = text.said(format!("this is not a target: {reason}"), "a target's URL");
            reader.report(Problem::new(text.span.clone(), message).help(help));
            None
        }
    }
}

fn service(reader: &mut Reader<'_>, node: &Node) -> Option<Subject> {
    let text = reader.text(node)?;
    let found = Subject::service(&text.value);
    if found.is_none() {
        let message = text.said(
            format!("`{}` is not a cluster and a service", text.value),
            "a cluster and a service",
        );
        let problem = Problem::new(text.span.clone(), message);
        reader.report(problem.help("write their names as `cluster/service`, not the ARN"));
    }
    found
}

fn group(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    if text.value.starts_with("arn:") {
        let problem = Problem::new(
            text.span.clone(),
            "`group` is the name of an Auto Scaling group, not its ARN",
        );
        reader.report(problem.help("the name follows `autoScalingGroupName/` in the ARN"));
        return None;
    }
    if !(1..=255).contains(&text.value.len()) || text.value.chars().any(char::is_control) {
        let problem = Problem::new(
            text.span.clone(),
            text.said("this is not a group's name", "a group's name"),
        );
        reader.report(problem.help("a name has 1 to 255 characters"));
        return None;
    }
    Some(text.value)
}

#[derive(Debug, PartialEq)]
struct InvalidUrl {
    reason: &'static str,
    help: &'static str,
}

/// Why a text is no target's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}: {reason}; {help}")]
pub struct TargetUrlError {
    text: String,
    reason: &'static str,
    help: &'static str,
}

pub(super) fn parse_alone(text: &str) -> Result<Url, TargetUrlError> {
    parse_url(text).map_err(|InvalidUrl { reason, help }| TargetUrlError {
        text: text.to_owned(),
        reason,
        help,
    })
}

fn parse_url(text: &str) -> Result<Url, InvalidUrl> {
    const FORM: &str = "write it like `https://shop.example.com` or `http://10.0.0.5:8080/api`";
    let refuse = |reason, help| Err(InvalidUrl { reason, help });
    let Some((scheme, rest)) = text.split_once("://") else {
        return refuse("it has no scheme", FORM);
    };
    let https = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return refuse("only http and https are spoken", FORM),
    };
    if rest.contains(['?', '#']) {
        return refuse(
            "it has a query or a fragment",
            "put the query into the step's path, like `get: /search?q=shoes`",
        );
    }
    let (authority, path) = rest
        .find('/')
        .map_or((rest, ""), |slash| rest.split_at(slash));
    if authority.contains('@') {
        return refuse(
            "it holds a user name",
            "send credentials as a header: `auth: { bearer: \"${secret:TOKEN}\" }`",
        );
    }
    let Some((host, port)) = host_and_port(authority, https) else {
        return refuse("its host or port cannot be right", FORM);
    };
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(
            "its path holds a character that no URL may",
            "percent-encode it, like `%20` for a space",
        );
    }
    Ok(Url {
        https,
        host,
        port,
        path: path.trim_end_matches('/').to_owned(),
    })
}

fn host_and_port(authority: &str, https: bool) -> Option<(String, u16)> {
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[after_host..].find(':') {
        Some(colon) => (
            &authority[..after_host + colon],
            authority[after_host + colon + 1..].parse().ok()?,
        ),
        None => (authority, if https { 443 } else { 80 }),
    };
    let named = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let address = address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    (!host.is_empty() && port > 0 && (named || address)).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_into_their_parts() {
        for (text, shown, port, path) in [
            (
                "https://shop.example.com",
                "https://shop.example.com",
                443,
                "",
            ),
            (
                "HTTP://Shop.example.com:8080/api/",
                "http://shop.example.com:8080/api",
                8080,
                "/api",
            ),
            ("http://127.0.0.1:80/", "http://127.0.0.1", 80, ""),
            ("http://[::1]:9000/a", "http://[::1]:9000/a", 9000, "/a"),
        ] {
            let url = parse_url(text).unwrap();
            assert_eq!(
                (url.to_string().as_str(), url.port, url.path.as_str()),
                (shown, port, path)
            );
        }
    }

    #[test]
    fn what_is_not_a_plain_target_is_refused_with_the_reason() {
        for (text, reason) in [
            ("shop.example.com", "it has no scheme"),
            ("ftp://shop", "only http and https are spoken"),
            ("http://shop/?q=1", "it has a query or a fragment"),
            ("http://me:secret@shop/", "it holds a user name"),
            ("http://", "its host or port cannot be right"),
            ("http://:80", "its host or port cannot be right"),
            ("http://shop:0", "its host or port cannot be right"),
            ("http://shop:99999", "its host or port cannot be right"),
            ("http://sh op", "its host or port cannot be right"),
            ("http://[::zz]", "its host or port cannot be right"),
            (
                "http://shop/ä",
                "its path holds a character that no URL may",
            ),
        ] {
            assert_eq!(parse_url(text).unwrap_err().reason, reason, "{text}");
        }
    }
}
