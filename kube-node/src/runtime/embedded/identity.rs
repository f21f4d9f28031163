//! Users and groups of an image, looked up in its `/etc/passwd` and `/etc/group`.

use std::path::{Path, PathBuf};

use crate::seam::ContainerSecurity;

/// Who a container's process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// The identity that the security settings and the image's user (`user[:group]`, names or numbers) give; `layers` are the image's folders,
/// the topmost first.
pub(super) fn resolve(
    security: &ContainerSecurity,
    image_user: &str,
    layers: &[PathBuf],
) -> Result<Identity, String> {
    let passwd = read(layers, "etc/passwd");
    let group = read(layers, "etc/group");
    let (user, image_group) = match (security.run_as_user, &security.run_as_username) {
        (Some(uid), _) => (uid.to_string(), None),
        (None, Some(name)) => (name.clone(), None),
        (None, None) => match image_user.split_once(':') {
            Some((user, group)) => (user.to_owned(), Some(group)),
            None => (image_user.to_owned(), None),
        },
    };
    let entry = find_user(&passwd, &user)?;
    let gid = match (security.run_as_group, image_group) {
        (Some(gid), _) => number(gid)?,
        (None, Some(name)) => find_group(&group, name)?,
        (None, None) => entry.gid,
    };
    let mut groups: Vec<u32> = memberships(&group, &entry.name);
    for extra in &security.supplemental_groups {
        groups.push(number(*extra)?);
    }
    groups.sort_unstable();
    groups.dedup();
    Ok(Identity { uid: entry.uid, gid, groups, home: entry.home })
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

fn number(value: i64) -> Result<u32, String> {
    u32::try_from(value).map_err(|_| format!("{value} is not a user or group id"))
}

/// The file in the topmost layer that has it. Symbolic links are not followed: they would lead out of the image.
fn read(layers: &[PathBuf], file: &str) -> String {
    let found = layers.iter().map(|layer| layer.join(file)).find(|path| is_plain_file(path));
    found.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
}

fn is_plain_file(path: &Path) -> bool {
    let plain = |path: &Path, folder: bool| {
        std::fs::symlink_metadata(path)
            .is_ok_and(|meta| if folder { meta.is_dir() } else { meta.is_file() && meta.len() < 1 << 20 })
    };
    path.parent().is_some_and(|parent| plain(parent, true)) && plain(path, false)
}

fn find_user(passwd: &str, user: &str) -> Result<User, String> {
    let uid: Option<u32> = if user.is_empty() { Some(0) } else { user.parse().ok() };
    let entry = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id, gid) =
            (fields.next()?, fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let matches = uid.map_or(name == user, |uid| uid == id);
        let home = fields.nth(1).unwrap_or_default();
        matches.then(|| User { name: name.to_owned(), uid: id, gid, home: home.to_owned() })
    });
    match (entry, uid) {
        (Some(entry), _) => Ok(entry),
        (None, Some(uid)) => Ok(User { name: String::new(), uid, gid: 0, home: String::new() }),
        (None, None) => Err(format!("unable to find user {user}: no matching entries in passwd file")),
    }
}

fn find_group(group: &str, name: &str) -> Result<u32, String> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let found = group
        .lines()
        .find(|line| line.split(':').next() == Some(name))
        .and_then(|line| line.split(':').nth(2)?.parse().ok());
    found.ok_or_else(|| format!("unable to find group {name}: no matching entries in group file"))
}

fn memberships(group: &str, user: &str) -> Vec<u32> {
    let member = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let gid = fields.next()?.parse().ok()?;
        fields.next()?.split(',').any(|name| name == user && !name.is_empty()).then_some(gid)
    };
    group.lines().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nlogs:x:50:web,other\n";

    fn check(security: ContainerSecurity, image_user: &str) -> Result<Identity, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("etc")).unwrap();
        std::fs::write(folder.path().join("etc/passwd"), PASSWD).unwrap();
        std::fs::write(folder.path().join("etc/group"), GROUP).unwrap();
        resolve(&security, image_user, &[folder.path().join("no such layer"), folder.path().to_owned()])
    }

    fn identity(uid: u32, gid: u32, groups: &[u32], home: &str) -> Identity {
        Identity { uid, gid, groups: groups.to_vec(), home: home.to_owned() }
    }

    #[test]
    fn the_images_user_is_found_by_name_and_number() {
        assert_eq!(check(ContainerSecurity::default(), ""), Ok(identity(0, 0, &[], "/root")));
        assert_eq!(check(ContainerSecurity::default(), "web"), Ok(identity(33, 34, &[50], "/srv")));
        assert_eq!(check(ContainerSecurity::default(), "33:logs"), Ok(identity(33, 50, &[50], "/srv")));
        assert_eq!(check(ContainerSecurity::default(), "1234"), Ok(identity(1234, 0, &[], "")));
        assert!(check(ContainerSecurity::default(), "nobody").is_err());
    }

    #[test]
    fn the_pods_settings_win() {
        let security = ContainerSecurity {
            run_as_user: Some(33),
            run_as_group: Some(7),
            supplemental_groups: vec![2000],
            ..ContainerSecurity::default()
        };
        assert_eq!(check(security, "root"), Ok(identity(33, 7, &[50, 2000], "/srv")));
    }
}
