//! Devices, their classes and the claims of them.

use serde_json::{Value, json};

use super::draw::Draw;
use super::{Item, NAMESPACES, ZONE, ZONES};

const DRIVERS: &[&str] = &["gpu.example.com", "net.example.com"];
/// Claims of each namespace.
const CLAIMS: usize = 6;

pub(super) fn items(draw: &mut Draw, nodes: usize) -> Vec<Item> {
    let mut items: Vec<_> = ["gpu", "net", "fast", "broken"].iter().map(|name| class(name)).collect();
    for at in 0..nodes {
        if draw.chance(65) {
            let place = json!({"nodeName": format!("node-{at}")});
            items.push(slice(draw, DRIVERS[0], &format!("node-{at}"), &place));
        }
    }
    for at in 0..draw.below(3) {
        let place = match draw.chance(30) {
            true => json!({"allNodes": true}),
            false => json!({"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": ZONE, "operator": "In", "values": [draw.one(ZONES)]}]}]}}),
        };
        items.push(slice(draw, DRIVERS[1], &format!("pool-{at}"), &place));
    }
    for namespace in NAMESPACES {
        items.extend((0..CLAIMS).filter_map(|at| new_claim(draw, namespace, at)));
    }
    items
}

fn class(name: &str) -> Item {
    let expression = match name {
        "gpu" => "device.driver == 'gpu.example.com'",
        "net" => "device.driver == 'net.example.com'",
        "fast" => "device.driver == 'gpu.example.com' && device.attributes['gpu.example.com'].speed > 5",
        _ => "device.attributes['gpu.example.com'].nothing == 'x'",
    };
    let object =
        json!({"metadata": {"name": name}, "spec": {"selectors": [{"cel": {"expression": expression}}]}});
    Item::new("/apis/resource.k8s.io/v1/deviceclasses", object)
}

fn slice(draw: &mut Draw, driver: &str, pool: &str, place: &Value) -> Item {
    let number = draw.below(5);
    let devices: Vec<_> = (0..number).map(|at| device(draw, at)).collect();
    // Now and then another slice of the pool is still to come.
    let count = if draw.chance(5) { 2 } else { 1 };
    let mut spec = json!({"driver": driver, "pool": {"name": pool, "generation": 1, "resourceSliceCount": count}, "devices": devices});
    for (field, value) in place.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    let name = format!("{}-{pool}", driver.split('.').next().unwrap_or_default());
    Item::new("/apis/resource.k8s.io/v1/resourceslices", json!({"metadata": {"name": name}, "spec": spec}))
}

fn device(draw: &mut Draw, at: usize) -> Value {
    let mut attributes =
        json!({"model": {"string": draw.one(&["a", "b"])}, "speed": {"int": draw.number(&[1, 6, 9])}});
    if draw.chance(60) {
        attributes["numa"] = json!({"int": draw.number(&[0, 1])});
    }
    if draw.chance(10) {
        attributes.as_object_mut().and_then(|attributes| attributes.remove("speed"));
    }
    let capacity = json!({"memory": {"value": draw.one(&["1Gi", "4Gi", "16Gi"])}});
    json!({"name": format!("dev-{at}"), "attributes": attributes, "capacity": capacity})
}

/// A claim that has no devices yet. Some are missing.
fn new_claim(draw: &mut Draw, namespace: &str, at: usize) -> Option<Item> {
    if draw.chance(6) {
        return None;
    }
    let mut devices = json!({"requests": draw.few(2, |_| json!({}))});
    let requests: Vec<_> =
        (0..devices["requests"].as_array().map_or(1, Vec::len)).map(|at| request(draw, at)).collect();
    if draw.chance(20) {
        devices["constraints"] =
            json!([{"matchAttribute": draw.one(&["gpu.example.com/model", "gpu.example.com/numa"])}]);
    }
    devices["requests"] = requests.into();
    let object = json!({"metadata": {"name": format!("claim-{at}"), "namespace": namespace}, "spec": {"devices": devices}});
    Some(Item::new(format!("/apis/resource.k8s.io/v1/namespaces/{namespace}/resourceclaims"), object))
}

fn request(draw: &mut Draw, at: usize) -> Value {
    let name = format!("r{at}");
    if draw.chance(20) {
        let mut first = exactly(draw);
        let mut second = exactly(draw);
        (first["name"], second["name"]) = ("s0".into(), "s1".into());
        return json!({"name": name, "firstAvailable": [first, second]});
    }
    let mut exactly = exactly(draw);
    if draw.chance(5) {
        exactly["adminAccess"] = true.into();
    }
    json!({"name": name, "exactly": exactly})
}

fn exactly(draw: &mut Draw) -> Value {
    let class = draw.one(&["gpu", "gpu", "gpu", "gpu", "net", "fast"]);
    let class = match draw.below(40) {
        0 => "broken",
        1 => "gone",
        _ => class,
    };
    let mut request = json!({"deviceClassName": class});
    match draw.below(6) {
        0 => request["allocationMode"] = "All".into(),
        1 => request["count"] = 2.into(),
        _ => request["count"] = 1.into(),
    }
    if draw.chance(30) {
        let expression = draw.one(&[
            "device.attributes['gpu.example.com'].model == 'a'",
            "device.capacity['gpu.example.com'].memory.compareTo(quantity('2Gi')) >= 0",
            "device.attributes['gpu.example.com'].numa == 0",
            "'speed' in device.attributes['gpu.example.com']",
        ]);
        request["selectors"] = json!([{"cel": {"expression": expression}}]);
    }
    request
}

/// Lets a pod claim devices.
pub(super) fn claim(draw: &mut Draw, spec: &mut Value) {
    if draw.chance(25) {
        return;
    }
    let first = draw.below(CLAIMS);
    let mut claims = vec![json!({"name": "d0", "resourceClaimName": format!("claim-{first}")})];
    if draw.chance(20) {
        // Of one claim by two names upstream makes two allocations, of which it refuses the second for ever.
        let second = (first + 1 + draw.below(CLAIMS - 1)) % CLAIMS;
        claims.push(json!({"name": "d1", "resourceClaimName": format!("claim-{second}")}));
    }
    if draw.chance(4) {
        claims.push(json!({"name": "d2", "resourceClaimTemplateName": "template"}));
    }
    spec["resourceClaims"] = claims.into();
}
