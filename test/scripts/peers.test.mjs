import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ROOT } from '../../scripts/lib/paths.mjs';
import { bestOf, parseListing, parseSample, peerTables } from '../../scripts/lib/peers.mjs';

const READ = 'read 8 B inside a region';

describe('side by side with the peers', () => {
  it('reads what a program lists and answers, and refuses what is neither', () => {
    assert.deepEqual(parseListing(`{"peer":"a 1","work":"${READ}"}\n{"peer":"b","work":"w"}\n`), [
      { peer: 'a 1', work: READ },
      { peer: 'b', work: 'w' },
    ]);
    assert.throws(() => parseListing('{"peer":"a"}\n'), /A listing wants a peer and a work/);
    assert.deepEqual(parseSample({ ns: 4.2, checksum: 7 }), { ns: 4.2, checksum: 7 });
    assert.deepEqual(parseSample({ ours: 4.2, result: 7, bytes: 8 }), { ns: 4.2, checksum: 7 });
    assert.throws(() => parseSample({ ns: 0, checksum: 7 }), /A sample wants a time and a checksum/);
    assert.throws(() => parseSample({ ns: 1 }), /A sample wants a time and a checksum/);
  });

  it('keeps the best of each, and refuses sides that did different work', () => {
    const sample = { who: 'guestmem', work: READ, ns: 3, checksum: 1 };
    const best = bestOf([sample, { ...sample, ns: 2 }, { ...sample, who: 'vm-memory 0.18.0', ns: 4 }]);
    assert.deepEqual(
      [...(best.get(READ) ?? [])],
      [
        ['guestmem', 2],
        ['vm-memory 0.18.0', 4],
      ],
    );
    assert.throws(
      () => bestOf([sample, { ...sample, who: 'vm-memory 0.18.0', checksum: 2 }]),
      /vm-memory 0.18.0 and guestmem do different work at "read 8 B inside a region": 2 and 1/,
    );
  });

  it('sets memory beside vm-memory, other peers in pairs, and says where we are slower', () => {
    const times = [
      { work: READ, who: 'guestmem', ns: 2 },
      { work: READ, who: 'vm-memory 0.18.0', ns: 4 },
      { work: READ, who: 'vm-memory 0.16.2', ns: 1 },
      { work: 'walk', who: 'guestmem', ns: 30 },
      { work: 'walk', who: 'x86_64 0.15.5', ns: 3 },
      { work: 'mark 1 page dirty', who: 'vm-memory 0.18.0', ns: 9 },
    ];
    const text = peerTables(bestOf(times.map((entry) => ({ ...entry, checksum: 1 }))), true);
    const cells = text
      .split('\n')
      .filter((line) => line.startsWith('| '))
      .map((line) => line.slice(2, -2).split(/\s*\|\s*/));
    const row = (/** @type {string} */ name) => cells.find(([first]) => first === name);
    assert.deepEqual(row(READ), [READ, '2.00', '-', '-', '-', '4.00', '1.00', '0.50x', '2.00x slower']);
    assert.deepEqual(row('walk'), ['walk', 'x86_64 0.15.5', '30.0', '3.00', '10.0x slower']);
    assert.deepEqual(row('mark 1 page dirty')?.slice(0, 2), ['mark 1 page dirty', '-']);
  });

  it('ends with status 3 and one line where there is no cargo', () => {
    const empty = mkdtempSync(path.join(tmpdir(), 'guestmem-no-cargo-'));
    try {
      const { status, stderr, stdout } = spawnSync(
        process.execPath,
        [path.join(ROOT, 'scripts/bench-peers.mjs')],
        { env: { ...process.env, PATH: empty }, encoding: 'utf8' },
      );
      assert.deepEqual(
        [status, stderr, stdout],
        [3, 'The peers are Rust programs: cargo and rustc are wanted (https://rustup.rs)\n', ''],
      );
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});
