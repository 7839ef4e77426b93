//! Calls signed by the SDK's own signer, for services without an SDK here and for wrong signatures.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use spikeproof::lab::{Lab, Principal};

/// Who signs, and when.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) host: String,
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) at: SystemTime,
}

impl Signer {
    /// The operator, now.
    pub(crate) fn of(lab: &Lab) -> Self {
        let key = lab.key(Principal::Operator);
        Self {
            host: lab.endpoint().trim_start_matches("http://").to_owned(),
            id: key.id.clone(),
            secret: key.secret.text().to_owned(),
            at: SystemTime::now(),
        }
    }

    pub(crate) fn sign(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Request<Full<Bytes>> {
        let identity = Credentials::new(&self.id, &self.secret, None, None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(service)
            .time(self.at)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let url = format!("http://{}{path}", self.host);
        let body_bytes = SignableBody::Bytes(body.as_bytes());
        let signable =
            SignableRequest::new(method, &url, headers.iter().copied(), body_bytes).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}
