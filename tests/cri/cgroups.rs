//! The cgroups of a node's pods, in all hierarchies of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const ROOT: &str = "/sys/fs/cgroup";

/// All cgroups below `parent`, as their directories.
pub fn below(parent: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in places(parent) {
        descend(&root, &mut found);
    }
    found
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

/// The value of a file of the cgroup of a container or a pod, found by the id in its name.
pub fn value(parent: &str, id: &str, file: &str) -> Option<String> {
    let paths = below(parent).into_iter().map(PathBuf::from);
    let paths = paths.filter(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        name.contains(id)
    });
    let mut values = paths.filter_map(|path| fs::read_to_string(path.join(file)).ok());
    values.next().map(|text| text.trim().to_owned())
}

/// Ends all processes in them and removes them: a failed trial must leave none on the machine.
pub fn remove(parent: &str) {
    let since = Instant::now();
    loop {
        let mut all = places(parent);
        for root in places(parent) {
            descend(&root, &mut all);
        }
        all.retain(|path| path.is_dir());
        if all.is_empty() || since.elapsed() > Duration::from_secs(10) {
            return;
        }
        for path in all.iter().rev() {
            let processes = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            for pid in processes.lines().filter(|&pid| pid != "0") {
                let _ = Command::new("kill").args(["-KILL", pid]).status();
            }
            // Not before its processes are gone: then in the next round.
            let _ = fs::remove_dir(path);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// `parent` in each hierarchy, whether it is there or not.
fn places(parent: &str) -> Vec<PathBuf> {
    let parent = parent.trim_start_matches('/');
    let mut places = vec![Path::new(ROOT).join(parent)];
    places.extend(
        directories(Path::new(ROOT))
            .iter()
            .map(|root| root.join(parent)),
    );
    places
}

fn descend(directory: &Path, found: &mut Vec<PathBuf>) {
    for path in directories(directory) {
        found.push(path.clone());
        descend(&path, found);
    }
}

fn directories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    entries.map(|entry| entry.path()).collect()
}
