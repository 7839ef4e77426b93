//! A proxy before the lab's AWS: it changes the answers of named actions.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hyper::{Request, Response};
use serde::Deserialize;

use super::http::{Server, Upstream};

/// `aws.json` of a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    rewrite: Vec<Rewrite>,
    #[serde(default)]
    failed: Option<Failed>,
}

/// A text of an action's answers, and the text in its place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rewrite {
    action: String,
    from: String,
    to: String,
}

/// Failed launches beside the newest launch by an alarm.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    count: usize,
    /// AWS's reason.
    message: String,
}

/// Starts the proxy of a case before the endpoint at `url`.
pub(crate) async fn start(settings: &Path, url: &str) -> Server {
    let text = std::fs::read_to_string(settings).unwrap();
    let settings: Arc<Settings> = Arc::new(serde_json::from_str(&text).unwrap());
    let upstream = Upstream::new(url);
    Server::start(move |request| {
        let (settings, upstream) = (Arc::clone(&settings), upstream.clone());
        async move { answer(&settings, &upstream, request).await }
    })
    .await
}

async fn answer(
    settings: &Settings,
    upstream: &Upstream,
    request: Request<Bytes>,
) -> Response<Bytes> {
    let action = action(&request);
    let answer = upstream.forward(request).await;
    let changes: Vec<&Rewrite> = settings
        .rewrite
        .iter()
        .filter(|change| change.action == action)
        .collect();
    let failed = settings
        .failed
        .as_ref()
        .filter(|_| action == "DescribeScalingActivities");
    if changes.is_empty() && failed.is_none() {
        return answer;
    }
    answer.map(|body| {
        let mut text = String::from_utf8(body.to_vec()).unwrap();
        for change in changes {
            text = text.replace(&change.from, &change.to);
        }
        if let Some(failed) = failed {
            text = with_failed(&text, failed);
        }
        text.into()
    })
}

/// Returns the action of a call in AWS's query protocol; empty for others.
fn action(request: &Request<Bytes>) -> String {
    let body = String::from_utf8_lossy(request.body());
    let mut fields = body.split('&');
    let action = fields.find_map(|field| field.strip_prefix("Action="));
    action.unwrap_or_default().to_owned()
}

/// Puts failed launches before the newest launch that an alarm asked for.
fn with_failed(text: &str, failed: &Failed) -> String {
    let members = text.match_indices("<member>").filter_map(|(from, _)| {
        let (member, _) = text[from..].split_once("</member>")?;
        Some((from, format!("{member}</member>")))
    });
    let by_alarm = |member: &str| {
        member.contains("Launching a new EC2 instance: i-") && member.contains("monitor alarm")
    };
    let Some((at, member)) = members.into_iter().find(|(_, member)| by_alarm(member)) else {
        return text.to_owned();
    };
    let message = &failed.message;
    let description = format!("Launching a new EC2 instance.  Status Reason: {message}");
    let all: String = (0..failed.count)
        .map(|index| {
            let id = format!("f{index}{}", &content(&member, "ActivityId")[2..]);
            let mut one = with(&member, "ActivityId", &id);
            one = with(&one, "Description", &description);
            one = with(&one, "StatusCode", "Failed");
            one = with(&one, "Progress", "100");
            let status = format!("<StatusMessage>{message}</StatusMessage><StatusCode>");
            one.replacen("<StatusCode>", &status, 1)
        })
        .collect();
    format!("{}{all}{}", &text[..at], &text[at..])
}

/// Returns the text of the first element with this name.
fn content<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split('<').next().unwrap()
}

/// Returns the text with other content in the first element with this name.
fn with(xml: &str, name: &str, text: &str) -> String {
    let open = format!("<{name}>");
    xml.replacen(
        &format!("{open}{}", content(xml, name)),
        &format!("{open}{text}"),
        1,
    )
}
