//! From the plugin sets of a document to a profile.

use std::sync::Arc;

use super::document::{PluginEntry, PluginSet, ProfileSection};
use super::point::{Point, Points, Selected};
use crate::framework::{EnabledPlugin, MAX_NODE_SCORE, Plugin, Profile, Registry};
use crate::{Error, plugins};

/// Plugins that were made, with the names that they go by in the document.
type Built = Vec<(String, Arc<dyn Plugin>)>;

/// Puts a profile together: the built-in plugins at all their extension points, changed as the section says.
pub(super) fn assemble(section: &ProfileSection, registry: &Registry) -> Result<Profile, Error> {
    let everywhere = everywhere(section);
    let built = build(section, &everywhere, registry)?;
    let lists: Vec<_> = Point::ALL
        .iter()
        .map(|point| Ok((*point, expand(*point, point.set(&section.plugins), &everywhere, &built)?)))
        .collect::<Result<_, Error>>()?;
    let name = section.scheduler_name.as_deref().unwrap_or_default();
    weigh(section, &everywhere, &built)?;
    complete(name, &lists)?;
    let mut profile = Profile::new(name, registry, &[])?;
    for (plugin, points) in interleave(&lists) {
        let scores = points.contains(Point::Score);
        let weight = if scores { weight(&plugin, section, &everywhere) } else { 0 };
        if let Some(plugin) = named(&built, &plugin) {
            profile.plugins.push(EnabledPlugin { plugin: select(plugin, points), weight });
        }
    }
    Ok(profile)
}

/// The plugins of a profile at all their extension points.
pub(super) fn everywhere(section: &ProfileSection) -> Vec<PluginEntry> {
    merged(defaults(), &section.plugins.multi_point)
}

fn defaults() -> Vec<PluginEntry> {
    let entry = |enabled: EnabledPlugin| PluginEntry {
        name: enabled.plugin.name().to_owned(),
        weight: i32::try_from(enabled.weight).unwrap_or(i32::MAX),
    };
    plugins::defaults().into_iter().map(entry).collect()
}

/// The defaults without the disabled ones; what is enabled replaces the default of its name or goes last.
fn merged(defaults: Vec<PluginEntry>, custom: &PluginSet) -> Vec<PluginEntry> {
    let mut replaced = Vec::new();
    let kept = defaults.into_iter().filter(|entry| !custom.disables(&entry.name)).map(|entry| {
        let position = custom.enabled.iter().rposition(|other| other.name == entry.name);
        replaced.extend(position);
        position.and_then(|position| custom.enabled.get(position)).cloned().unwrap_or(entry)
    });
    let mut merged: Vec<_> = kept.collect();
    let rest = custom.enabled.iter().enumerate().filter(|(position, _)| !replaced.contains(position));
    merged.extend(rest.map(|(_, entry)| entry.clone()));
    merged
}

/// Makes every plugin that is enabled somewhere, and tries the arguments of those that are not, so that a mistake in them
/// is found before they are enabled.
fn build(section: &ProfileSection, everywhere: &[PluginEntry], registry: &Registry) -> Result<Built, Error> {
    let args = |name: &str| {
        let config = section.plugin_config.iter().find(|config| config.name == name);
        config.map(|config| config.args.clone()).unwrap_or_default()
    };
    let somewhere = Point::ALL.iter().flat_map(|point| &point.set(&section.plugins).enabled);
    let enabled = everywhere.iter().chain(somewhere).map(|entry| &entry.name);
    let configured = section.plugin_config.iter().map(|config| &config.name);
    let known = enabled.chain(configured).filter(|name| registry.knows(name));
    known.map(|name| Ok((name.clone(), registry.build(name, &args(name))?))).collect()
}

/// The plugins of one extension point: first those set up there to override the general list, then that list, then
/// those named only there.
fn expand(
    point: Point,
    set: &PluginSet,
    everywhere: &[PluginEntry],
    built: &[(String, Arc<dyn Plugin>)],
) -> Result<Vec<String>, Error> {
    let kind = point.kind();
    let missing = |name: &str| Error::Config(format!("{kind} {name:?} does not exist"));
    let mut own = Vec::new();
    for PluginEntry { name, .. } in &set.enabled {
        let plugin = named(built, name).ok_or_else(|| missing(name))?;
        if !point.implemented_by(&**plugin) {
            return Err(Error::Config(format!("plugin {name:?} does not extend {kind} plugin")));
        }
        push_once(&mut own, name, kind)?;
    }
    if set.disabled.iter().any(|entry| entry.name == "*") {
        return Ok(own);
    }
    let (mut general, mut overridden) = (Vec::new(), Vec::new());
    for PluginEntry { name, .. } in everywhere {
        let plugin = named(built, name).ok_or_else(|| missing(name))?;
        if !point.implemented_by(&**plugin) || set.disables(name) {
            continue;
        }
        if own.contains(name) {
            overridden.push(name);
        } else {
            push_once(&mut general, name, kind)?;
        }
    }
    let (first, last): (Vec<_>, Vec<_>) = own.into_iter().partition(|name| overridden.contains(&name));
    Ok([first, general, last].concat())
}

/// The last plugin made under a name: one that is enabled twice is made twice.
fn named<'a>(built: &'a [(String, Arc<dyn Plugin>)], name: &str) -> Option<&'a Arc<dyn Plugin>> {
    built.iter().rfind(|(other, _)| other == name).map(|(_, plugin)| plugin)
}

fn push_once(list: &mut Vec<String>, name: &str, kind: &str) -> Result<(), Error> {
    if list.iter().any(|other| other == name) {
        return Err(Error::Config(format!("plugin {name:?} already registered as {kind:?}")));
    }
    list.push(name.to_owned());
    Ok(())
}

/// A scheduler has one order of its queue and a way to bind.
fn complete(profile: &str, lists: &[(Point, Vec<String>)]) -> Result<(), Error> {
    let count = |wanted| lists.iter().find(|(point, _)| *point == wanted).map_or(0, |(_, list)| list.len());
    let sorts = count(Point::QueueSort);
    if sorts != 1 {
        return Err(Error::Config(format!(
            "only one queue sort plugin required for profile with scheduler name {profile:?}, but got {sorts}"
        )));
    }
    if count(Point::Bind) == 0 {
        return Err(Error::Config(format!(
            "at least one bind plugin is needed for profile with scheduler name {profile:?}"
        )));
    }
    Ok(())
}

/// The weight at the extension point counts before the general one; none at all is one.
fn weight(name: &str, section: &ProfileSection, everywhere: &[PluginEntry]) -> i64 {
    let entries = section.plugins.score.enabled.iter().chain(everywhere);
    let weight = entries.into_iter().find(|entry| entry.name == name).map(|entry| i64::from(entry.weight));
    weight.filter(|weight| *weight != 0).unwrap_or(1)
}

/// Whether totals of scores stay within their range. Upstream's own check wraps round when a weight is negative, and so refuses every
/// plugin after that one; what it accepts and refuses is the same here.
fn weigh(section: &ProfileSection, everywhere: &[PluginEntry], built: &Built) -> Result<(), Error> {
    let (mut total, mut weighed) = (0_i64, Vec::new());
    for PluginEntry { name, weight } in section.plugins.score.enabled.iter().chain(everywhere) {
        let scores = named(built, name).is_some_and(|plugin| plugin.as_score().is_some());
        if !scores || weighed.contains(&name) {
            continue;
        }
        weighed.push(name);
        let most = MAX_NODE_SCORE * if *weight == 0 { 1 } else { i64::from(*weight) };
        if most > i64::MAX.wrapping_sub(total) {
            return Err(Error::Config("total score of Score plugins could overflow".to_owned()));
        }
        total = total.wrapping_add(most);
    }
    Ok(())
}

/// One list in which every extension point finds its plugins in its own order. A plugin is in it more than once only where
/// the orders contradict each other.
fn interleave(lists: &[(Point, Vec<String>)]) -> Vec<(String, Points)> {
    let mut rest: Vec<_> = lists.iter().map(|(point, list)| (*point, list.as_slice())).collect();
    let mut merged = Vec::new();
    loop {
        let mut heads = rest.iter().filter_map(|(_, list)| list.first());
        let Some(any) = heads.clone().next() else { return merged };
        let waits =
            |name: &String| rest.iter().any(|(_, list)| list.iter().skip(1).any(|other| other == name));
        let next = heads.find(|name| !waits(name)).unwrap_or(any);
        let mut points = Points::default();
        for (point, list) in &mut rest {
            if let Some((first, others)) = list.split_first()
                && first == next
            {
                points.insert(*point);
                *list = others;
            }
        }
        merged.push((next.clone(), points));
    }
}

/// The plugin itself if it takes part in all that it can.
fn select(plugin: &Arc<dyn Plugin>, points: Points) -> Arc<dyn Plugin> {
    let whole = Point::ALL.iter().all(|point| points.contains(*point) == point.implemented_by(&**plugin));
    if whole { Arc::clone(plugin) } else { Arc::new(Selected { plugin: Arc::clone(plugin), points }) }
}
