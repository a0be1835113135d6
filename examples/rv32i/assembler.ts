/**
 * An assembler for RV32I, as small as one that can be read in a minute: one instruction a line, `label:` before it,
 * `#` for comments; `.word` and `.asciz` for data.
 */

const REGISTERS =
  'zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6'.split(
    ' ',
  );

/** What stands in the fixed bits of an instruction: opcode, funct3, and funct7 or the whole immediate. */
type Fields = readonly [opcode: number, funct3?: number, high?: number];

const FORMATS: Readonly<Record<string, Readonly<Record<string, Fields>>>> = {
  register: {
    add: [0x33, 0],
    sub: [0x33, 0, 0x20],
    sll: [0x33, 1],
    slt: [0x33, 2],
    sltu: [0x33, 3],
    xor: [0x33, 4],
    srl: [0x33, 5],
    sra: [0x33, 5, 0x20],
    or: [0x33, 6],
    and: [0x33, 7],
  },
  immediate: {
    addi: [0x13, 0],
    slti: [0x13, 2],
    sltiu: [0x13, 3],
    xori: [0x13, 4],
    ori: [0x13, 6],
    andi: [0x13, 7],
    jalr: [0x67, 0],
  },
  shift: { slli: [0x13, 1], srli: [0x13, 5], srai: [0x13, 5, 0x20] },
  load: { lb: [0x03, 0], lh: [0x03, 1], lw: [0x03, 2], lbu: [0x03, 4], lhu: [0x03, 5] },
  store: { sb: [0x23, 0], sh: [0x23, 1], sw: [0x23, 2] },
  branch: {
    beq: [0x63, 0],
    bne: [0x63, 1],
    blt: [0x63, 4],
    bge: [0x63, 5],
    bltu: [0x63, 6],
    bgeu: [0x63, 7],
  },
  upper: { lui: [0x37], auipc: [0x17] },
  jump: { jal: [0x6f] },
  system: { fence: [0x0f, 0, 0x0ff], ecall: [0x73, 0, 0], ebreak: [0x73, 0, 1] },
};

const ENCODINGS = new Map(
  Object.entries(FORMATS).flatMap(([format, names]) =>
    Object.entries(names).map(([name, fields]) => [name, { format, fields }] as const),
  ),
);

/** What programmers write for something longer (unprivileged specification, "RISC-V Assembly Programmer's Handbook"). */
const PSEUDO: Readonly<Record<string, (...args: string[]) => readonly string[]>> = {
  nop: () => ['addi zero, zero, 0'],
  mv: (rd, rs) => [`addi ${rd}, ${rs}, 0`],
  // Always two words, so that the first pass knows how long the program is.
  li: (rd, value) => [`lui ${rd}, %hi(${value})`, `addi ${rd}, ${rd}, %lo(${value})`],
  la: (rd, label) => [`lui ${rd}, %hi(${label})`, `addi ${rd}, ${rd}, %lo(${label})`],
  j: (label) => [`jal zero, ${label}`],
  call: (label) => [`jal ra, ${label}`],
  ret: () => ['jalr zero, ra, 0'],
  beqz: (rs, label) => [`beq ${rs}, zero, ${label}`],
  bnez: (rs, label) => [`bne ${rs}, zero, ${label}`],
};

/**
 * Assembles a program that is to lie at `origin`.
 *
 * @throws Error that names the line
 */
export function assemble(source: string, origin: number): Uint8Array {
  const labels = new Map<string, number>();
  const statements: { text: string; line: number; at: number }[] = [];
  let end = origin;
  for (const [index, text] of source.split('\n').entries()) {
    const [, label, rest = ''] = /^\s*(?:(\w+):)?\s*(.*?)\s*(?:#.*)?$/.exec(text) ?? [];
    if (label !== undefined) labels.set(label, end);
    for (const statement of expand(rest)) {
      statements.push({ text: statement, line: index + 1, at: end });
      end += dataOf(statement)?.length ?? 4;
    }
  }
  const image = new Uint8Array(end - origin);
  const view = new DataView(image.buffer);
  for (const { text, line, at } of statements) {
    try {
      const data = dataOf(text);
      if (data === undefined) view.setInt32(at - origin, encode(text, at, labels), true);
      else image.set(data, at - origin);
    } catch (cause) {
      throw new Error(`Cannot assemble line ${line}: ${text}`, { cause });
    }
  }
  return image;
}

function expand(statement: string): readonly string[] {
  if (statement === '') return [];
  const [name = '', args] = split(statement);
  return PSEUDO[name]?.(...args) ?? [statement];
}

function split(statement: string): [name: string, args: string[]] {
  const [, name = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(statement) ?? [];
  return [name, rest === '' ? [] : rest.split(',').map((part) => part.trim())];
}

function dataOf(statement: string): Uint8Array | undefined {
  const [name, args] = split(statement);
  if (name === '.word') return new Uint8Array(Uint32Array.from(args, Number).buffer);
  if (name !== '.asciz') return undefined;
  return new TextEncoder().encode(`${JSON.parse(statement.slice(name.length))}\0`);
}

function encode(statement: string, at: number, labels: ReadonlyMap<string, number>): number {
  const [name, args] = split(statement);
  const encoding = ENCODINGS.get(name);
  if (encoding === undefined) throw new Error(`There is no instruction ${name}`);
  const [opcode, funct3 = 0, high = 0] = encoding.fields;
  const base = opcode | (funct3 << 12);
  const [first = '', second = '', third = ''] = args;
  const rd = () => register(first) << 7;
  switch (encoding.format) {
    case 'register':
      return base | rd() | (register(second) << 15) | (register(third) << 20) | (high << 25);
    case 'immediate':
      return base | rd() | (register(second) << 15) | (signed(value(third, labels), 12) << 20);
    case 'shift':
      return (
        base | rd() | (register(second) << 15) | (unsigned(value(third, labels), 5) << 20) | (high << 25)
      );
    case 'load': {
      const { offset, register: from } = place(second, labels);
      return base | rd() | (from << 15) | (offset << 20);
    }
    case 'store': {
      const { offset, register: to } = place(second, labels);
      return base | (to << 15) | (register(first) << 20) | ((offset & 31) << 7) | ((offset >> 5) << 25);
    }
    case 'branch': {
      const offset = distance(value(third, labels) - at, 13);
      const scattered = ((offset & 0x1e) << 7) | ((offset & 0x800) >> 4) | ((offset & 0x7e0) << 20);
      return base | (register(first) << 15) | (register(second) << 20) | scattered | ((offset >> 12) << 31);
    }
    case 'upper':
      return base | rd() | (unsigned(value(second, labels), 20) << 12);
    case 'jump': {
      const offset = distance(value(second, labels) - at, 21);
      const scattered = (offset & 0xf_f000) | ((offset & 0x800) << 9) | ((offset & 0x7fe) << 20);
      return base | rd() | scattered | ((offset >> 20) << 31);
    }
    default:
      return base | (high << 20);
  }
}

function register(name: string): number {
  const number = /^x(\d+)$/.exec(name)?.[1];
  const index = number === undefined ? REGISTERS.indexOf(name) : Number(number);
  if (index < 0 || index > 31) throw new Error(`There is no register ${name}`);
  return index;
}

/** A number, a label, or the upper or lower part of one; the lower is signed, and the upper makes up for it. */
function value(text: string, labels: ReadonlyMap<string, number>): number {
  const [, part, inner = text] = /^%(hi|lo)\((.*)\)$/.exec(text) ?? [];
  const whole = labels.get(inner) ?? (inner === '' ? Number.NaN : Number(inner));
  if (!Number.isInteger(whole)) throw new Error(`${inner} is neither a number nor a label`);
  if (part === 'hi') return ((whole + 0x800) >>> 12) & 0xf_ffff;
  return part === 'lo' ? (whole << 20) >> 20 : whole;
}

/** `offset(register)`. */
function place(text: string, labels: ReadonlyMap<string, number>): { offset: number; register: number } {
  const [, offset = '', name = ''] = /^(.*)\((\w+)\)$/.exec(text) ?? [];
  return { offset: signed(value(offset === '' ? '0' : offset, labels), 12), register: register(name) };
}

/** Jumps go by multiples of two bytes; the lowest bit has no place in the word. */
function distance(number: number, bits: number): number {
  if (number % 2 !== 0) throw new Error(`Current distance ${number}, wanted an even one`);
  return signed(number, bits);
}

function signed(number: number, bits: number): number {
  return within(number, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1);
}

function unsigned(number: number, bits: number): number {
  return within(number, 0, 2 ** bits - 1);
}

function within(number: number, least: number, most: number): number {
  if (number < least || number > most) throw new Error(`Current value ${number}, wanted ${least} to ${most}`);
  return number;
}
