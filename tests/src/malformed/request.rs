//! A request in its parts, each of which can be bent before it is signed and put together.

use xtask::client::now_ms;
use xtask::signing::KeyPair;

/// Names and JSON tokens, as written.
pub type Members = Vec<(String, String)>;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub instruction: &'static str,
    /// What is signed: the body's members, or the query's pairs.
    pub members: Members,
    /// Sent instead of the members.
    pub body: Option<Vec<u8>>,
    pub chunked: bool,
    pub signing: Signing,
    /// Lines added to the head as they are.
    pub headers: Vec<Vec<u8>>,
}

/// What of the signing headers is bent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signing {
    Right,
    None,
    /// This header is left out.
    Without(&'static str),
    /// This header says something else than what was signed.
    Saying(&'static str, Vec<u8>),
    /// Signed rightly, but with this time and window.
    At {
        timestamp: String,
        window: String,
    },
    /// Signed for something else.
    For(&'static str),
    /// Signed with a key nobody registered, under its own or under the known name.
    Stranger {
        under_own_name: bool,
    },
}

impl Request {
    /// A good order.
    pub fn order() -> Request {
        let members = [
            ("symbol", "\"SOL_USDC\""),
            ("side", "\"Bid\""),
            ("orderType", "\"Limit\""),
            ("price", "\"20.01\""),
            ("quantity", "\"0.10\""),
        ];
        Request::new("POST", "/api/v1/order", "orderExecute", &members)
    }

    pub fn new(
        method: &'static str,
        path: &str,
        instruction: &'static str,
        members: &[(&str, &str)],
    ) -> Request {
        let owned = |(name, token): &(&str, &str)| ((*name).to_owned(), (*token).to_owned());
        Request {
            method,
            path: path.to_owned(),
            instruction,
            members: members.iter().map(owned).collect(),
            body: None,
            chunked: false,
            signing: Signing::Right,
            headers: Vec::new(),
        }
    }

    /// An unsigned GET.
    pub fn public(path: &str) -> Request {
        Request { signing: Signing::None, ..Request::new("GET", path, "", &[]) }
    }

    /// The token of a member, replaced or added.
    pub fn saying(mut self, name: &str, token: &str) -> Request {
        match self.members.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = token.to_owned(),
            None => self.members.push((name.to_owned(), token.to_owned())),
        }
        self
    }

    pub fn without(mut self, name: &str) -> Request {
        self.members.retain(|(other, _)| other != name);
        self
    }

    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Request {
        Request { body: Some(body.into()), ..self }
    }

    pub fn signed(self, signing: Signing) -> Request {
        Request { signing, ..self }
    }

    pub fn json(&self) -> Vec<u8> {
        let member = |(name, token): &(String, String)| format!("\"{name}\":{token}");
        let members: Vec<String> = self.members.iter().map(member).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    }

    /// Signed, put together, ready to be sent.
    pub fn bytes(&self, keys: &KeyPair, host: &str) -> Vec<u8> {
        let is_get = self.method == "GET";
        let mut target = self.path.clone();
        if is_get && !self.members.is_empty() {
            let pair = |(name, token): &(String, String)| format!("{name}={}", said(token));
            let pairs: Vec<String> = self.members.iter().map(pair).collect();
            target = format!("{target}?{}", pairs.join("&"));
        }
        let body = match &self.body {
            Some(body) => body.clone(),
            None if is_get => Vec::new(),
            None => self.json(),
        };
        let mut head =
            format!("{} {target} HTTP/1.1\r\nHost: {host}\r\n", self.method).into_bytes();
        for (name, value) in self.signing_headers(keys) {
            head.extend_from_slice(format!("{name}: ").as_bytes());
            head.extend_from_slice(&value);
            head.extend_from_slice(b"\r\n");
        }
        for line in &self.headers {
            head.extend_from_slice(line);
            head.extend_from_slice(b"\r\n");
        }
        if self.chunked {
            head.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            // Few bytes each, but never so many chunks that reading them alone takes long.
            for chunk in body.chunks(7 + body.len() / 100) {
                head.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                head.extend_from_slice(chunk);
                head.extend_from_slice(b"\r\n");
            }
            head.extend_from_slice(b"0\r\n\r\n");
            return head;
        }
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        head.extend_from_slice(length.as_bytes());
        head.extend_from_slice(&body);
        head
    }

    fn signing_headers(&self, keys: &KeyPair) -> Vec<(&'static str, Vec<u8>)> {
        if self.signing == Signing::None {
            return Vec::new();
        }
        let stranger = KeyPair::from_seed([7; 32]);
        let (mut timestamp, mut window) = (now_ms().to_string(), "5000".to_owned());
        let (mut signer, mut name, mut instruction) = (keys, &keys.api_key, self.instruction);
        match &self.signing {
            Signing::At { timestamp: at, window: within } => {
                (timestamp, window) = (at.clone(), within.clone());
            }
            Signing::For(other) => instruction = other,
            Signing::Stranger { under_own_name } => {
                signer = &stranger;
                name = if *under_own_name { &stranger.api_key } else { &keys.api_key };
            }
            _ => (),
        }
        let text = self.signed_text(instruction, &timestamp, &window);
        let signature = signer.sign(&text).unwrap();
        let mut headers = vec![
            ("X-API-Key", name.clone().into_bytes()),
            ("X-Signature", signature.into_bytes()),
            ("X-Timestamp", timestamp.into_bytes()),
            ("X-Window", window.into_bytes()),
        ];
        match &self.signing {
            Signing::Without(left_out) => headers.retain(|(name, _)| name != left_out),
            Signing::Saying(bent, value) => {
                for (_, old) in headers.iter_mut().filter(|(name, _)| name == bent) {
                    *old = value.clone();
                }
            }
            _ => (),
        }
        headers
    }

    fn signed_text(&self, instruction: &str, timestamp: &str, window: &str) -> String {
        let mut members: Vec<&(String, String)> =
            self.members.iter().filter(|(_, token)| token != "null").collect();
        members.sort_by_key(|(name, _)| name);
        let mut text = format!("instruction={instruction}");
        for (name, token) in members {
            text.push_str(&format!("&{name}={}", said(token)));
        }
        format!("{text}&timestamp={timestamp}&window={window}")
    }
}

/// A string's content, everything else as written.
fn said(token: &str) -> &str {
    token.strip_prefix('"').and_then(|token| token.strip_suffix('"')).unwrap_or(token)
}
