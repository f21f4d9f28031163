//! An API server inside a unit test: no socket, no certificates, gone when dropped.
//!
//! `cargo run --example api_in_a_test`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};
use kube_api::{ApiServer, User};
use kube_store::MemoryStore;
use tokio::time::Instant;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let server = ApiServer::builder(Arc::new(MemoryStore::new())).build().await?;
    let client = Client::new(server.as_user(User::admin()), "default");
    println!("an API server and its client, after {:?}", started.elapsed());

    let config_maps: Api<ConfigMap> = Api::default_namespaced(client);
    let wanted = serde_json::from_value(
        serde_json::json!({"metadata": {"generateName": "settings-"}, "data": {"a": "1"}}),
    )?;
    let made = config_maps.create(&PostParams::default(), &wanted).await?;
    let name = made.metadata.name.ok_or("the server names what it makes")?;
    println!(
        "made {name}; there are {} config maps",
        config_maps.list(&Default::default()).await?.items.len()
    );

    let wrong = serde_json::from_value(serde_json::json!({"metadata": {"name": "Not A Name"}}))?;
    match config_maps.create(&PostParams::default(), &wrong).await {
        Err(kube::Error::Api(status)) => println!("refused with {}: {}", status.code, status.message),
        other => return Err(format!("a bad name was not refused: {other:?}").into()),
    }
    Ok(())
}
