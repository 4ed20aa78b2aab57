//! OpenJDK 17: classes that javac makes here, in Debian's virtual machine,
//! under a limit of 512 MiB.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::{fs, path::Path};

use libtest_mimic::{Failed, Trial};

use crate::common::image::tool;
use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, cache_dir, native};
use crate::image::{PROGRAMS, build};

const HOME: &str = "/usr/lib/jvm/java-17-openjdk-amd64";

/// Class, options of the virtual machine, exit code. A heap that the machine's
/// size does not choose, so that both sides do the same work.
const CASES: [(&str, &[&str], i32); 7] = [
    ("Hello", &["-Xmx128m"], 2),
    ("Threads", &["-Xmx128m"], 0),
    ("Collect", &["-Xmx128m", "-XX:+UseSerialGC"], 0),
    ("Collect", &["-Xmx128m", "-XX:+UseG1GC"], 0),
    ("Collect", &["-Xmx128m", "-XX:+UseParallelGC"], 0),
    ("Streams", &["-Xmx128m"], 0),
    ("Streams", &["-Xint", "-Xmx128m"], 0),
];

/// One for each case.
pub(crate) fn trials() -> Vec<Trial> {
    CASES
        .map(|(class, options, code)| {
            let name = format!("java::{class} {}", options.join(" "));
            Trial::test(name, move || prints_the_same(class, options, code))
        })
        .into()
}

/// The classes' directory and the unikernel file.
fn unikernel() -> &'static (String, PathBuf) {
    static FILE: OnceLock<(String, PathBuf)> = OnceLock::new();
    FILE.get_or_init(|| {
        let classes = cache_dir("runtimes").join("classes");
        let classes = classes.to_str().expect("UTF-8").to_owned();
        let folder = format!("{PROGRAMS}/java");
        let sources = sources(Path::new(&folder));
        let mut words = vec!["-d", classes.as_str()];
        words.extend(sources.iter().map(String::as_str));
        tool(&format!("{HOME}/bin/javac"), &words);
        let includes = [
            &format!("{HOME}/lib"),
            &format!("{HOME}/conf"),
            "/etc/java-17-openjdk",
            classes.as_str(),
        ];
        let file = build("java", &format!("{HOME}/bin/java"), includes);
        (classes, file)
    })
}

fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is in the repository");
    entries
        .map(|entry| entry.expect("the folder can be read").path())
        .map(|path| path.to_str().expect("UTF-8").to_owned())
        .collect()
}

fn prints_the_same(class: &str, options: &[&str], code: i32) -> Result<(), Failed> {
    let (java, javac) = (format!("{HOME}/bin/java"), format!("{HOME}/bin/javac"));
    if has_all(class, &[Need::Kvm, Need::File(&java), Need::File(&javac)]) {
        let (classes, file) = unikernel();
        let args = [options, &["-cp", classes.as_str(), class, "a", "b"]].concat();
        let native = native(&java, &args, &[]);
        native.assert_code(code);
        Unikiln::run(file)
            .options(["--memory", "512M", "--cpus", "2"])
            .args(&args)
            .output()
            .assert_same(&native);
    }
    Ok(())
}
