//! What this machine's CPU lacks. It is no part of what a unikernel file says:
//! that is the same wherever it is built.

use unikiln_unikernel::{Severity, Verdict};

use super::finding;

/// The verdict for a guest on this machine.
pub(super) fn compare(verdict: Verdict) -> Verdict {
    let level = level();
    let program = (verdict.needs.programs.iter()).find(|program| program.isa_level > level);
    let Some(program) = program else {
        return verdict;
    };
    let what = format!(
        "{} is made for x86-64-v{} CPUs, this machine's is x86-64-v{level}",
        program.path, program.isa_level
    );
    let advice = "run it on a newer machine, or take an image for plain x86-64";
    let finding = finding(Severity::Warning, "isa-level", what, advice);
    verdict.with(finding)
}

/// The x86-64 architecture level of this machine (psABI, "Micro-architecture levels").
fn level() -> u8 {
    let has_v2 = is_x86_feature_detected!("sse4.2")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("cmpxchg16b");
    let has_v3 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("movbe");
    let has_v4 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (has_v2, has_v3, has_v4) {
        (true, true, true) => 4,
        (true, true, false) => 3,
        (true, false, _) => 2,
        (false, ..) => 1,
    }
}

#[cfg(test)]
mod tests {
    use unikiln_unikernel::{Answer, Needs, ProgramNeeds, Verdict};

    use super::{compare, level};

    #[test]
    fn programs_for_newer_machines_are_named() {
        let verdict = |isa_level| {
            let program = ProgramNeeds {
                path: "/p".into(),
                isa_level,
                ..ProgramNeeds::default()
            };
            let needs = Needs {
                programs: vec![program],
                ..Needs::default()
            };
            compare(Verdict::new(Vec::new(), needs, None))
        };
        assert_eq!(verdict(level()).answer, Answer::Runs);
        let newer = verdict(level() + 1);
        assert_eq!(newer.answer, Answer::MayNot);
        assert!(newer.summary.contains("/p is made for x86-64-v"), "{newer}");
    }
}
