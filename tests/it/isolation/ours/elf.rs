//! As much of the ELF format as tells how a program was hardened: 64-bit, little-endian.

/// `e_type` of a program that can be loaded anywhere.
const SHARED: u16 = 3;
const PT_DYNAMIC: u32 = 2;
const PT_GNU_STACK: u32 = 0x6474_E551;
const PT_GNU_RELRO: u32 = 0x6474_E552;
const EXECUTABLE: u32 = 1;
const DT_BIND_NOW: u64 = 24;
const DT_FLAGS: u64 = 30;
const DF_BIND_NOW: u64 = 8;
const DT_FLAGS_1: u64 = 0x6FFF_FFFB;
const DF_1_NOW: u64 = 1;

fn number(file: &[u8], at: usize, bytes: usize) -> u64 {
    file[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn place(file: &[u8], at: usize) -> usize {
    usize::try_from(number(file, at, 8)).expect("an offset in a file")
}

/// A segment: its type, its flags, and where it lies in the file.
struct Segment<'f> {
    kind: u64,
    flags: u64,
    content: &'f [u8],
}

fn segments(file: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let (first, size) = (place(file, 32), number(file, 54, 2) as usize);
    let count = number(file, 56, 2) as usize;
    (0..count).map(move |index| {
        let at = first + index * size;
        let (from, length) = (place(file, at + 8), place(file, at + 32));
        Segment {
            kind: number(file, at, 4),
            flags: number(file, at + 4, 4),
            content: &file[from..from + length],
        }
    })
}

/// What is wrong with how a program was built.
pub(super) fn faults(file: &[u8]) -> Vec<&'static str> {
    assert_eq!(&file[..6], b"\x7FELF\x02\x01", "a 64-bit little-endian program");
    let mut found = Vec::new();
    if number(file, 16, 2) != u64::from(SHARED) {
        found.push("it is loaded at a fixed address");
    }
    let of_kind = |kind: u32| segments(file).find(move |one| one.kind == u64::from(kind));
    match of_kind(PT_GNU_STACK) {
        Some(stack) if stack.flags & u64::from(EXECUTABLE) == 0 => {}
        _ => found.push("its stack is executable"),
    }
    if of_kind(PT_GNU_RELRO).is_none() {
        found.push("its relocations stay writable");
    }
    let bound_at_start = of_kind(PT_DYNAMIC).is_some_and(|dynamic| {
        dynamic.content.chunks_exact(16).any(|entry| {
            let (tag, value) = (number(entry, 0, 8), number(entry, 8, 8));
            match tag {
                DT_BIND_NOW => true,
                DT_FLAGS => value & DF_BIND_NOW != 0,
                DT_FLAGS_1 => value & DF_1_NOW != 0,
                _ => false,
            }
        })
    });
    if !bound_at_start {
        found.push("its symbols are bound when they are used");
    }
    found
}

/// The file with everything undone that [`faults`] looks for.
pub(super) fn undone(mut file: Vec<u8>) -> Vec<u8> {
    /// `e_type` of a program for one address.
    const FIXED: u8 = 2;
    file[16] = FIXED;
    let (first, size) = (place(&file, 32), number(&file, 54, 2) as usize);
    for index in 0..number(&file, 56, 2) as usize {
        let at = first + index * size;
        match u32::try_from(number(&file, at, 4)) {
            Ok(PT_GNU_STACK) => file[at + 4] |= EXECUTABLE as u8,
            // Type 0: nothing that anybody looks at.
            Ok(PT_GNU_RELRO | PT_DYNAMIC) => file[at..at + 4].fill(0),
            _ => {}
        }
    }
    file
}
