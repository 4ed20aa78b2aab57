//! The shapes: what a layer tries, and what becomes of it.

use super::End::{Different, Gone, Refused, Same, Text};
use super::Shape;
use super::Umoci::{Agrees, Differs};
use crate::image::Tar;

/// `/etc/passwd`, below.
fn passwd() -> Tar {
    Tar::new().directory("etc/").file("/etc/passwd", "inside")
}

fn dir_and_dummy() -> Tar {
    Tar::new().directory("etc/").directory("dummy/")
}

/// `/etc/passwd`, and a link `localetc` to this.
fn with_link(target: &str) -> Tar {
    passwd().symlink("localetc", target)
}

fn whiteout(name: &str) -> Tar {
    Tar::new().file(name, "")
}

pub(super) fn symlinks() -> Vec<Shape> {
    let unbroken = || Text("/etc/unbroken", "unbroken");
    let through = |tar: Tar, name| tar.file(name, "unbroken");
    vec![
        (
            "absolute",
            None,
            through(
                Tar::new().directory("etc/").symlink("localetc", "/etc"),
                "/localetc/unbroken",
            ),
            unbroken(),
            Agrees,
        ),
        (
            "up and out",
            None,
            through(
                dir_and_dummy().symlink("localetc", "/dummy/../etc"),
                "/localetc/unbroken",
            ),
            unbroken(),
            Agrees,
        ),
        (
            "several, absolute",
            None,
            through(
                dir_and_dummy()
                    .symlink("/dummy/etc", "/etc")
                    .symlink("localetc", "/dummy/etc"),
                "/dummy/etc/unbroken",
            ),
            unbroken(),
            Agrees,
        ),
        (
            "several, relative",
            None,
            through(
                dir_and_dummy()
                    .symlink("/dummy/etc", "/etc")
                    .symlink("localetc", "./dummy/etc"),
                "/localetc/unbroken",
            ),
            unbroken(),
            Agrees,
        ),
        (
            "more steps up than there are",
            None,
            through(
                dir_and_dummy().symlink("dummy/up", "../../../../../../etc"),
                "/dummy/up/unbroken",
            ),
            unbroken(),
            Agrees,
        ),
        (
            "down, up and out",
            None,
            through(
                dir_and_dummy().symlink("dummy/d", "../dummy/../../etc"),
                "/dummy/d/unbroken",
            ),
            unbroken(),
            Agrees,
        ),
        (
            "an emptied file",
            None,
            Tar::new()
                .directory("etc/")
                .file("etc/emptied", "notempty")
                .symlink("localetc", "/etc")
                .file("/localetc/emptied", ""),
            Text("/etc/emptied", ""),
            Agrees,
        ),
        (
            "in place of the parent",
            None,
            passwd().symlink("..", "/etc/"),
            Refused("..", "path traversal"),
            Differs,
        ),
        (
            "without a name",
            None,
            passwd().symlink("", "/etc/"),
            Refused("", "replace the root"),
            Differs,
        ),
        (
            "through a parent",
            None,
            passwd().symlink("localetc/sub/..", "/etc/"),
            Refused("localetc/sub/..", "path traversal"),
            Differs,
        ),
        (
            "over a directory",
            Some(passwd().directory("localetc/")),
            Tar::new()
                .symlink("localetc", "/etc")
                .hard_link("/localetc/localpasswd", "/etc/passwd"),
            Same("/localetc/localpasswd", "/etc/passwd"),
            Agrees,
        ),
        (
            "over a directory, relative",
            Some(passwd().directory("localetc/")),
            Tar::new()
                .symlink("localetc", "../../etc")
                .hard_link("/localetc/localpasswd", "/etc/passwd"),
            Same("/localetc/localpasswd", "/etc/passwd"),
            Agrees,
        ),
        (
            "under a directory",
            Some(with_link("/etc")),
            Tar::new()
                .directory("/localetc/")
                .hard_link("/localetc/localpasswd", "/etc/passwd"),
            Same("/localetc/localpasswd", "/etc/passwd"),
            Agrees,
        ),
        (
            "under a directory, with a hard link through it",
            Some(with_link("etc").hard_link("/localetc/localpasswd", "/etc/passwd")),
            Tar::new()
                .directory("/localetc/")
                .file("/localetc/localpasswd", "different"),
            Different("/localetc/localpasswd", "/etc/passwd"),
            Agrees,
        ),
    ]
}

pub(super) fn hard_links() -> Vec<Shape> {
    let same = || Same("/localpasswd", "/etc/passwd");
    let through = |target: &str| {
        let tar = with_link(target).hard_link("localpasswd", "/localetc/passwd");
        (None, tar)
    };
    let to_link = |target: &str| {
        let tar = passwd().symlink("passwdlink", target);
        tar.hard_link("localpasswd", "/passwdlink")
    };
    let mut shapes = Vec::new();
    for (name, target) in [
        ("absolute", "/etc"),
        ("a long way up", "../../../../../../../etc"),
    ] {
        let (lower, upper) = through(target);
        shapes.push((name, lower, upper, same(), Agrees));
    }
    for (name, target) in [
        ("relative", "../../etc"),
        ("down and out", "../downandout/../../etc"),
    ] {
        let upper = passwd()
            .directory("breakouts/")
            .directory("downandout/")
            .symlink("breakouts/d1", target)
            .hard_link("breakouts/mypasswd", "/breakouts/d1/passwd");
        let end = Same("/breakouts/mypasswd", "/etc/passwd");
        shapes.push((name, None, upper, end, Agrees));
    }
    shapes.extend([
        (
            // The kernel finds no such directory either.
            "up and out of a directory that is not there",
            None,
            with_link("upandout/../../../etc").hard_link("localpasswd", "/localetc/passwd"),
            Refused("localpasswd", "no file of the image"),
            Differs,
        ),
        (
            "direct, absolute",
            None,
            passwd().hard_link("localpasswd", "/etc/passwd"),
            same(),
            Agrees,
        ),
        (
            "direct, up",
            None,
            passwd().hard_link("localpasswd", "../../../../../etc/passwd"),
            Refused("../../../../../etc/passwd", "path traversal"),
            Differs,
        ),
        (
            "into a directory of the same layer",
            None,
            passwd()
                .directory("localetc/")
                .hard_link("/localetc/localpasswd", "/etc/passwd"),
            Same("/localetc/localpasswd", "/etc/passwd"),
            Agrees,
        ),
        (
            "to a symbolic link, before its target is there",
            None,
            Tar::new()
                .directory("etc/")
                .symlink("passwdlink", "/etc/passwd")
                .hard_link("localpasswd", "passwdlink")
                .file("/etc/passwd", "after"),
            same(),
            Agrees,
        ),
        (
            "to a symbolic link, relative",
            None,
            to_link("../../../../../etc/passwd"),
            same(),
            Agrees,
        ),
        (
            "to a symbolic link, absolute",
            None,
            to_link("/etc/passwd"),
            same(),
            Agrees,
        ),
    ]);
    shapes
}

pub(super) fn whiteouts() -> Vec<Shape> {
    let there = || Text("/etc/passwd", "inside");
    let mut shapes = Vec::new();
    for (what, name) in [
        ("of the root's parent", ".wh..."),
        ("of a parent", "etc/.wh..."),
        ("of the root", ".wh.."),
        ("of the directory", "etc/.wh.."),
        ("of nothing", "etc/.wh."),
    ] {
        let end = Refused(name, "names nothing");
        shapes.push((what, Some(passwd()), whiteout(name), end, Differs));
    }
    let whited_out = || passwd().file("/etc/whitedout", "ahhhh");
    shapes.extend([
        (
            "of a symbolic link",
            Some(with_link("/etc")),
            whiteout(".wh.localetc"),
            there(),
            Agrees,
        ),
        (
            "of a symbolic link, itself",
            Some(with_link("/etc")),
            whiteout(".wh.localetc"),
            Gone("/localetc"),
            Agrees,
        ),
        (
            "through a symbolic link",
            Some(whited_out().symlink("localetc", "/etc")),
            whiteout("localetc/.wh.whitedout"),
            Gone("/etc/whitedout"),
            Agrees,
        ),
        (
            "as the name of a directory",
            Some(whited_out()),
            Tar::new().file(".wh.etc/somefile", "non-empty"),
            Text("/.wh.etc/somefile", "non-empty"),
            Differs,
        ),
        (
            "through a dead symbolic link",
            Some(with_link("/dne")),
            whiteout("localetc/.wh.etc"),
            there(),
            Differs,
        ),
        (
            "along a path with a parent",
            Some(with_link("/dne")),
            whiteout("dne/../.wh.etc"),
            Refused("dne/../.wh.etc", "path traversal"),
            Differs,
        ),
    ]);
    shapes
}
