//! Services and EndpointSlices of the cluster, as they change.

use std::collections::BTreeSet;

use futures::stream::{BoxStream, StreamExt, select};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};

use crate::compile::key;

/// Objects that other proxies handle, and slices of headless services.
const NOT_FOR_PROXIES: &str = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name";

/// Takes in objects, which are named `namespace/name`.
pub(crate) trait Sink {
    fn set_service(&mut self, service: Service);
    fn remove_service(&mut self, name: &str);
    fn retain_services(&mut self, names: &BTreeSet<String>);
    fn set_slice(&mut self, slice: EndpointSlice);
    fn remove_slice(&mut self, name: &str);
    fn retain_slices(&mut self, names: &BTreeSet<String>);
}

/// Which objects are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Selection {
    /// All.
    Everything,
    /// Those that a service proxy handles.
    ForProxies,
}

enum Event {
    Service(Box<watcher::Event<Service>>),
    Slice(Box<watcher::Event<EndpointSlice>>),
}

/// A stream of changes that is listed anew whenever it breaks.
pub(crate) struct Feed {
    events: BoxStream<'static, watcher::Result<Event>>,
    services: Listing,
    slices: Listing,
}

/// What a list under way has named so far.
#[derive(Debug, Default)]
struct Listing {
    names: BTreeSet<String>,
    complete: bool,
}

impl Feed {
    pub(crate) fn new(client: &Client, selection: Selection) -> Self {
        let config = || match selection {
            Selection::Everything => watcher::Config::default(),
            Selection::ForProxies => watcher::Config::default().labels(NOT_FOR_PROXIES),
        };
        let services = watcher(Api::<Service>::all(client.clone()), config())
            .modify(|service| service.managed_fields_mut().clear())
            .default_backoff()
            .map(|event| event.map(|event| Event::Service(Box::new(event))));
        let slices = watcher(Api::<EndpointSlice>::all(client.clone()), config())
            .modify(|slice| slice.managed_fields_mut().clear())
            .default_backoff()
            .map(|event| event.map(|event| Event::Slice(Box::new(event))));
        Self {
            events: select(services, slices).boxed(),
            services: Listing::default(),
            slices: Listing::default(),
        }
    }

    /// Whether everything has been listed once.
    pub(crate) fn is_complete(&self) -> bool {
        self.services.complete && self.slices.complete
    }

    /// Waits for the next change and puts it into the sink; false when there will be no more.
    ///
    /// Cancel safe: a change is either in the sink or still to come.
    pub(crate) async fn next(&mut self, sink: &mut impl Sink) -> bool {
        match self.events.next().await {
            None => return false,
            Some(Err(error)) => tracing::warn!(%error, "watch failed, trying again"),
            Some(Ok(Event::Service(event))) => self.service(*event, sink),
            Some(Ok(Event::Slice(event))) => self.slice(*event, sink),
        }
        true
    }

    fn service(&mut self, event: watcher::Event<Service>, sink: &mut impl Sink) {
        match event {
            watcher::Event::Init => self.services.names.clear(),
            watcher::Event::InitApply(service) => {
                self.services.names.insert(key(&service.metadata));
                sink.set_service(service);
            }
            watcher::Event::InitDone => sink.retain_services(&self.services.finish()),
            watcher::Event::Apply(service) => sink.set_service(service),
            watcher::Event::Delete(service) => sink.remove_service(&key(&service.metadata)),
        }
    }

    fn slice(&mut self, event: watcher::Event<EndpointSlice>, sink: &mut impl Sink) {
        match event {
            watcher::Event::Init => self.slices.names.clear(),
            watcher::Event::InitApply(slice) => {
                self.slices.names.insert(key(&slice.metadata));
                sink.set_slice(slice);
            }
            watcher::Event::InitDone => sink.retain_slices(&self.slices.finish()),
            watcher::Event::Apply(slice) => sink.set_slice(slice),
            watcher::Event::Delete(slice) => sink.remove_slice(&key(&slice.metadata)),
        }
    }
}

impl Listing {
    fn finish(&mut self) -> BTreeSet<String> {
        self.complete = true;
        std::mem::take(&mut self.names)
    }
}
