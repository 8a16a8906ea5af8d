/**
 * Assembles the policy of seccomp/policy.ts into a seccomp filter: a classic BPF program over struct seccomp_data
 * {int nr; u32 arch; u64 instruction_pointer; u64 args[6]} (see seccomp(2), Documentation/userspace-api/seccomp_filter.rst).
 *
 * The shape is a binary search over the call's number, so every call costs seven or eight comparisons. Since Linux 5.11
 * most cost nothing at all: the kernel runs the filter once per number ahead of time, and a call whose answer is "allow"
 * without a look at its arguments is remembered in a bitmap and skips the program. Keep the search free of anything but
 * loads of nr and arch, comparisons and returns, or the kernel gives up on it.
 */
import { assert } from "../../kernel/assert.ts";
import {
  ALLOWED,
  CONDITIONAL,
  ENOSYS,
  EPERM,
  NOT_IMPLEMENTED,
  type Decision,
  type Verdict,
} from "./seccomp/policy.ts";
import { SYSTEM_CALLS, type Architecture } from "./seccomp/syscalls.ts";

// include/uapi/linux/audit.h
const AUDIT_ARCH: Readonly<Record<Architecture, number>> = { x64: 0xc000_003e, arm64: 0xc000_00b7 };
/** x32 calls carry this bit: 64-bit processes with 32-bit pointers, which see a table of their own. */
const X32_SYSCALL_BIT = 0x4000_0000;

// Offsets into struct seccomp_data; both architectures are little-endian, so the low word of an argument comes first.
const NR_OFFSET = 0;
const ARCH_OFFSET = 4;
const argumentOffset = (argument: number) => 16 + 8 * argument;

// include/uapi/linux/{bpf_common,seccomp}.h
const LOAD_WORD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_EQUAL = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_GREATER_OR_EQUAL = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN = 0x06; // BPF_RET | BPF_K
const SECCOMP_RET_KILL_PROCESS = 0x8000_0000;
const SECCOMP_RET_ERRNO = 0x0005_0000;
const SECCOMP_RET_ALLOW = 0x7fff_0000;

const INSTRUCTION_BYTES = 8;
const INSTRUCTIONS_MAX = 4096; // BPF_MAXINSNS
const JUMP_MAX = 255;

interface Instruction {
  readonly code: number;
  /** Instructions to skip when the comparison holds, and when it does not. */
  readonly jumpTrue: number;
  readonly jumpFalse: number;
  readonly operand: number;
}

/**
 * The filter as an array of struct sock_filter {u16 code; u8 jt; u8 jf; u32 k}, little-endian: what
 * `bwrap --seccomp FD` reads, and what prctl(PR_SET_SECCOMP) takes as the program.
 */
export function seccompProgram(architecture: Architecture): Buffer {
  const program = [
    step(LOAD_WORD, ARCH_OFFSET),
    jump(JUMP_EQUAL, AUDIT_ARCH[architecture], 1, 0),
    // A foreign call table (int 0x80 on x86) numbers its calls differently: no answer could be right.
    ...verdict("kill"),
    step(LOAD_WORD, NR_OFFSET),
    ...search(ranges(architecture)),
  ];
  assert(program.length <= INSTRUCTIONS_MAX, "the kernel accepts a program of this length");
  return encode(program);
}

interface Range {
  /** First number of the range; it ends where the next one begins. */
  readonly first: number;
  readonly decision: Decision;
}

/** The whole number space 0…2³²-1 in ascending ranges of one decision each. */
function ranges(architecture: Architecture): Range[] {
  const decisions = new Map<number, Decision>();
  const numbers = SYSTEM_CALLS[architecture];
  for (const number of numbers.values()) decisions.set(number, EPERM);
  const decide = (name: string, decision: Decision) => {
    const number = numbers.get(name);
    if (number !== undefined) decisions.set(number, decision);
  };
  for (const name of ALLOWED) decide(name, "allow");
  for (const name of NOT_IMPLEMENTED) decide(name, ENOSYS);
  for (const [name, test] of Object.entries(CONDITIONAL)) decide(name, test);

  const last = Math.max(...decisions.keys());
  assert(last < X32_SYSCALL_BIT, "the last range answers x32 calls too");
  const result: Range[] = [];
  // Numbers that the table does not have, newer calls above all, do not exist yet: programs know how to live with that.
  for (let number = 0; number <= last + 1; number += 1) {
    const decision = decisions.get(number) ?? ENOSYS;
    if (result.at(-1)?.decision !== decision) result.push({ first: number, decision });
  }
  return result;
}

/** Expects the call's number in the accumulator. */
function search(ranges: readonly Range[]): Instruction[] {
  const middle = ranges.length >> 1;
  const pivot = ranges[middle];
  assert(pivot, "there is a range to search");
  if (middle === 0) return decide(pivot.decision);
  const below = search(ranges.slice(0, middle));
  return [
    jump(JUMP_GREATER_OR_EQUAL, pivot.first, below.length, 0),
    ...below,
    ...search(ranges.slice(middle)),
  ];
}

function decide(decision: Decision): Instruction[] {
  if (typeof decision === "string" || "errno" in decision) return verdict(decision);
  const { argument, mask, is, otherwise } = decision;
  const no = decide(otherwise);
  return [
    step(LOAD_WORD, argumentOffset(argument)),
    ...(mask === undefined ? [] : [step(AND, mask)]),
    ...is.map((value, index) => jump(JUMP_EQUAL, value, is.length - 1 - index + no.length, 0)),
    ...no,
    ...decide(decision.answer),
  ];
}

function verdict(verdict: Verdict): Instruction[] {
  if (verdict === "allow") return [step(RETURN, SECCOMP_RET_ALLOW)];
  if (verdict === "kill") return [step(RETURN, SECCOMP_RET_KILL_PROCESS)];
  return [step(RETURN, SECCOMP_RET_ERRNO | verdict.errno)];
}

function step(code: number, operand: number): Instruction {
  return { code, jumpTrue: 0, jumpFalse: 0, operand };
}

function jump(code: number, operand: number, jumpTrue: number, jumpFalse: number): Instruction {
  assert(jumpTrue <= JUMP_MAX, "a conditional jump reaches its target");
  return { code, jumpTrue, jumpFalse, operand };
}

function encode(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * INSTRUCTION_BYTES);
  for (const [index, { code, jumpTrue, jumpFalse, operand }] of program.entries()) {
    const at = index * INSTRUCTION_BYTES;
    bytes.writeUInt16LE(code, at);
    bytes.writeUInt8(jumpTrue, at + 2);
    bytes.writeUInt8(jumpFalse, at + 3);
    bytes.writeUInt32LE(operand, at + 4);
  }
  return bytes;
}
