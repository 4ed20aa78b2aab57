//! A container's program: arguments, environment, working directory.

use oci_spec::runtime::Process;

use crate::handler::{HandlerError, Launch};

/// Where programs are looked for unless somebody says otherwise.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Sets what of the process is not about security.
pub(super) fn fill(process: &mut Process, launch: &Launch<'_>) -> Result<(), HandlerError> {
    let config = launch.config;
    process.set_terminal(Some(config.tty));
    process.set_args(Some(arguments(launch)?));
    process.set_env(Some(environment(launch)?));
    let directories = [&config.working_dir, &launch.image.working_dir];
    let directory = directories.into_iter().find(|path| !path.is_empty());
    let directory = directory.map_or("/", String::as_str);
    if !directory.starts_with('/') {
        let text = format!("working directory {directory:?} is not absolute");
        return Err(HandlerError::Invalid(text));
    }
    process.set_cwd(directory.into());
    Ok(())
}

/// As docker has it: a command of kubelet's makes the image's arguments void, too.
fn arguments(launch: &Launch<'_>) -> Result<Vec<String>, HandlerError> {
    let (config, image) = (launch.config, launch.image);
    let (command, arguments) = if config.command.is_empty() {
        let own = if config.args.is_empty() {
            &image.cmd
        } else {
            &config.args
        };
        (&image.entrypoint, own)
    } else {
        (&config.command, &config.args)
    };
    let all: Vec<_> = command.iter().chain(arguments).cloned().collect();
    if all.first().is_none_or(String::is_empty) {
        let text = "there is nothing to run: neither the container nor its image has a command";
        return Err(HandlerError::Invalid(text.to_owned()));
    }
    if all.iter().any(|argument| argument.contains('\0')) {
        let text = "an argument of the command has a NUL byte".to_owned();
        return Err(HandlerError::Invalid(text));
    }
    Ok(all)
}

/// The image's, with the pod's name as `HOSTNAME`, and kubelet's over it.
fn environment(launch: &Launch<'_>) -> Result<Vec<String>, HandlerError> {
    let mut environment: Vec<String> = vec![PATH.to_owned()];
    if launch.config.tty {
        set(&mut environment, "TERM=xterm".to_owned());
    }
    for entry in &launch.image.env {
        set(&mut environment, entry.clone());
    }
    if !launch.pod.hostname.is_empty() {
        set(
            &mut environment,
            format!("HOSTNAME={}", launch.pod.hostname),
        );
    }
    for entry in &launch.config.envs {
        let is_bad = entry.key.is_empty() || entry.key.contains(['=', '\0']);
        let value = std::str::from_utf8(&entry.value).ok();
        let Some(value) = value.filter(|value| !is_bad && !value.contains('\0')) else {
            let text = format!("environment variable {:?} cannot be set", entry.key);
            return Err(HandlerError::Invalid(text));
        };
        set(&mut environment, format!("{}={value}", entry.key));
    }
    Ok(environment)
}

/// The last one of a name counts, at the first one's place.
fn set(environment: &mut Vec<String>, entry: String) {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let wanted = name(&entry);
    match environment.iter_mut().find(|there| name(there) == wanted) {
        Some(there) => *there = entry,
        None => environment.push(entry),
    }
}
