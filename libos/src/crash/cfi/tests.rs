//! Real unwind tables: those of this test program.

use super::*;
use std::hint::black_box;

fn own_program() -> (Vec<u8>, Module) {
    let bytes = std::fs::read("/proc/self/exe").unwrap();
    let module = Module::read(&bytes[..]).unwrap();
    (bytes, module)
}

fn own_bias() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    u64::from_str_radix(maps.split('-').next().unwrap(), 16).unwrap()
}

/// Starts of all functions in the bisection table.
fn functions(bytes: &[u8], module: &Module) -> Vec<u64> {
    let base = module.unwind_header().unwrap();
    let offset = module.offset_of(base).unwrap() as usize;
    let count = u32::from_le_bytes(bytes[offset + 8..offset + 12].try_into().unwrap()) as usize;
    (0..count)
        .map(|index| {
            let at = offset + 12 + index * 8;
            let start = i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            base.wrapping_add_signed(i64::from(start))
        })
        .collect()
}

/// Memory whose words are their own address.
fn mirror(address: u64) -> Option<u64> {
    Some(address)
}

fn at_stack(sp: u64) -> Values {
    let mut values = [Some(0x5000); REGISTERS];
    values[RSP] = Some(sp);
    values
}

#[test]
fn at_its_first_instruction_a_function_has_the_return_address_on_top() {
    let (bytes, module) = own_program();
    let functions = functions(&bytes, &module);
    assert!(functions.len() > 500);
    let mut right = 0;
    for start in &functions {
        let Some(caller) = step(&module, &bytes[..], *start, &at_stack(0x7000), &mirror) else {
            continue;
        };
        right += usize::from(caller[RIP] == Some(0x7000) && caller[RSP] == Some(0x7008));
    }
    // Not so for parts of functions that were split off, the PLT and _start.
    assert!(
        right * 10 > functions.len() * 8,
        "{right} of {}",
        functions.len()
    );
}

#[test]
fn no_place_in_any_function_trips_the_interpreter() {
    let (mut bytes, module) = own_program();
    let functions = functions(&bytes, &module);
    for start in functions.iter().step_by(17) {
        for distance in 0..40 {
            step(
                &module,
                &bytes[..],
                start + distance,
                &at_stack(0x7000),
                &mirror,
            );
        }
    }
    // The same with every byte of the tables changed a little.
    let base = module.offset_of(module.unwind_header().unwrap()).unwrap() as usize;
    let end = (base + (1 << 20)).min(bytes.len());
    for (index, byte) in bytes[base..end].iter_mut().enumerate() {
        if index % 5 == 0 {
            *byte = byte.wrapping_add(index as u8);
        }
    }
    for start in functions.iter().step_by(17) {
        step(&module, &bytes[..], *start, &at_stack(0x7000), &mirror);
    }
}

/// Unwinds from inside itself, as far as its caller.
#[inline(never)]
#[expect(unsafe_code, reason = "reads its own registers")]
fn unwound_return_address() -> u64 {
    let (bytes, module) = own_program();
    let bias = own_bias();
    let mut values = [None; REGISTERS];
    let (pc, sp, bp, bx): (u64, u64, u64, u64);
    // SAFETY: copies registers.
    unsafe {
        core::arch::asm!(
            "lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", "mov {}, rbx",
            out(reg) pc, out(reg) sp, out(reg) bp, out(reg) bx,
        );
    }
    (values[RIP], values[RSP], values[RBP], values[3]) = (Some(pc), Some(sp), Some(bp), Some(bx));
    // SAFETY: reads this thread's own stack.
    let load = |at: u64| Some(unsafe { *core::ptr::with_exposed_provenance::<u64>(at as usize) });
    let caller = step(&module, &bytes[..], pc - bias, &values, &load).unwrap();
    caller[RIP].unwrap() - bias
}

#[inline(never)]
fn caller_to_be_found() -> u64 {
    black_box(unwound_return_address()) + black_box(0)
}

#[test]
fn a_real_frame_is_unwound_to_its_caller() {
    let (bytes, module) = own_program();
    let found = caller_to_be_found();
    let symbol = module.symbol(&bytes[..], found).unwrap();
    assert!(
        symbol.name.contains("caller_to_be_found"),
        "{}",
        symbol.name
    );
}

#[test]
fn search_and_bisection_agree() {
    let (bytes, module) = own_program();
    for start in functions(&bytes, &module).iter().step_by(101) {
        let found = find_entry(&module, &bytes[..], *start);
        assert!(found.is_some());
        assert_eq!(found, search_entry(&module, &bytes[..], *start));
    }
}

#[test]
fn addresses_outside_of_any_function_have_no_caller() {
    let (bytes, module) = own_program();
    assert!(step(&module, &bytes[..], 0, &at_stack(0x7000), &mirror).is_none());
    assert!(step(&module, &bytes[..], u64::MAX, &at_stack(0x7000), &mirror).is_none());
}
