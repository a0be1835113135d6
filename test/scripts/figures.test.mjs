import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { summarise } from '../../scripts/lib/bench-figures.mjs';
import { table } from '../../scripts/lib/table.mjs';

describe('benchmark figures', () => {
  const samples = [
    { ours: 3, raw: 2, bytes: 6 },
    { ours: 2, raw: 1, bytes: 6 },
  ];

  it('take the best of ours and of raw', () => {
    const { figure, verdict, ours, raw } = summarise(samples, { figure: 'ratio', atMost: 2 }, '26.1.0');
    assert.deepEqual([figure, verdict, ours, raw], ['2.00x', 'met', '2.00 ns', '1.00 ns']);
  });

  it('miss a budget by a hair, and when there is no figure', () => {
    assert.equal(summarise(samples, { figure: 'ratio', atMost: 1.99 }, '26.1.0').verdict, 'missed');
    assert.equal(summarise([{ ours: 2 }], { figure: 'ratio', atMost: 9 }, '26.1.0').verdict, 'missed');
    assert.equal(summarise(samples, { figure: 'M/s', atLeast: 501 }, '26.1.0').verdict, 'missed');
  });

  it('know every kind of figure', () => {
    assert.equal(summarise(samples, { figure: 'ns', atMost: 2 }, '26.1.0').figure, '2.00 ns');
    assert.equal(summarise(samples, { figure: 'extra ns', atMost: 1 }, '26.1.0').figure, '+1.00 ns');
    assert.equal(summarise(samples, { figure: 'M/s', atLeast: 500 }, '26.1.0').verdict, 'met');
    assert.equal(summarise(samples, { figure: 'GB/s', atLeast: 3 }, '26.1.0').figure, '3.00 GB/s');
    assert.equal(
      summarise([{ value: 12.34 }, { value: 20 }], { figure: 'ms', atMost: 15 }, '26.1.0').figure,
      '12.3 ms',
    );
  });

  it('have another bound on Node 20 where the case says so', () => {
    const budget = /** @type {const} */ ({ figure: 'ratio', atMost: 1.5, onNode20: 2.2 });
    assert.deepEqual(summarise(samples, budget, '20.20.2').verdict, 'met');
    assert.deepEqual(summarise(samples, budget, '22.1.0').verdict, 'missed');
  });

  it('stand in a table', () => {
    const rows = [['P1', 'read', '1 ns']];
    assert.equal(
      table(['id', 'what', 'ours'], rows, false),
      'id  what  ours\n--  ----  ----\nP1  read  1 ns',
    );
    assert.equal(
      table(['id', 'what', 'ours'], rows, true),
      '| id | what | ours |\n| -- | ---- | ---: |\n| P1 | read | 1 ns |',
    );
  });
});
