//! Ranges of equal decisions become a balanced tree of classic BPF.
//!
//! ```text
//!   architecture foreign? ─ kill
//!   number ≥ middle ──► upper half
//!        └────────────► lower half … down to one range: a verdict, or a look at the arguments
//! ```
//!
//! Loading makes the kernel run the program once for every number (1.2 µs for each step they all
//! take) and translate it (0.1 µs for each instruction; both measured). So the halves are equal in numbers
//! and not in ranges, and verdicts and what several rules look at are shared: a program is
//! written from its end to its beginning (jumps only lead forwards, so what they lead to is there
//! already), and a branch goes straight to a verdict that is within the 255 instructions that it
//! reaches. Where none is, there will be a new one; where a half of the tree is further away, an
//! unconditional jump, which reaches as far as a program may be long, takes over.

use super::{Condition, Decision, Policy, Rule, Verdict, arch};
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
    /// How many of them the kernel asks about when the program is loaded, about.
    numbers: u32,
    decision: Decision,
}

/// Where a branch leads.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// To a verdict, wherever one lies.
    Verdict(Verdict),
    /// To the instruction that is this many from the end, itself counted.
    At(usize),
}

/// A test of one condition.
#[derive(Debug, Clone, Copy)]
struct Test {
    /// Where it begins.
    start: Target,
    /// What it looks at first, an argument and a mask, and where it goes on once that is loaded.
    loaded: Option<((u8, u32), Target)>,
}

/// A program that grows from its end.
#[derive(Debug, Default)]
struct Draft {
    /// The last instruction first.
    reversed: Vec<Instruction>,
    /// Each verdict, where it was written last; a handful.
    verdicts: Vec<(Verdict, usize)>,
}

/// How far a conditional jump reaches.
const REACH: usize = u8::MAX as usize;

/// The program that decides as `policy` does.
pub fn program(policy: &Policy) -> Program {
    let mut draft = Draft::default();
    let tree = draft.tree(&ranges(policy));
    draft.must_follow(tree);
    draft.push(plain(LOAD, NUMBER));
    let number = draft.here();
    let entry = draft.branch(IF_EQUAL, arch::AUDIT, number, Target::Verdict(Verdict::Kill));
    draft.must_follow(entry);
    draft.push(plain(LOAD, ARCHITECTURE));
    draft.reversed.reverse();
    Program(draft.reversed)
}

fn ranges(policy: &Policy) -> Vec<Range> {
    let mut out: Vec<Range> = Vec::new();
    // One past the highest stands for everything above it.
    for number in 0..=arch::HIGHEST + 1 {
        let decision = policy.decide(number);
        match out.last_mut() {
            Some(last) if last.decision == decision => last.numbers += 1,
            _ => out.push(Range { from: number, numbers: 1, decision }),
        }
    }
    let kill = Decision::Always(Verdict::Kill);
    out.extend(arch::OTHER_ABI.map(|from| Range { from, numbers: 1, decision: kill }));
    out
}

/// Where to divide ranges so that both halves have about as many numbers.
fn middle(ranges: &[Range]) -> usize {
    let all: u32 = ranges.iter().map(|range| range.numbers).sum();
    let mut below = 0;
    let divided = ranges.iter().position(|range| {
        below += range.numbers;
        // The range in the middle goes to the side on which it weighs less.
        2 * below > all + range.numbers
    });
    divided.unwrap_or(ranges.len()).clamp(1, ranges.len() - 1)
}

// === impl Draft ===

impl Draft {
    /// Decides about numbers of these ranges.
    fn tree(&mut self, ranges: &[Range]) -> Target {
        let [only] = ranges else {
            let (low, high) = ranges.split_at(middle(ranges));
            let middle = high[0].from;
            let high = self.tree(high);
            let low = self.tree(low);
            return self.branch(IF_AT_LEAST, middle, high, low);
        };
        match only.decision {
            Decision::Always(verdict) => Target::Verdict(verdict),
            Decision::Arguments(rules) => self.rules(rules),
        }
    }

    fn rules(&mut self, rules: &[Rule]) -> Target {
        let rules: Vec<_> = rules.iter().map(|rule| (rule.when, rule.then)).collect();
        // The last one has no conditions: nothing falls off the end.
        let nowhere = Test { start: Target::Verdict(Verdict::Kill), loaded: None };
        self.conditions(&rules, nowhere).start
    }

    /// Each rule is tried before those behind it, so the last one is written first. Neighbours that
    /// begin with the same condition test it once; what none of them decides goes on at `next`.
    fn conditions(&mut self, rules: &[(&[Condition], Verdict)], next: Test) -> Test {
        let alike = |one: &(&[Condition], Verdict), other: &(&[Condition], Verdict)| {
            one.0.first().is_some_and(|first| other.0.first() == Some(first))
        };
        rules.chunk_by(alike).rev().fold(next, |next, rules| match rules[0] {
            ([], then) => Test { start: Target::Verdict(then), loaded: None },
            ([first, ..], _) => {
                let rest: Vec<_> = rules.iter().map(|(when, then)| (&when[1..], *then)).collect();
                let met = self.conditions(&rest, next);
                self.condition(*first, met.start, next)
            }
        })
    }

    /// Goes on at `met`, or at `unmet`; where that one looks at the same thing first, behind its load.
    fn condition(&mut self, condition: Condition, met: Target, unmet: Test) -> Test {
        let low = |argument: u8| plain(LOAD, ARGUMENTS + 8 * u32::from(argument));
        let high = |argument: u8| plain(LOAD, ARGUMENTS + 8 * u32::from(argument) + 4);
        let (code, argument, mask, k) = match condition {
            Condition::Is(argument, value) => (IF_EQUAL, argument, u32::MAX, value),
            Condition::Masked(argument, mask, value) => (IF_EQUAL, argument, mask, value),
            Condition::Any(argument, bits) => (IF_ANY, argument, u32::MAX, bits),
            Condition::Absent(argument) => {
                let upper = self.branch(IF_EQUAL, 0, met, unmet.start);
                let upper = self.before(upper, high(argument));
                let lower = self.branch(IF_EQUAL, 0, upper, unmet.start);
                return Test { start: self.before(lower, low(argument)), loaded: None };
            }
        };
        let unmet = match unmet.loaded {
            Some((loaded, target)) if loaded == (argument, mask) => target,
            _ => unmet.start,
        };
        let test = self.branch(code, k, met, unmet);
        let masked = match mask {
            u32::MAX => test,
            mask => self.before(test, plain(AND, mask)),
        };
        Test { start: self.before(masked, low(argument)), loaded: Some(((argument, mask), test)) }
    }

    /// Writes an instruction that goes on at `next`.
    fn before(&mut self, next: Target, instruction: Instruction) -> Target {
        self.must_follow(next);
        self.push(instruction);
        self.here()
    }

    /// Writes a conditional jump, and before it whatever it takes to reach both of its ends.
    fn branch(&mut self, code: u16, k: u32, met: Target, unmet: Target) -> Target {
        // What one end needs may move the other out of reach: by two instructions at most.
        let met = self.reachable(met, REACH - 2);
        let unmet = self.reachable(unmet, REACH - 1);
        let jump = |to: usize| u8::try_from(self.reversed.len() - to).expect("it is within reach");
        let (jt, jf) = (jump(met), jump(unmet));
        self.push(Instruction { code, jt, jf, k });
        self.here()
    }

    /// A place that does what `target` does, at most `reach` instructions behind the next one.
    fn reachable(&mut self, target: Target, reach: usize) -> usize {
        let near = |at: usize| self.reversed.len() - at <= reach;
        match target {
            Target::At(at) if near(at) => at,
            Target::At(at) => {
                let distance = self.reversed.len() - at;
                self.push(plain(JUMP, u32::try_from(distance).expect("a program is short")));
                self.reversed.len()
            }
            Target::Verdict(verdict) => {
                let written = self.verdicts.iter().find(|(written, _)| *written == verdict);
                match written.map(|(_, at)| *at) {
                    Some(at) if near(at) => at,
                    _ => {
                        self.push(returning(verdict));
                        let at = self.reversed.len();
                        self.verdicts.retain(|(written, _)| *written != verdict);
                        self.verdicts.push((verdict, at));
                        at
                    }
                }
            }
        }
    }

    /// Makes sure that whatever is written next runs into `next`.
    fn must_follow(&mut self, next: Target) {
        let at = self.reachable(next, 0);
        debug_assert_eq!(at, self.reversed.len());
    }

    fn push(&mut self, instruction: Instruction) {
        self.reversed.push(instruction);
    }

    /// The instruction written last.
    fn here(&self) -> Target {
        Target::At(self.reversed.len())
    }
}

fn returning(verdict: Verdict) -> Instruction {
    plain(
        RETURN,
        match verdict {
            Verdict::Allow => libc::SECCOMP_RET_ALLOW,
            Verdict::Refuse(errno) => {
                libc::SECCOMP_RET_ERRNO | (errno.cast_unsigned() & libc::SECCOMP_RET_DATA)
            }
            Verdict::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        },
    )
}

fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

// === impl Program ===

impl Program {
    /// Its instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// The same as the kernel takes them, for a program that loads them without this library.
    pub fn bytes(&self) -> Vec<u8> {
        let one = |step: &Instruction| {
            let [low, high] = step.code.to_ne_bytes();
            let [a, b, c, d] = step.k.to_ne_bytes();
            [low, high, step.jt, step.jf, a, b, c, d]
        };
        self.0.iter().flat_map(one).collect()
    }
}
