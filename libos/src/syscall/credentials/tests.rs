//! The rules of set*id.

use super::*;

const USER: Ids = Ids {
    real: 1000,
    effective: 1000,
    saved: 0,
};

#[test]
fn a_user_may_go_back_to_the_saved_id() {
    assert_eq!(
        USER.set(false, 0),
        Ok(Ids {
            effective: 0,
            ..USER
        })
    );
    assert_eq!(USER.set(false, 7), Err(Errno::EPERM));
    assert_eq!(USER.set(true, KEEP), Err(Errno::EINVAL));
    assert_eq!(
        USER.set(true, 7),
        Ok(Ids {
            real: 7,
            effective: 7,
            saved: 7
        })
    );
}

#[test]
fn a_pair_moves_the_saved_id_along() {
    let swapped = USER.set_pair(false, KEEP, 0).unwrap();
    assert_eq!(
        swapped,
        Ids {
            real: 1000,
            effective: 0,
            saved: 0
        }
    );
    assert_eq!(USER.set_pair(false, 0, KEEP), Err(Errno::EPERM));
    assert_eq!(USER.set_pair(true, 5, KEEP).unwrap().saved, 1000);
}

#[test]
fn three_ids_are_set_apart() {
    assert_eq!(
        USER.set_all(false, [KEEP, 0, KEEP]),
        Ok(Ids {
            effective: 0,
            ..USER
        })
    );
    assert_eq!(USER.set_all(false, [KEEP, KEEP, 9]), Err(Errno::EPERM));
}
