//! perl, ruby, php and lua: a greeting and a small benchmark each.

use libtest_mimic::{Failed, Trial};

use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, native};
use crate::image::{Image, PROGRAMS};

/// Name and ending of the programs `scripts/bench.*`.
static LANGUAGES: [(Image, &str); 4] = [
    (
        Image::new(
            "perl",
            "/usr/bin/perl",
            &["/usr/share/perl", "/usr/lib/x86_64-linux-gnu/perl", SCRIPTS],
        ),
        "pl",
    ),
    (
        Image::new(
            "ruby",
            "/usr/bin/ruby3.1",
            &["/usr/lib/ruby", "/usr/lib/x86_64-linux-gnu/ruby", SCRIPTS],
        ),
        "rb",
    ),
    (
        Image::new(
            "php",
            "/usr/bin/php8.2",
            &["/usr/lib/php", "/etc/php", SCRIPTS],
        ),
        "php",
    ),
    (Image::new("lua", "/usr/bin/lua5.4", &[SCRIPTS]), "lua"),
];

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runtimes/scripts");

/// One for each language.
pub(crate) fn trials() -> Vec<Trial> {
    LANGUAGES
        .iter()
        .map(|(image, ending)| {
            Trial::test(format!("scripts::{ending}"), move || {
                prints_the_same(image, ending)
            })
        })
        .collect()
}

fn prints_the_same(image: &Image, ending: &str) -> Result<(), Failed> {
    if has_all(ending, &[Need::Kvm, Need::File(image.program())]) {
        let args = [format!("{PROGRAMS}/scripts/bench.{ending}"), "a".to_owned()];
        let native = native(image.program(), &args, &[]);
        native.assert_code(0);
        Unikiln::run(image.file())
            .options(["--cpus", "2"])
            .args(&args)
            .output()
            .assert_same(&native);
    }
    Ok(())
}
