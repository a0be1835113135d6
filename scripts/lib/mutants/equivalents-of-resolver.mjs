/**
 * The part of the list in equivalents.mjs that is about the resolver.
 *
 * @type {readonly import('./score.mjs').Equivalent[]}
 */
export const EQUIVALENTS_OF_RESOLVER = [
  {
    file: 'src/core/memory-map.ts',
    why: 'the parts behind a region have none of its bytes, and so are left as they were',
    changes: [
      [
        'const last = Math.min(HINTS - 1, Math.floor((piece.end - 1 - this.hintStart) * this.hintScale));',
        'HINTS - 1',
        'HINTS + 1',
      ],
      [
        'const last = Math.min(HINTS - 1, Math.floor((piece.end - 1 - this.hintStart) * this.hintScale));',
        'piece.end - 1 - this.hintStart',
        'piece.end - 1 + this.hintStart',
      ],
    ],
  },
  {
    file: 'src/core/region.ts',
    why: 'memory of calls is no WebAssembly.Memory',
    changes: [['piece === undefined || backing.wasm === undefined', 'piece === undefined', 'false']],
  },
  {
    file: 'src/core/region.ts',
    why: 'each way fills the same bytes; which is the quickest is for the benchmarks to say',
    changes: [
      [
        'this.bulk = this.window !== undefined && this.shared ? wasmBulk(this.window.memory) : undefined;',
        'this.window !== undefined && this.shared',
        'false',
      ],
      [
        'else if (!this.shared || length <= SMALL_FILL) u8.fill(value, offset, offset + length);',
        '!this.shared || length <= SMALL_FILL',
        'true',
        'false',
        '!this.shared && length <= SMALL_FILL',
      ],
      [
        'else if (!this.shared || length <= SMALL_FILL) u8.fill(value, offset, offset + length);',
        '!this.shared',
        'this.shared',
      ],
      [
        'else if (!this.shared || length <= SMALL_FILL) u8.fill(value, offset, offset + length);',
        'length <= SMALL_FILL',
        'false',
        'length < SMALL_FILL',
        'length > SMALL_FILL',
      ],
      [
        'else if (this.bulk !== undefined && this.window !== undefined && length < MAX_PIECE) {',
        'this.bulk !== undefined && this.window !== undefined && length < MAX_PIECE',
        'false',
      ],
      [
        'else if (this.bulk !== undefined && this.window !== undefined && length < MAX_PIECE) {',
        'this.bulk !== undefined',
        'this.bulk === undefined',
      ],
      [
        'else if (this.bulk !== undefined && this.window !== undefined && length < MAX_PIECE) {',
        'this.window !== undefined',
        'this.window === undefined',
      ],
      [
        'else if (this.bulk !== undefined && this.window !== undefined && length < MAX_PIECE) {',
        'length < MAX_PIECE',
        'length >= MAX_PIECE',
      ],
    ],
  },
  {
    file: 'src/core/region.ts',
    why: 'there is a window wherever there is a bulk operation',
    changes: [
      [
        'else if (this.bulk !== undefined && this.window !== undefined && length < MAX_PIECE) {',
        'this.bulk !== undefined && this.window !== undefined',
        'this.bulk !== undefined || this.window !== undefined',
      ],
      [
        'else if (this.bulk !== undefined && this.window !== undefined && length < MAX_PIECE) {',
        'this.window !== undefined',
        'true',
      ],
    ],
  },
  {
    file: 'src/core/region.ts',
    why: 'asked only where there are calls, and never for nothing',
    changes: [
      [
        "if (this.fallback === undefined || (access === 'write' && this.fallback.write === undefined)) return 0;",
        'this.fallback === undefined',
        'false',
      ],
      ['if (this.fallback.probe === undefined || length === 0) return length;', 'length === 0', 'false'],
    ],
  },
  {
    file: 'src/core/region.ts',
    why: 'the loop marks the one log as well; to know it spares the loop',
    changes: [
      [
        'if (this.log !== undefined) this.log.mark(this.logOffset + offset, length);',
        'this.log !== undefined',
        'false',
      ],
    ],
  },
  {
    file: 'src/core/region.ts',
    why: 'who comes here has seen that there are calls for it',
    changes: [
      [
        'this.fallback?.read(this.backingOffset + offset, bytes);',
        'this.fallback?.read',
        'this.fallback.read',
      ],
      [
        'this.fallback?.write?.(this.backingOffset + offset, src);',
        'this.fallback?.write?.(this.backingOffset + offset, src)',
        'this.fallback?.write(this.backingOffset + offset, src)',
      ],
    ],
  },
  {
    file: 'src/core/region.ts',
    why: 'a byte past the width is nobody’s',
    changes: [
      ['for (let i = 0; i < width; i++) scratch.u8[i] = bytes[i] as number;', 'i < width', 'i <= width'],
      ['for (let i = 0; i < width; i++) bytes[i] = scratch.u8[i] as number;', 'i < width', 'i <= width'],
    ],
  },
  {
    file: 'src/core/scalar-access.ts',
    why: 'the hint finds what the first region would have found; to try that first is quicker',
    changes: [
      ['if (home.holds(gpa, 1)) return home.u8[gpa - home.start] as number;', 'home.holds(gpa, 1)', 'false'],
      [
        'if (home.holds(gpa, 2)) return home.u16[(gpa - home.start) >>> 1] as number;',
        'home.holds(gpa, 2)',
        'false',
      ],
      [
        'if (home.holds(gpa, 4)) return home.u32[(gpa - home.start) >>> 2] as number;',
        'home.holds(gpa, 4)',
        'false',
      ],
      [
        'if (home.holds(gpa, 8)) return home.u64[(gpa - home.start) >>> 3] as bigint;',
        'home.holds(gpa, 8)',
        'false',
      ],
      ['if (home.exclusive && home.holds(gpa, 8)) {', 'home.exclusive && home.holds(gpa, 8)', 'false'],
      [
        'if (home.exclusive && home.holds(gpa, 8)) {',
        '{ const index = (gpa - home.start) >>> 2; halves[0] = home.u32[index]; halves[1] = home.u32[index + 1]; return; }',
        '{}',
      ],
      [
        'if (page >>> 0 === page && page < home.readPages && (offset & 0xff8) === offset) {',
        'page >>> 0 === page && page < home.readPages && (offset & 0xff8) === offset',
        'false',
      ],
      [
        'if (page >>> 0 === page && page < home.readPages && (offset & 0xff8) === offset) {',
        '{ cell[0] = home.u64[(page << 9) | (offset >>> 3)]; return; }',
        '{}',
      ],
      ['if (home.holdsWritable(gpa, 1)) {', 'home.holdsWritable(gpa, 1)', 'false'],
      [
        'if (home.holdsWritable(gpa, 1)) {',
        '{ home.u8[gpa - home.start] = value; if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset); return; }',
        '{}',
      ],
      ['if (home.holdsWritable(gpa, 2)) {', 'home.holdsWritable(gpa, 2)', 'false'],
      [
        'if (home.holdsWritable(gpa, 2)) {',
        '{ home.u16[(gpa - home.start) >>> 1] = value; if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset); return; }',
        '{}',
      ],
      ['if (home.holdsWritable(gpa, 4)) {', 'home.holdsWritable(gpa, 4)', 'false'],
      [
        'if (home.holdsWritable(gpa, 4)) {',
        '{ home.u32[(gpa - home.start) >>> 2] = value; if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset); return; }',
        '{}',
      ],
      ['if (home.holdsWritable(gpa, 8)) {', 'home.holdsWritable(gpa, 8)', 'false'],
      [
        'if (home.holdsWritable(gpa, 8)) {',
        '{ home.u64[(gpa - home.start) >>> 3] = value; if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset); return; }',
        '{}',
      ],
      [
        'if (home.exclusive && home.holdsWritable(gpa, 8)) {',
        'home.exclusive && home.holdsWritable(gpa, 8)',
        'false',
      ],
      [
        'if (home.exclusive && home.holdsWritable(gpa, 8)) {',
        '{ const index = (gpa - home.start) >>> 2; home.u32[index] = lo; home.u32[index + 1] = hi; if (home.log !== undefined) home.log.markOne(gpa - home.start + home.logOffset); return; }',
        '{}',
      ],
      ['if (home.holds(gpa, 8)) {', 'home.holds(gpa, 8)', 'false'],
      ['if (home.holds(gpa, 8)) {', '{ scratch.u64[0] = home.u64[(gpa - home.start) >>> 3]; return; }', '{}'],
    ],
  },
  {
    file: 'src/core/memory-door.ts',
    why: 'the hint, or the slow road, finds what the first region would have found; to try that first is quicker',
    changes: [
      [
        'if (offset >>> 0 === offset && offset < home.size)',
        'offset >>> 0 === offset && offset < home.size',
        'false',
      ],
    ],
  },
  {
    file: 'src/core/memory-door.ts',
    why: 'there is no region of that index either, and so nothing is reached',
    changes: [['if (index < 0) return 0;', 'index < 0', 'false']],
  },
  {
    file: 'src/core/memory-door.ts',
    why: 'of the next region nothing is wanted then, and nothing is asked',
    changes: [
      ['for (let at = gpa; at < end; index++) {', 'at < end', 'at <= end'],
      [
        'if (piece === undefined || at < piece.start || at >= piece.end)',
        'at >= piece.end',
        'at > piece.end',
      ],
    ],
  },
  {
    file: 'src/core/memory-door.ts',
    why: 'nobody looks at the index of an empty range',
    changes: [
      ['return length === 0 ? -1 : this.map.indexOf(gpa);', 'length === 0', 'false'],
      ['return length === 0 ? -1 : this.map.indexOf(gpa);', '-1', '+1'],
    ],
  },
  {
    file: 'src/core/memory-door.ts',
    why: 'the bytes beside those of the scalar are nobody’s, and one that is written back is what it was',
    changes: [
      [
        "if (access === 'write') for (let i = 0; i < width; i++) bytes[i] = scratch.u8[i] as number;",
        "access === 'write'",
        'true',
      ],
      [
        "if (access === 'write') for (let i = 0; i < width; i++) bytes[i] = scratch.u8[i] as number;",
        'i < width',
        'i <= width',
      ],
      [
        "if (access === 'read') for (let i = 0; i < width; i++) scratch.u8[i] = bytes[i] as number;",
        "access === 'read'",
        'true',
      ],
      [
        "if (access === 'read') for (let i = 0; i < width; i++) scratch.u8[i] = bytes[i] as number;",
        'i < width',
        'i <= width',
      ],
    ],
  },
  {
    file: 'src/core/bulk-access.ts',
    why: 'all that is thrown there is of this memory, and is dropped with its words',
    changes: [
      [
        "return this.reachable(gpa, Math.min(length, ADDRESS_SPACE_SIZE - gpa), access, 'probe', true);",
        "'probe'",
        '""',
      ],
      ['if (isGuestMemoryError(error)) return 0;', 'isGuestMemoryError(error)', 'true'],
    ],
  },
  {
    file: 'src/core/bulk-access.ts',
    why: 'a range that runs on has a next piece',
    changes: [
      [
        'if (head < length) next?.copyOut(0, buffer, offset + head, length - head);',
        'next?.copyOut',
        'next.copyOut',
      ],
      [
        'if (head < length) next?.copyIn(0, buffer, offset + head, length - head);',
        'next?.copyIn',
        'next.copyIn',
      ],
    ],
  },
  {
    file: 'src/core/bulk-access.ts',
    why: 'mapped bytes that are filled in steps are the same in the end, and one whole step is one step',
    changes: [
      [
        "if (piece.fallback !== undefined && count > FILL_CHUNK && operation === 'fill') count = FILL_CHUNK;",
        'piece.fallback !== undefined',
        'true',
      ],
      [
        "if (piece.fallback !== undefined && count > FILL_CHUNK && operation === 'fill') count = FILL_CHUNK;",
        'count > FILL_CHUNK',
        'count >= FILL_CHUNK',
      ],
    ],
  },
  {
    file: 'src/core/bulk-access.ts',
    why: 'who asks tells reading from all else',
    changes: [["else if (!this.copyPlain(gpa, length, src, srcOffset, 'write'))", "'write'", '""']],
  },
];
