//! Starts a process by the standard library.

fn main() {
    let ended = std::process::Command::new("/bin/true").status();
    println!("{}", ended.expect("it starts"));
}
