//! `host:` images, `pack`, and the command line.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use unikiln_builder::{BuildOptions, ImageRef, NoProgress, PackOptions, build, pack};

use crate::image::message;
use crate::view::View;

fn host(program: &str) -> ImageRef {
    ImageRef::Host {
        program: program.into(),
    }
}

fn include(paths: &[&Path]) -> BuildOptions {
    let include = paths.iter().map(PathBuf::from).collect();
    BuildOptions {
        include,
        ..BuildOptions::default()
    }
}

fn unlinked() -> BuildOptions {
    BuildOptions {
        no_link: true,
        ..BuildOptions::default()
    }
}

fn run(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_unikiln-builder");
    Command::new(program).args(arguments).output().expect("run")
}

#[test]
fn a_dynamic_program_runs_in_its_image() {
    let directory = tempfile::tempdir().expect("directory");
    let output = directory.path().join("ls.uk");
    // Here it runs without a libOS.
    let report = build(&host("/bin/ls"), &output, &unlinked(), &mut NoProgress).expect("build");
    assert_eq!(report.manifest.entrypoint, ["/bin/ls"]);
    assert_eq!(report.manifest.linking, None);
    let Some(view) = View::new(&output) else {
        return;
    };
    assert_eq!(
        view.path("tmp")
            .metadata()
            .expect("tmp")
            .permissions()
            .mode()
            & 0o7777,
        0o1777
    );
    for name in ["dev", "proc", "sys", "etc/passwd", "etc/group"] {
        assert!(view.has(name), "{name}");
    }
    let output = Command::new("chroot")
        .arg(view.root())
        .args(["/bin/ls", "-a", "/"])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("proc") && said.contains("usr"), "{said}");
        }
        other => eprintln!("SKIP: cannot chroot here: {other:?}"),
    }
}

#[test]
fn names_are_looked_up_and_unknown_ones_refused() {
    let directory = tempfile::tempdir().expect("directory");
    let output = directory.path().join("a.uk");
    build(
        &host("ls"),
        &output,
        &BuildOptions::default(),
        &mut NoProgress,
    )
    .expect("build");
    for name in ["/nonexistent/program", "no-such-program-anywhere"] {
        let error = build(
            &host(name),
            &output,
            &BuildOptions::default(),
            &mut NoProgress,
        )
        .expect_err("refused");
        assert!(message(&error).contains(name), "{}", message(&error));
    }
}

#[test]
fn scripts_bring_their_interpreters_and_includes_their_links() {
    let directory = tempfile::tempdir().expect("directory");
    let root = directory.path();
    let script = root.join("script");
    fs::write(&script, "#!/usr/bin/env sh\necho hi\n").expect("write");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("permissions");
    let data = root.join("data");
    fs::create_dir_all(data.join("deep")).expect("directory");
    fs::write(data.join("deep/file"), "contents").expect("write");
    fs::write(root.join("elsewhere"), "linked").expect("write");
    symlink("../elsewhere", data.join("link")).expect("symlink");
    symlink("nowhere", data.join("dangling")).expect("symlink");

    let output = root.join("a.uk");
    let script_name = script.to_str().expect("utf-8");
    build(
        &host(script_name),
        &output,
        &include(&[&data]),
        &mut NoProgress,
    )
    .expect("build");
    let Some(view) = View::new(&output) else {
        return;
    };
    let inside = |path: &Path| {
        path.strip_prefix("/")
            .expect("absolute")
            .display()
            .to_string()
    };
    assert!(view.has("usr/bin/env"));
    assert!(view.path("bin/sh").symlink_metadata().is_ok());
    assert_eq!(view.text(&inside(&data.join("deep/file"))), "contents");
    assert_eq!(view.text(&inside(&data.join("link"))), "linked");
    assert!(view.has(&inside(&data.join("dangling"))));

    let missing = include(&[Path::new("/nonexistent/include")]);
    let error = build(&host(script_name), &output, &missing, &mut NoProgress).expect_err("refused");
    assert!(message(&error).contains("/nonexistent/include"));
}

#[test]
fn a_packed_image_builds_and_is_the_same_every_time() {
    let directory = tempfile::tempdir().expect("directory");
    let programs = [PathBuf::from("/bin/ls"), PathBuf::from("/bin/cat")];
    let reports = ["one", "two"].map(|name| {
        let reference = ImageRef::Oci {
            directory: directory.path().join(name),
            tag: Some("v1".to_owned()),
        };
        pack(&programs, &reference, &PackOptions::default()).expect("pack")
    });
    assert_eq!(reports[0], reports[1]);

    let output = directory.path().join("a.uk");
    let text = format!("oci:{}:v1", directory.path().join("one").display());
    let reference = ImageRef::parse(&text).expect("reference");
    let report = build(&reference, &output, &unlinked(), &mut NoProgress).expect("build");
    assert_eq!(report.manifest.entrypoint, ["/bin/ls"]);
    assert_eq!(report.manifest.image.digest, reports[0].manifest_digest);
    let Some(view) = View::new(&output) else {
        return;
    };
    // An image holds what was packed: only a unikernel is linked.
    for file in ["usr/bin/cat", "lib64/ld-linux-x86-64.so.2"] {
        let here = fs::read(Path::new("/").join(file)).expect("here");
        let packed = fs::canonicalize(Path::new("/").join(file)).expect("here");
        let packed = packed.strip_prefix("/").expect("absolute").display();
        let packed = fs::read(view.path(&packed.to_string())).expect("packed");
        assert!(packed == here, "{file}");
    }
    let error = pack(&programs, &host("x"), &PackOptions::default()).expect_err("refused");
    assert!(message(&error).contains("oci:DIR"));
}

#[test]
fn the_command_line_builds_inspects_and_fails_with_125() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("ls.uk");
    let file = file.to_str().expect("utf-8");
    let built = run(&["build", "host:/bin/ls", "-o", file]);
    assert!(
        built.status.success() && built.stderr.is_empty(),
        "{built:?}"
    );
    let inspected = run(&["inspect", file, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&inspected.stdout).expect("json");
    assert_eq!(json["manifest"]["entrypoint"][0], "/bin/ls");
    let linking = &json["manifest"]["linking"];
    let count = |name: &str| linking[name].as_u64().expect("a count");
    let left: u64 = linking["leftSites"]
        .as_object()
        .expect("reasons")
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert!(count("boundSites") > 100, "{linking}");
    assert_eq!(count("sites"), count("boundSites") + left, "{linking}");
    let human = run(&["inspect", file]);
    let human = String::from_utf8_lossy(&human.stdout).into_owned();
    assert!(human.contains("entrypoint      \"/bin/ls\""), "{human}");
    assert!(human.contains("\nlinked          version "), "{human}");
    assert!(
        run(&["build", "host:/bin/ls", "-o", file, "--no-link"])
            .status
            .success()
    );
    let human = run(&["inspect", file]);
    assert!(String::from_utf8_lossy(&human.stdout).contains("\nlinked          no"));

    for arguments in [
        &["build", "host:/nonexistent", "-o", file][..],
        &["build", "busybox", "-o", file],
        &[
            "build",
            "oci:/nonexistent:a",
            "-o",
            file,
            "--include",
            "/etc",
        ],
        &["build", "host:/bin/ls", "-o", "/nonexistent/directory/a.uk"],
        &["build", "host:/bin/ls", "-o", "/dev/null"],
        &["build", "host:/bin/ls", "-o", "/tmp"],
        &["build", "host:/bin/ls", "-o", file, "--max-unpacked", "1Q"],
        &["inspect", "/bin/ls"],
        &["pack", "/bin/ls", "-o", "host:/x"],
        &["nonsense"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        assert!(
            !output.stderr.is_empty() && output.stdout.is_empty(),
            "{arguments:?}"
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
    }
    assert!(
        Path::new(file).exists(),
        "a failed build must keep the file"
    );
}
