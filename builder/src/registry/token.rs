//! From a registry's challenge to what it accepts: `WWW-Authenticate` read, and
//! a bearer token fetched from the token server that it names.
//!
//! The token server gets the user's password, so it is asked over TLS only,
//! unless the registry itself is one that plain HTTP is allowed for.

use oci_distribution::secrets::RegistryAuth;
use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::client::{Client, Trouble};
use super::credentials::Credentials;
use super::error::{RegistryError, printable};

/// More than any token.
const TOKEN_MAX_BYTES: u64 = 1 << 20;
const CLIENT_ID: &str = "unikiln";

/// What a registry wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// The best of a response's challenges.
pub(super) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut best = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(text) = value.to_str() else { continue };
        // What comes behind a challenge that cannot be parsed is not trusted either.
        for found in http_auth::ChallengeParser::new(text).map_while(Result::ok) {
            let parameter = |name: &str| {
                let mut parameters = found.params.iter();
                let value = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
                value.map(|(_, value)| value.to_unescaped())
            };
            if found.scheme.eq_ignore_ascii_case("bearer") {
                if let Some(realm) = parameter("realm") {
                    return Some(Challenge::Bearer {
                        realm,
                        service: parameter("service"),
                        scope: parameter("scope"),
                    });
                }
            } else if found.scheme.eq_ignore_ascii_case("basic") {
                best = Some(Challenge::Basic);
            }
        }
    }
    best
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// What to send to `client`'s host for `scope` from now on; nothing where it
/// wants credentials and there are none.
pub(super) async fn answer(
    client: &Client,
    challenge: Challenge,
    credentials: &Credentials,
    scope: &str,
) -> Result<Option<RegistryAuth>, Trouble> {
    let (realm, service, wanted) = match challenge {
        Challenge::Basic => {
            return Ok(match credentials {
                Credentials::Basic { username, password } => {
                    Some(RegistryAuth::Basic(username.clone(), password.clone()))
                }
                Credentials::RegistryToken(token) => Some(RegistryAuth::Bearer(token.clone())),
                Credentials::Anonymous | Credentials::IdentityToken(_) => None,
            });
        }
        Challenge::Bearer {
            realm,
            service,
            scope,
        } => (realm, service, scope),
    };
    if let Credentials::RegistryToken(token) = credentials {
        return Ok(Some(RegistryAuth::Bearer(token.clone())));
    }
    let mut url = realm_url(client, &realm)?;
    let scopes = merged(scope, wanted.as_deref());
    let service = service.unwrap_or_default();
    let request = match credentials {
        Credentials::IdentityToken(token) => {
            let mut form = Url::clone(&url);
            form.set_query(None);
            form.query_pairs_mut()
                .append_pair("grant_type", "refresh_token")
                .append_pair("service", &service)
                .append_pair("client_id", CLIENT_ID)
                .append_pair("scope", &scopes.join(" "))
                .append_pair("refresh_token", token);
            let body = form.query().unwrap_or_default().to_owned();
            client
                .at(&url)?
                .post(url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body)
        }
        _ => {
            {
                let mut query = url.query_pairs_mut();
                if !service.is_empty() {
                    query.append_pair("service", &service);
                }
                for scope in &scopes {
                    query.append_pair("scope", scope);
                }
                if let Credentials::Basic { username, .. } = credentials {
                    query.append_pair("account", username);
                }
            }
            let request = client.at(&url)?.get(url);
            match credentials {
                Credentials::Basic { username, password } => {
                    request.basic_auth(username, Some(password))
                }
                _ => request,
            }
        }
    };
    let response = client.send(request, "a token").await?;
    let status = response.status();
    if !status.is_success() {
        return Err(Trouble::Final(
            client.refusal(response, "a token".to_owned()).await,
        ));
    }
    let body = client.body(response, "a token", TOKEN_MAX_BYTES).await?;
    let no_token = |reason: String| {
        Trouble::Final(RegistryError::Token {
            host: client.name(),
            reason,
        })
    };
    let answer: Answer =
        serde_json::from_slice(&body).map_err(|error| no_token(error.to_string()))?;
    let token = if answer.token.is_empty() {
        answer.access_token
    } else {
        answer.token
    };
    if token.is_empty() {
        return Err(no_token("its answer has no token".to_owned()));
    }
    Ok(Some(RegistryAuth::Bearer(token)))
}

fn realm_url(client: &Client, realm: &str) -> Result<Url, Trouble> {
    let refused = |reason| {
        Trouble::Final(RegistryError::Realm {
            host: client.name(),
            realm: printable(realm),
            reason,
        })
    };
    let url = Url::parse(realm).map_err(|_| refused("that is no URL"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if client.endpoint.is_plain() => Ok(url),
        "http" => Err(refused("that is plain HTTP, and the registry is not")),
        _ => Err(refused("that is neither http nor https")),
    }
}

/// Our scope, and what the registry names beyond it.
fn merged(ours: &str, wanted: Option<&str>) -> Vec<String> {
    let mut scopes = vec![ours.to_owned()];
    let name = ours.rsplit_once(':').map(|(name, _)| name);
    for scope in wanted.unwrap_or_default().split_whitespace() {
        // Another list of actions on the same repository is covered by ours.
        if scope.rsplit_once(':').map(|(name, _)| name) != name {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

    use super::{Challenge, challenge, merged};

    fn of(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        challenge(&headers)
    }

    #[test]
    fn bearer_goes_before_basic() {
        let bearer = r#"Bearer realm="https://t.example/a",service="s",scope="repository:a:pull""#;
        let expected = Some(Challenge::Bearer {
            realm: "https://t.example/a".to_owned(),
            service: Some("s".to_owned()),
            scope: Some("repository:a:pull".to_owned()),
        });
        assert_eq!(of(&[bearer]), expected);
        assert_eq!(of(&["Basic realm=\"r\"", bearer]), expected);
        assert_eq!(of(&["BASIC realm=\"r\""]), Some(Challenge::Basic));
    }

    #[test]
    fn what_is_no_challenge_is_none() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["Bearer service=\"s\""]), None);
        assert_eq!(of(&["Negotiate", "Bearer realm="]), None);
    }

    #[test]
    fn scopes_are_ours_and_others() {
        assert_eq!(
            merged("repository:a:pull,push", Some("repository:a:pull")),
            ["repository:a:pull,push"]
        );
        assert_eq!(
            merged("repository:a:pull", Some("registry:catalog:*")),
            ["repository:a:pull", "registry:catalog:*"]
        );
    }
}
