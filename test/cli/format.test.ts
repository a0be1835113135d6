import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { jsonArray, jsonText } from '../../src/cli/format/json.ts';
import { memoryBar } from '../../src/cli/format/memory-bar.ts';
import { textTable } from '../../src/cli/format/text-table.ts';
import { formatCount, formatSize, hex, padHex, plural } from '../../src/cli/format/units.ts';

describe('units', () => {
  it('C: prints addresses', () => {
    assert.equal(hex(0x1000), '0x1000');
    assert.equal(hex(0xffff888000000000n), '0xffff888000000000');
    assert.equal(hex(Number.MAX_SAFE_INTEGER), '0x1fffffffffffff');
    assert.equal(padHex(0x1000, 8), '00001000');
  });

  it('C: prints sizes, never rounding up', () => {
    assert.equal(formatSize(0), '0 B');
    assert.equal(formatSize(1023), '1023 B');
    assert.equal(formatSize(640 * 1024), '640 KiB');
    assert.equal(formatSize(1536 * 1024), '1.50 MiB');
    assert.equal(formatSize(1024 ** 2 - 1), '1023.99 KiB');
    assert.equal(formatSize(1n << 64n), '16 EiB');
    assert.equal(formatCount(1234567), '1,234,567');
    assert.equal(formatCount(123), '123');
    assert.equal(plural(1, 'range'), '1 range');
    assert.equal(plural(4096, 'range'), '4,096 ranges');
  });
});

describe('textTable', () => {
  it('C: makes columns as wide as their cells', () => {
    const lines = textTable(
      [{ title: 'start' }, { title: 'size', align: 'right' }, { title: 'kind' }],
      [
        ['00001000', '4 KiB', 'ram'],
        ['00002000', '640 KiB', ''],
      ],
    );
    assert.deepEqual(lines, ['start        size  kind', '00001000    4 KiB  ram', '00002000  640 KiB']);
  });
});

describe('json', () => {
  it('C: prints bigints as hex strings, and arrays that parse back', () => {
    assert.deepEqual(JSON.parse(jsonText({ gva: 0xffff888000000000n, gpa: null })), {
      gva: '0xffff888000000000',
      gpa: null,
    });
    for (const items of [[], [1n], [{ start: 0n }, { start: 1n }, { start: 2n }]]) {
      const parsed: unknown = JSON.parse([...jsonArray(items)].join('\n'));
      assert.deepEqual(parsed, JSON.parse(jsonText(items)));
    }
  });
});

describe('memoryBar', () => {
  it('C: draws segments and the holes between them in address order', () => {
    const lines = memoryBar([
      { start: 0, end: 0xa0000, label: 'ram', fill: '#' },
      { start: 0x100000, end: 0x4000000, label: 'ram', fill: '#' },
      { start: 0x100000000, end: 0x104000000, label: 'plugged', fill: '=' },
    ]);
    assert.deepEqual(lines, [
      '########### ············ ########## ············· ==============',
      '0x0         0xa0000      0x100000   0x4000000     0x100000000',
      '640 KiB ram 384 KiB hole 63 MiB ram 3.93 GiB hole 64 MiB plugged',
    ]);
  });

  it('C: a map that starts above zero begins with a hole', () => {
    const [bar] = memoryBar([{ start: 0x1000, end: 0x2000, label: 'ram', fill: '#' }]);
    assert.match(bar ?? '', /^·+ #+$/);
  });
});
