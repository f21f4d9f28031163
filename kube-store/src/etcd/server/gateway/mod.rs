//! The methods of gRPC as JSON over HTTP, under `/v3/`, as etcd's gateway has them.
//!
//! A request is turned from JSON into what a client of gRPC would have sent, goes the way of that through the services, and what
//! they answer is turned into JSON: so no call is made twice here, and whatever holds for one holds for the other. A table says which
//! path is which method ([`routes`]); what messages have is generated from the proto files (`gen/messages.rs`, checked by a test).
//!
//! JSON is as in etcd 3.5. Names are told as the proto files have them, and taken in camel case too; numbers of 64 bits are told as
//! text and taken as both; bytes are base64; values of an enumeration are told by name and taken as both; what has the usual value
//! is not told; what nobody knows, and null, is not looked at. A stream is an object for each message, `{"result":…}`, each in a
//! line; one that ends badly ends with `{"error":…}`. Requests of a stream follow each other in one body. Errors have the HTTP
//! status that goes with their code.

mod answer;
mod call;
#[path = "gen/messages.rs"]
#[rustfmt::skip]
mod messages;
mod requests;
mod routes;
mod schema;
#[cfg(test)]
mod tests;
mod to_json;
mod to_wire;
mod values;

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;

use self::call::Call;
pub(super) use self::routes::serves;
use super::certified::Certified;
use super::etcd_server::EtcdServer;
use super::pages::{self, Response};

/// Answers a request on a path of the gateway, by `services`; `certified` is who shows a certificate.
pub(super) async fn respond(
    server: EtcdServer,
    services: Routes,
    certified: Certified,
    request: http::Request<Body>,
) -> Response {
    let Some(method) = routes::find(request.uri().path()) else {
        return pages::plain(404, "Not Found\n");
    };
    if request.method() != http::Method::POST {
        return pages::plain(405, "Method Not Allowed\n");
    }
    match is_misnamed(&server, &certified).await {
        Ok(false) => Call::new(server, services, method, request).respond().await,
        Ok(true) => pages::plain(
            400,
            "CommonName of client sending a request against gateway will be ignored and not used as expected\n",
        ),
        Err(status) => answer::refusal(&status),
    }
}

/// Whether a client might take itself for a user that it is not.
async fn is_misnamed(server: &EtcdServer, certified: &Certified) -> Result<bool, Status> {
    if !server.config.client_cert_auth || certified.name().is_none() {
        return Ok(false);
    }
    let nobody = server.auth.caller(&MetadataMap::new(), &Certified::default()).await?;
    Ok(!nobody.is_free())
}
