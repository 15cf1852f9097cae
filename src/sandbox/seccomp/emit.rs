//! Ranges of equal decisions become a balanced tree of classic BPF.
//!
//! ```text
//!   architecture foreign? ─ kill        number of another ABI? ─ kill        unknown? ─ ENOSYS
//!   number ≥ middle ──► right half
//!        └────────────► left half … down to one range: allow, refuse, or look at the arguments
//! ```
//!
//! A conditional jump reaches 255 instructions; where a half is longer, an unconditional jump, which
//! reaches as far as a program may be long, takes over.

use super::{Condition, Decision, Policy, Rule, arch};
use crate::sys::privilege::Instruction;

/// Offsets into `seccomp_data`, little endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const IF_ANY: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A filter, ready to be loaded.
#[derive(Debug, Clone)]
pub struct Program(Vec<Instruction>);

/// Numbers `from..` up to the next range, all decided alike.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: u32,
    decision: Decision,
}

/// The program that decides as `policy` does.
pub fn program(policy: &Policy) -> Program {
    let mut out = vec![
        plain(LOAD, ARCHITECTURE),
        branch(IF_EQUAL, arch::AUDIT, 1, 0),
        plain(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        plain(LOAD, NUMBER),
    ];
    if let Some(first) = arch::OTHER_ABI {
        out.push(branch(IF_AT_LEAST, first, 0, 1));
        out.push(plain(RETURN, libc::SECCOMP_RET_KILL_PROCESS));
    }
    out.extend(tree(&ranges(policy)));
    Program(out)
}

fn ranges(policy: &Policy) -> Vec<Range> {
    let mut out: Vec<Range> = Vec::new();
    // One past the highest stands for everything above it.
    for number in 0..=arch::HIGHEST + 1 {
        let decision = policy.decide(number);
        if out.last().is_none_or(|last| last.decision != decision) {
            out.push(Range { from: number, decision });
        }
    }
    out
}

fn tree(ranges: &[Range]) -> Vec<Instruction> {
    let [only] = ranges else {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let middle = high[0].from;
        let (low, high) = (tree(low), tree(high));
        let skip = low.len();
        let mut out = match u8::try_from(skip) {
            Ok(near) => vec![branch(IF_AT_LEAST, middle, near, 0)],
            Err(_) => vec![branch(IF_AT_LEAST, middle, 0, 1), plain(JUMP, length(skip))],
        };
        out.extend(low);
        out.extend(high);
        return out;
    };
    match only.decision {
        Decision::Allow => vec![verdict(None)],
        Decision::Refuse(errno) => vec![verdict(Some(errno))],
        Decision::Arguments(rules) => rules.iter().flat_map(rule).collect(),
    }
}

/// A rule is a block that ends in its verdict; a condition that does not hold jumps behind the block.
fn rule(rule: &Rule) -> Vec<Instruction> {
    let mut out = vec![verdict(rule.refuse)];
    for condition in rule.when.iter().rev() {
        let behind = u8::try_from(out.len()).expect("a rule has a handful of conditions");
        let mut test = check(*condition, behind);
        test.append(&mut out);
        out = test;
    }
    out
}

/// Falls through when the condition holds, otherwise skips `behind` instructions after itself.
fn check(condition: Condition, behind: u8) -> Vec<Instruction> {
    let low = |argument: u8| plain(LOAD, ARGUMENTS + 8 * u32::from(argument));
    let high = |argument: u8| plain(LOAD, ARGUMENTS + 8 * u32::from(argument) + 4);
    match condition {
        Condition::Is(argument, value) => {
            vec![low(argument), branch(IF_EQUAL, value, 0, behind)]
        }
        Condition::Masked(argument, mask, value) => {
            vec![low(argument), plain(AND, mask), branch(IF_EQUAL, value, 0, behind)]
        }
        Condition::Any(argument, bits) => {
            vec![low(argument), branch(IF_ANY, bits, 0, behind)]
        }
        Condition::Given(argument) => vec![
            low(argument),
            branch(IF_ANY, u32::MAX, 2, 0),
            high(argument),
            branch(IF_ANY, u32::MAX, 0, behind),
        ],
    }
}

fn verdict(refuse: Option<i32>) -> Instruction {
    plain(
        RETURN,
        match refuse {
            None => libc::SECCOMP_RET_ALLOW,
            Some(errno) => {
                libc::SECCOMP_RET_ERRNO | (errno.cast_unsigned() & libc::SECCOMP_RET_DATA)
            }
        },
    )
}

fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

fn branch(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn length(instructions: usize) -> u32 {
    u32::try_from(instructions).expect("the kernel takes 4,096 instructions at most")
}

// === impl Program ===

impl Program {
    /// Its instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}
