//! Device rules for cgroup version 2, which has no files for them: a program of a few instructions that the kernel runs whenever a
//! process of the group opens or makes a device.

use crate::shim::oci::{DeviceKind, DeviceRule};

/// An instruction of the kernel's machine, as in `linux/bpf.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shim) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

const LOAD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const SET: u8 = 0xb7;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// The answer: 1 to allow.
const ANSWER: u8 = 0;
/// At the start the question's address, later scratch.
const QUESTION: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Making a node, reading, writing.
const EVERY_ACCESS: i32 = 7;

fn instruction(code: u8, target: u8, source: u8, offset: i16, value: i32) -> Instruction {
    let registers = if cfg!(target_endian = "big") { target << 4 | source } else { source << 4 | target };
    Instruction { code, registers, offset, value }
}

/// The program for rules of which the last that fits decides; what none fits is denied.
pub(super) fn compile(rules: &[DeviceRule]) -> Vec<Instruction> {
    // The question is three words: what is done (upper half) to which kind of device (lower half), major, minor.
    let mut program = vec![
        instruction(LOAD, KIND, QUESTION, 0, 0),
        instruction(MOVE, ACCESS, KIND, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(LOAD, MAJOR, QUESTION, 4, 0),
        instruction(LOAD, MINOR, QUESTION, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let conditions = conditions(rule);
        let ends_here = conditions.is_empty();
        program.extend(conditions);
        program.extend(answer(rule.allow));
        if ends_here {
            // The kernel refuses programs with instructions that are never reached.
            return program;
        }
    }
    program.extend(answer(false));
    program
}

fn answer(allow: bool) -> [Instruction; 2] {
    [instruction(SET, ANSWER, 0, 0, allow.into()), instruction(EXIT, 0, 0, 0, 0)]
}

/// Jumps over the answer after them when the rule does not fit.
fn conditions(rule: &DeviceRule) -> Vec<Instruction> {
    let unless = |register, value| instruction(JUMP_UNLESS_EQUAL, register, 0, 0, value);
    let number = |number: u32| i32::try_from(number).unwrap_or(-1);
    let mut tests = Vec::new();
    tests.extend(rule.kind.map(|kind| unless(KIND, if kind == DeviceKind::Block { 1 } else { 2 })));
    let others = EVERY_ACCESS & !access(&rule.access);
    if others != 0 {
        tests.extend([
            instruction(MOVE, QUESTION, ACCESS, 0, 0),
            instruction(AND, QUESTION, 0, 0, others),
            unless(QUESTION, 0),
        ]);
    }
    tests.extend(rule.major.map(|major| unless(MAJOR, number(major))));
    tests.extend(rule.minor.map(|minor| unless(MINOR, number(minor))));
    for (left, test) in tests.iter_mut().rev().enumerate() {
        if test.code == JUMP_UNLESS_EQUAL {
            // Over the tests that are left and the two instructions of the answer.
            test.offset = i16::try_from(left + 2).unwrap_or(i16::MAX);
        }
    }
    tests
}

fn access(letters: &str) -> i32 {
    let bit = |(letter, bit)| if letters.contains(letter) { bit } else { 0 };
    [('m', 1), ('r', 2), ('w', 4)].map(bit).iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would.
    fn run(program: &[Instruction], kind: i32, access: i32, major: i32, minor: i32) -> bool {
        let question = [access << 16 | kind, major, minor];
        let mut registers = [0_i32; 6];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, value } = program[at];
            let (target, source) = (usize::from(pair & 15), usize::from(pair >> 4));
            at += 1;
            match code {
                LOAD => registers[target] = question[usize::try_from(offset / 4).unwrap()],
                MOVE => registers[target] = registers[source],
                SET => registers[target] = value,
                AND => registers[target] &= value,
                SHIFT_RIGHT => registers[target] >>= value,
                JUMP_UNLESS_EQUAL if registers[target] != value => at += usize::try_from(offset).unwrap(),
                JUMP_UNLESS_EQUAL => {}
                EXIT => return registers[0] == 1,
                other => panic!("unknown instruction {other:x}"),
            }
        }
    }

    fn rule(
        allow: bool,
        kind: Option<DeviceKind>,
        major: Option<u32>,
        minor: Option<u32>,
        access: &str,
    ) -> DeviceRule {
        DeviceRule { allow, kind, major, minor, access: access.to_owned() }
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        let program = compile(&[
            rule(false, None, None, None, "rwm"),
            rule(true, Some(DeviceKind::Block), None, None, "m"),
            rule(true, Some(DeviceKind::Character), Some(1), Some(3), "rw"),
            rule(true, Some(DeviceKind::Character), Some(136), None, "rwm"),
            rule(false, Some(DeviceKind::Character), Some(136), Some(9), "w"),
        ]);
        for (kind, access, major, minor, expected) in [
            (1, 1, 254, 0, true),
            (1, 2, 254, 0, false),
            (1, 3, 254, 0, false),
            (2, 6, 1, 3, true),
            (2, 1, 1, 3, false),
            (2, 2, 1, 4, false),
            (2, 7, 136, 1, true),
            (2, 4, 136, 9, false),
            (2, 2, 136, 9, true),
        ] {
            assert_eq!(
                run(&program, kind, access, major, minor),
                expected,
                "{kind} {access} {major} {minor}"
            );
        }
        assert!(!run(&compile(&[]), 2, 2, 1, 3));
        assert!(run(
            &compile(&[rule(false, None, None, None, "rwm"), rule(true, None, None, None, "rwm")]),
            2,
            2,
            1,
            3
        ));
    }
}
