//! Who a container's program runs as: what kubelet says, then the image, by the image's
//! own /etc/passwd and /etc/group.

use std::collections::BTreeSet;

use oci_spec::runtime::User;
use unikiln_builder::resolve_user;

use crate::handler::HandlerError;
use crate::image::LocalImage;
use crate::proto::{LinuxContainerSecurityContext, SupplementalGroupsPolicy};

/// A user as it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `USER`, without a group.
    user: String,
    /// A name or number; none: the user's own.
    group: Option<String>,
    supplemental: Vec<u32>,
    /// Groups of the image's /etc/group do not count.
    is_strict: bool,
}

impl Wanted {
    pub(super) fn of(
        security: &LinuxContainerSecurityContext,
        image: &LocalImage,
    ) -> Result<Self, HandlerError> {
        let number = |what: &str, value: i64| {
            let number = u32::try_from(value).ok().filter(|&id| id != u32::MAX);
            number.ok_or_else(|| {
                HandlerError::Invalid(format!("{what} {value} is no number of a user or group"))
            })
        };
        let mut user = security.run_as_username.clone();
        let mut group = None;
        if let Some(uid) = &security.run_as_user {
            if !user.is_empty() {
                let text = format!("both run_as_user {} and run_as_username {user}", uid.value);
                return Err(HandlerError::Invalid(text));
            }
            user = number("run_as_user", uid.value)?.to_string();
        }
        if let Some(gid) = &security.run_as_group {
            if user.is_empty() {
                let text = format!("run_as_group {} without a user", gid.value);
                return Err(HandlerError::Invalid(text));
            }
            group = Some(number("run_as_group", gid.value)?.to_string());
        }
        if user.is_empty() {
            user.clone_from(&image.user);
        }
        if let Some((name, its_group)) = user.clone().split_once(':') {
            user = name.to_owned();
            group = group.or_else(|| Some(its_group.to_owned()).filter(|group| !group.is_empty()));
        }
        let supplemental = security.supplemental_groups.iter();
        Ok(Self {
            user,
            group,
            supplemental: supplemental
                .map(|&gid| number("supplemental group", gid))
                .collect::<Result<_, _>>()?,
            is_strict: security.supplemental_groups_policy
                == i32::from(SupplementalGroupsPolicy::Strict),
        })
    }

    /// Looks it up in the text of the image's files.
    pub(super) fn resolve(&self, passwd: &str, group: &str) -> Result<User, HandlerError> {
        let failed = |error: unikiln_builder::UserError| HandlerError::Invalid(error.to_string());
        let alone = resolve_user(passwd, group, &self.user).map_err(failed)?;
        let mut gid = alone.gid;
        let mut groups: BTreeSet<u32> = self.supplemental.iter().copied().collect();
        if !self.is_strict {
            // The group of /etc/passwd counts only where it is the primary one.
            groups.extend(alone.groups.iter().filter(|&&group| group != alone.gid));
        }
        if let Some(name) = &self.group {
            let spec = format!("{}:{name}", self.user);
            gid = resolve_user(passwd, group, &spec).map_err(failed)?.gid;
        }
        groups.insert(gid);
        let mut user = User::default();
        user.set_uid(alone.uid).set_gid(gid);
        user.set_additional_gids(Some(groups.into_iter().collect()));
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted;
    use crate::image::LocalImage;
    use crate::proto::{Int64Value, LinuxContainerSecurityContext};

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\ntape:x:60:web\n";

    fn image(user: &str) -> LocalImage {
        LocalImage {
            user: user.to_owned(),
            ..LocalImage::default()
        }
    }

    fn id(value: i64) -> Option<Int64Value> {
        Some(Int64Value { value })
    }

    #[test]
    fn kubelet_goes_before_the_image_and_groups_are_merged() {
        let context = LinuxContainerSecurityContext::default;
        for (security, image_user, expected) in [
            (context(), "", (0, 0, vec![0])),
            (context(), "web", (33, 34, vec![34, 60])),
            (context(), "web:7", (33, 7, vec![7, 60])),
            (
                LinuxContainerSecurityContext {
                    run_as_user: id(33),
                    run_as_group: id(9),
                    supplemental_groups: vec![50],
                    ..context()
                },
                "root",
                (33, 9, vec![9, 50, 60]),
            ),
            (
                LinuxContainerSecurityContext {
                    run_as_username: "web".to_owned(),
                    supplemental_groups: vec![50],
                    supplemental_groups_policy: 1,
                    ..context()
                },
                "root",
                (33, 34, vec![34, 50]),
            ),
            (
                LinuxContainerSecurityContext {
                    run_as_user: id(1000),
                    ..context()
                },
                "web",
                (1000, 0, vec![0]),
            ),
        ] {
            let wanted = Wanted::of(&security, &image(image_user)).expect("valid");
            let user = wanted.resolve(PASSWD, GROUP).expect("known");
            let groups = user.additional_gids().clone().expect("groups");
            assert_eq!((user.uid(), user.gid(), groups), expected, "{image_user}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let context = LinuxContainerSecurityContext::default;
        for security in [
            LinuxContainerSecurityContext {
                run_as_group: id(1),
                ..context()
            },
            LinuxContainerSecurityContext {
                run_as_user: id(-1),
                ..context()
            },
            LinuxContainerSecurityContext {
                run_as_user: id(1 << 32),
                ..context()
            },
            LinuxContainerSecurityContext {
                run_as_user: id(1),
                run_as_username: "web".to_owned(),
                ..context()
            },
        ] {
            assert!(
                Wanted::of(&security, &image("root")).is_err(),
                "{security:?}"
            );
        }
        let wanted = Wanted::of(&context(), &image("nobody")).expect("valid");
        assert!(wanted.resolve(PASSWD, GROUP).is_err());
    }
}
