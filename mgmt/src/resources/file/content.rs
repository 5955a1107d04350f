//! `Content`: the content of a file, known as a whole or only by its digest, and whether it is secret.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroize;

use crate::resource::{Accepts, Digest, SECRET_PLACEHOLDER, Salted, Secret, is_in_clear};

/// The content that a file must have: text or any bytes. It is never copied, only shared.
///
/// Made from a string, from bytes, or from a [`Secret`] of either. A content made from a secret is never shown in logs,
/// plans or data, and is wiped from memory in the end. In data it is a string, or `{"base64": "…"}` where it is not
/// UTF-8; `{"secret": …}` around either makes it a secret.
#[derive(Clone)]
pub struct Content(Form);

#[derive(Clone)]
enum Form {
    Whole(Arc<Whole>),
    /// Received in an earlier run; the value itself was not kept.
    Known {
        digest: Salted,
        secret: bool,
    },
}

struct Whole {
    bytes: Vec<u8>,
    secret: bool,
    digest: OnceLock<Digest>,
}

impl Whole {
    /// Computed once.
    fn sha256(&self) -> Digest {
        *self.digest.get_or_init(|| <sha2::Sha256 as sha2::Digest>::digest(&self.bytes).into())
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if self.secret {
            self.bytes.zeroize();
        }
    }
}

impl Content {
    fn new(bytes: Vec<u8>, secret: bool) -> Content {
        Content(Form::Whole(Arc::new(Whole { bytes, secret, digest: OnceLock::new() })))
    }

    /// The same as a secret.
    fn kept_secret(self) -> Content {
        let bytes = match self.0 {
            Form::Whole(whole) => match Arc::try_unwrap(whole) {
                Ok(mut whole) => std::mem::take(&mut whole.bytes),
                Err(shared) => shared.bytes.clone(),
            },
            Form::Known { digest, .. } => return Content(Form::Known { digest, secret: true }),
        };
        Content::new(bytes, true)
    }

    /// Whether the content came from a [`Secret`].
    pub fn is_secret(&self) -> bool {
        match &self.0 {
            Form::Whole(whole) => whole.secret,
            Form::Known { secret, .. } => *secret,
        }
    }

    /// The bytes, unless only their digest is known.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Whole(whole) => Some(&whole.bytes),
            Form::Known { .. } => None,
        }
    }

    /// Whether the content has this SHA-256.
    pub(super) fn has_sha256(&self, there: &Digest) -> bool {
        match &self.0 {
            Form::Whole(whole) => whole.sha256() == *there,
            Form::Known { digest, .. } => digest.is_of(there),
        }
    }
}

impl Default for Content {
    /// The empty content.
    fn default() -> Content {
        Content::new(Vec::new(), false)
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Content) -> bool {
        let same = match (&self.0, &other.0) {
            (Form::Whole(a), Form::Whole(b)) => Arc::ptr_eq(a, b) || a.bytes == b.bytes,
            (Form::Known { digest: a, .. }, Form::Known { digest: b, .. }) => a == b,
            (Form::Known { digest, .. }, Form::Whole(whole)) | (Form::Whole(whole), Form::Known { digest, .. }) => {
                digest.is_of(&whole.sha256())
            }
        };
        same && self.is_secret() == other.is_secret()
    }
}

macro_rules! accepts {
    ($($from:ty, $secret:literal, $value:ident => $bytes:expr;)+) => {$(
        impl Accepts<$from> for Content {
            fn accept($value: $from) -> Content {
                Content::new($bytes, $secret)
            }

            fn digest(&self) -> Option<Digest> {
                match &self.0 {
                    Form::Whole(whole) => Some(whole.sha256()),
                    Form::Known { .. } => None,
                }
            }

            fn from_digest(digest: Salted) -> Option<Content> {
                Some(Content(Form::Known { digest, secret: $secret }))
            }
        }
    )+};
}

accepts! {
    &str, false, value => value.as_bytes().to_vec();
    String, false, value => value.into_bytes();
    &String, false, value => value.as_bytes().to_vec();
    &[u8], false, value => value.to_vec();
    Vec<u8>, false, value => value;
    &Vec<u8>, false, value => value.clone();
    Secret<String>, true, value => value.declassify().as_bytes().to_vec();
    Secret<Vec<u8>>, true, value => value.declassify().clone();
}

impl<const N: usize> Accepts<&[u8; N]> for Content {
    fn accept(value: &[u8; N]) -> Content {
        Content::new(value.to_vec(), false)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BYTES_MAX: usize = 60;
        match &self.0 {
            _ if self.is_secret() => f.write_str(SECRET_PLACEHOLDER),
            Form::Known { .. } => f.write_str("(as received before)"),
            Form::Whole(whole) => match std::str::from_utf8(&whole.bytes) {
                Ok(text) if text.len() <= BYTES_MAX => write!(f, "{text:?}"),
                _ => write!(f, "({} bytes)", whole.bytes.len()),
            },
        }
    }
}

#[derive(Serialize)]
struct Encoded<'a> {
    base64: Cow<'a, str>,
}

/// A content that is secret, and is written as it is.
#[derive(Serialize)]
struct Marked {
    secret: Content,
}

/// The forms of a content that is no text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[serde(borrow, default)]
    base64: Option<Cow<'a, str>>,
    #[serde(default)]
    secret: Option<Box<Content>>,
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = match &self.0 {
            Form::Whole(whole) if whole.secret && is_in_clear() => {
                return Marked { secret: Content::new(whole.bytes.clone(), false) }.serialize(serializer);
            }
            _ if self.is_secret() => return serializer.serialize_str(SECRET_PLACEHOLDER),
            Form::Known { .. } => return serializer.serialize_str("(as received before)"),
            Form::Whole(whole) => &whole.bytes,
        };
        match std::str::from_utf8(bytes) {
            // A text equal to the placeholder of secrets must not be taken for it.
            Ok(text) if text != SECRET_PLACEHOLDER => serializer.serialize_str(text),
            _ => Encoded { base64: BASE64_STANDARD.encode(bytes).into() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the content as a string, {\"base64\": \"…\"} or {\"secret\": \"…\"}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                self.visit_string(text.to_owned())
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
                if text == SECRET_PLACEHOLDER {
                    return Err(E::custom(format!(
                        "`{SECRET_PLACEHOLDER}` stands where a secret was left out, it is not the content itself: wire it, or write it as base64"
                    )));
                }
                Ok(Content::accept(text))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                let read =
                    Read::deserialize(de::value::MapAccessDeserializer::new(map)).map_err(|error: A::Error| {
                        de::Error::custom(format!(
                            "{error}: a map is not a text; if the text itself is meant (JSON, say), put it in quotes"
                        ))
                    })?;
                match read {
                    Read { base64: Some(base64), secret: None } => {
                        let bytes = BASE64_STANDARD
                            .decode(&*base64)
                            .map_err(|_| de::Error::custom("what follows `base64` is not base64 with padding"))?;
                        Ok(Content::accept(bytes))
                    }
                    Read { base64: None, secret: Some(content) } => Ok(content.kept_secret()),
                    _ => Err(de::Error::custom("a content that is a map has one key: `base64` or `secret`")),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Content {
    fn schema_name() -> Cow<'static, str> {
        "Content".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let encoded = serde_json::json!({
            "type": "object",
            "properties": { "base64": {
                "type": "string",
                "contentEncoding": "base64",
                "description": "The bytes of the file in base64, with padding.",
            } },
            "required": ["base64"],
            "additionalProperties": false,
        });
        schemars::json_schema!({
            "description": "what a file holds: text, or any bytes as base64",
            "oneOf": [
                { "type": "string" },
                encoded,
                {
                    "type": "object",
                    "properties": { "secret": {
                        "description": "The same content, which is never shown.",
                        "oneOf": [{ "type": "string" }, encoded],
                    } },
                    "required": ["secret"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::{Salt, in_clear};

    const CANARY: &str = "canary-3f9a";

    /// What is known of a content after a restart.
    fn recall<V>(content: &Content) -> Content
    where
        Content: Accepts<V>,
    {
        let digest = <Content as Accepts<V>>::digest(content).unwrap();
        <Content as Accepts<V>>::from_digest(Salted::new(Salt([7; 32]), digest)).unwrap()
    }

    fn round(content: &Content) -> Content {
        serde_json::from_value(serde_json::to_value(content).unwrap()).unwrap()
    }

    #[test]
    fn text_is_a_string_in_data_and_anything_else_is_base64() {
        for (content, data) in [
            (Content::accept("hi\n"), json!("hi\n")),
            (Content::default(), json!("")),
            (Content::accept(vec![0xff, 0x00]), json!({"base64": "/wA="})),
            (Content::accept(SECRET_PLACEHOLDER), json!({"base64": "KHNlY3JldCk="})),
        ] {
            assert_eq!(serde_json::to_value(&content).unwrap(), data);
            assert_eq!(round(&content), content);
        }
    }

    #[test]
    fn data_that_is_no_content_is_refused_with_the_reason() {
        let refused = |data| serde_json::from_value::<Content>(data).unwrap_err().to_string();
        assert!(refused(json!(SECRET_PLACEHOLDER)).contains("not the content itself"));
        assert!(refused(json!({"base64": "!"})).contains("not base64"));
        assert!(refused(json!({"base46": "aa=="})).contains("unknown field"));
        assert!(refused(json!({"base64": "aa==", "secret": "x"})).contains("has one key"));
        assert!(refused(json!({})).contains("has one key"));
        assert!(refused(json!(12)).contains("the content as a string"));
    }

    #[test]
    fn a_secret_is_shown_nowhere_known_whole_or_by_its_digest() {
        let whole = Content::accept(Secret::new(CANARY.to_owned()));
        let known = recall::<Secret<String>>(&whole);
        for content in [whole, known] {
            assert!(content.is_secret());
            assert_eq!(format!("{content:?}"), SECRET_PLACEHOLDER);
            assert_eq!(serde_json::to_value(&content).unwrap(), json!(SECRET_PLACEHOLDER));
        }
    }

    #[test]
    fn a_content_that_is_marked_as_secret_in_data_is_one_and_only_what_is_sealed_has_it_as_it_is() {
        for data in [json!({"secret": CANARY}), json!({"secret": {"base64": "Y2FuYXJ5LTNmOWE="}})] {
            let content: Content = serde_json::from_value(data).unwrap();
            assert_eq!(content, Content::accept(Secret::new(CANARY.to_owned())));
            assert_eq!(serde_json::to_value(&content).unwrap(), json!(SECRET_PLACEHOLDER));
            let sealed = in_clear(|| serde_json::to_value(&content).unwrap()).0;
            assert_eq!(sealed, json!({ "secret": CANARY }));
            assert_eq!(serde_json::from_value::<Content>(sealed).unwrap(), content);
        }
        let open = Content::accept("open");
        assert_eq!(in_clear(|| serde_json::to_value(&open).unwrap()).0, json!("open"));
        let password = Secret::new(CANARY.to_owned());
        assert_eq!(in_clear(|| serde_json::to_value(&password).unwrap()).0, json!(CANARY));
        assert_eq!(serde_json::to_value(&password).unwrap(), json!(SECRET_PLACEHOLDER));
    }

    #[test]
    fn the_digest_recalls_an_equal_content_without_its_bytes() {
        let content = Content::accept(CANARY);
        let known = recall::<String>(&content);
        assert_eq!(known, content);
        assert_eq!(known.bytes(), None);
        assert_ne!(known, Content::accept("other"));
        assert_ne!(
            known,
            Content::accept(Secret::new(CANARY.to_owned())),
            "a secret is another content: its default mode differs"
        );
    }

    #[test]
    fn debug_is_short() {
        assert_eq!(format!("{:?}", Content::accept("a\n")), "\"a\\n\"");
        assert_eq!(format!("{:?}", Content::accept("x".repeat(61))), "(61 bytes)");
        assert_eq!(format!("{:?}", Content::accept(&[0xffu8; 3])), "(3 bytes)");
    }
}
