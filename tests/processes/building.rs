//! make, which starts gcc, which starts cc1, as, collect2 and ld; and git, which is many
//! programs itself.

use libtest_mimic::{Failed, Trial};

use crate::image::{can_run, guest};

/// What `build.sh` prints. The ids of commits are hashes of all that is in them.
const BUILT: &str = "\
fired at 1240 degrees
'kiln' is up to date.
2
ece1fbd second firing
6b700ad first firing
 main.c | 1 +
 1 file changed, 1 insertion(+)
ece1fbd7a2c6
hook
2
";

/// One for all.
pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("building::make_gcc_git", make_gcc_git)]
}

fn make_gcc_git() -> Result<(), Failed> {
    if can_run("make_gcc_git", &[]) {
        guest("/bin/bash")
            .args(["/srv/build/build.sh"])
            .output()
            .assert_code(0)
            .assert_stdout(BUILT);
    }
    Ok(())
}
