//! rust_abort: a panic while panicking aborts.
//! build: rust
//! exit: 134
//! record: SIGABRT (raised by the program itself)|called from|PanicsInDrop
//! stderr: panicked

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("second");
    }
}

fn main() {
    let _guard = PanicsInDrop;
    panic!("first");
}
