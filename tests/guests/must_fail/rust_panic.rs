//! rust_panic: an uncaught panic prints its message and exits with 101.
//! build: rust
//! exit: 101
//! no-record: yes
//! stderr: index out of bounds: the len is 3 but the index is 7

fn main() {
    let numbers = vec![1, 2, 3];
    let index = std::env::args().count() + 6;
    println!("about to panic");
    println!("{}", numbers[index]);
}
