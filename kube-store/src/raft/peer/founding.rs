//! How the members of a group come to their numbers.

use sha2::{Digest, Sha256};
use tonic::Request;

use super::dial::{PeerTls, dial};
use super::r#gen::messages as pb;
use super::r#gen::messages::peer_client::PeerClient;
use super::service::from_wire;
use crate::raft::MemberInfo;
use crate::{Error, Result};

/// The number of a new group, and its first members with theirs. They follow from the token and the members' URLs alone, so
/// every first member finds the same, and another token makes another group of the same members.
pub fn found(
    token: &str,
    members: impl IntoIterator<Item = (String, Vec<String>)>,
) -> (u64, Vec<MemberInfo>) {
    let member = |(name, mut peer_urls): (String, Vec<String>)| {
        peer_urls.sort();
        let parts: Vec<&[u8]> = peer_urls.iter().map(String::as_bytes).chain([token.as_bytes()]).collect();
        MemberInfo { id: number(&parts), name, peer_urls, ..MemberInfo::default() }
    };
    let mut members: Vec<MemberInfo> = members.into_iter().map(member).collect();
    members.sort_by_key(|member| member.id);
    let ids: Vec<[u8; 8]> = members.iter().map(|member| member.id.to_be_bytes()).collect();
    let ids: Vec<&[u8]> = ids.iter().map(<[u8; 8]>::as_slice).collect();
    (number(&ids), members)
}

/// A number that is not 0, from the first bytes of a hash.
fn number(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let first = hash.finalize().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
    first.max(1)
}

/// Asks the members at `urls` in turn for the number of their group and for its members.
///
/// # Errors
/// [`Error::Unavailable`] when nobody answers.
pub async fn ask_for_members(urls: &[String], tls: Option<&PeerTls>) -> Result<(u64, Vec<MemberInfo>)> {
    let mut last = Error::Unavailable { reason: "there is nobody to ask for the members".into() };
    for url in urls {
        match ask(url, tls).await {
            Ok((_, members)) if members.is_empty() => {}
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask(url: &str, tls: Option<&PeerTls>) -> Result<(u64, Vec<MemberInfo>)> {
    let mut client = PeerClient::new(dial(url, tls).await?);
    let unavailable = |reason: String| Error::Unavailable { reason: format!("{url}: {reason}") };
    let answer = client.members(Request::new(pb::MembersRequest {})).await;
    let answer = answer.map_err(|status| unavailable(status.message().to_owned()))?.into_inner();
    Ok((answer.group, answer.members.into_iter().map(from_wire).collect()))
}
