//! What claims ask for.

use k8s_openapi::api::resource::v1::{
    DeviceClass, DeviceRequest, DeviceSelector as Selector, DeviceToleration, ResourceClaim,
};

use super::super::selector::{Compiled, Selectors};
use super::constraint::Constraint;
use crate::snapshot::{DeviceFacts, Devices, claim_key};

/// A claim's requests.
#[derive(Debug)]
pub(super) struct ClaimNeeds<'a> {
    /// `namespace/name`.
    pub(super) key: String,
    pub(super) claim: &'a ResourceClaim,
    pub(super) requests: Vec<Request<'a>>,
    pub(super) constraints: Vec<Constraint<'a>>,
}

/// A request: one of its alternatives, the earlier ones rather than the later ones.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) alternatives: Vec<Alternative<'a>>,
}

/// A way to meet a request.
#[derive(Debug)]
pub(super) struct Alternative<'a> {
    /// Its place among the alternatives of all requests of all claims.
    pub(super) number: usize,
    pub(super) request: &'a str,
    /// Its own name, if the request has several.
    pub(super) sub: Option<&'a str>,
    pub(super) class: &'a DeviceClass,
    pub(super) amount: Amount,
    pub(super) admin_access: bool,
    pub(super) tolerations: &'a [DeviceToleration],
    selectors: Vec<Named>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    Count(usize),
    All,
}

/// A selector, and what errors call it.
#[derive(Debug)]
struct Named {
    name: String,
    selector: Compiled,
}

/// What requests and the alternatives of requests have in common.
struct Wanted<'a> {
    class: &'a str,
    selectors: &'a [Selector],
    mode: Option<&'a str>,
    count: Option<i64>,
    admin_access: bool,
    tolerations: &'a [DeviceToleration],
}

impl<'a> ClaimNeeds<'a> {
    pub(super) fn new(
        claim: &'a ResourceClaim,
        devices: &'a Devices,
        selectors: &Selectors,
        alternatives: &mut usize,
    ) -> Result<Self, String> {
        let key = claim_key(claim).to_string();
        let spec = claim.spec.devices.as_ref();
        let mut requests = Vec::new();
        for request in spec.and_then(|devices| devices.requests.as_deref()).unwrap_or_default() {
            let alternatives = wanted(request).into_iter().map(|(sub, wanted)| {
                let number = *alternatives;
                *alternatives += 1;
                Alternative::new((&key, number), (&request.name, sub), &wanted, devices, selectors)
            });
            requests.push(Request { alternatives: alternatives.collect::<Result<_, _>>()? });
        }
        let constraints = spec.and_then(|devices| devices.constraints.as_deref()).unwrap_or_default();
        let unsupported = |number: usize| {
            format!("claim {key}, constraint #{number}: empty constraint (unsupported constraint type?)")
        };
        let constraints = constraints.iter().enumerate();
        let constraints =
            constraints.map(|(number, c)| Constraint::new(c).ok_or_else(|| unsupported(number)));
        let constraints = constraints.collect::<Result<_, _>>()?;
        Ok(Self { key, claim, requests, constraints })
    }
}

fn wanted(request: &DeviceRequest) -> Vec<(Option<&str>, Wanted<'_>)> {
    if let Some(exactly) = &request.exactly {
        let wanted = Wanted {
            class: &exactly.device_class_name,
            selectors: exactly.selectors.as_deref().unwrap_or_default(),
            mode: exactly.allocation_mode.as_deref(),
            count: exactly.count,
            admin_access: exactly.admin_access == Some(true),
            tolerations: exactly.tolerations.as_deref().unwrap_or_default(),
        };
        return vec![(None, wanted)];
    }
    let subrequests = request.first_available.iter().flatten();
    let subrequest = subrequests.map(|sub| {
        let wanted = Wanted {
            class: &sub.device_class_name,
            selectors: sub.selectors.as_deref().unwrap_or_default(),
            mode: sub.allocation_mode.as_deref(),
            count: sub.count,
            admin_access: false,
            tolerations: sub.tolerations.as_deref().unwrap_or_default(),
        };
        (Some(sub.name.as_str()), wanted)
    });
    subrequest.collect()
}

impl<'a> Alternative<'a> {
    fn new(
        (claim, number): (&str, usize),
        (request, sub): (&'a str, Option<&'a str>),
        wanted: &Wanted<'a>,
        devices: &'a Devices,
        selectors: &Selectors,
    ) -> Result<Self, String> {
        let name = sub.unwrap_or(request);
        let fault = |what: String| format!("claim {claim}, request {name}{what}");
        if let Some(place) = wanted.selectors.iter().position(|selector| selector.cel.is_none()) {
            return Err(fault(format!(
                ", selector #{place}: CEL expression empty (unsupported selector type?)"
            )));
        }
        if wanted.class.is_empty() {
            return Err(fault(": missing device class name (unsupported request type?)".to_owned()));
        }
        let class = devices.class(wanted.class).ok_or_else(|| {
            let absent = format!("deviceclass.resource.k8s.io {:?} not found", wanted.class);
            fault(format!(": could not retrieve device class {}: {absent}", wanted.class))
        })?;
        let amount = match wanted.mode {
            None | Some("" | "ExactCount") => Amount::Count(count(wanted.count)),
            Some("All") => Amount::All,
            Some(mode) => return Err(fault(format!(": unsupported count mode {mode}"))),
        };
        let of = |owner: &str, all: &[Selector]| -> Vec<Named> {
            let expressions =
                all.iter().enumerate().filter_map(|(place, s)| Some((place, &s.cel.as_ref()?.expression)));
            let named = expressions.map(|(place, expression)| Named {
                name: format!("{owner}: selector #{place}"),
                selector: selectors.get(expression),
            });
            named.collect()
        };
        let class_name = class.metadata.name.as_deref().unwrap_or_default();
        let mut all = of(&format!("class {class_name}"), class.spec.selectors.as_deref().unwrap_or_default());
        all.extend(of(&format!("claim {claim}"), wanted.selectors));
        Ok(Self {
            number,
            request,
            sub,
            class,
            amount,
            admin_access: wanted.admin_access,
            tolerations: wanted.tolerations,
            selectors: all,
        })
    }

    /// The name in results: `request` or `request/subrequest`.
    pub(super) fn name(&self) -> String {
        self.sub.map_or_else(|| self.request.to_owned(), |sub| format!("{}/{sub}", self.request))
    }

    /// What errors call it.
    pub(super) fn short_name(&self) -> &str {
        self.sub.unwrap_or(self.request)
    }

    /// Whether a list of names means it, by its own or by its request's.
    pub(super) fn is_meant_by(&self, names: &[String]) -> bool {
        names.iter().any(|name| name == self.request || self.sub.is_some() && *name == self.name())
    }

    /// Whether a device meets the class's and the request's selectors.
    pub(super) fn suits(&self, device: &DeviceFacts, budget: &mut u64) -> Result<bool, String> {
        for Named { name, selector } in &self.selectors {
            let selector =
                selector.as_ref().map_err(|error| format!("{name}: CEL compile error: {error}"))?;
            if !selector
                .matches(device, budget)
                .map_err(|error| format!("{name}: CEL runtime error: {error}"))?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The server fills in one where there is none, and refuses less.
fn count(count: Option<i64>) -> usize {
    usize::try_from(count.unwrap_or(1)).unwrap_or(1)
}
