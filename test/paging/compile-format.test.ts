import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileFormat } from '../../src/paging/compile-format.ts';
import { EPT_4LEVEL, X86_4LEVEL } from '../../src/paging/index.ts';

describe('formats that are compiled once', () => {
  it('T1: one for each format and controls, however these are given', () => {
    const compiled = compileFormat(X86_4LEVEL, undefined);
    assert.equal(compileFormat(X86_4LEVEL, {}), compiled);
    assert.equal(compileFormat(X86_4LEVEL, { wp: true, smap: undefined }), compiled);
    assert.notEqual(compileFormat(X86_4LEVEL, { wp: false }), compiled);
    assert.equal(compileFormat(X86_4LEVEL, { wp: false }).controls['wp'], false);
    assert.equal(compileFormat(X86_4LEVEL, undefined), compiled);
    assert.equal(compileFormat(EPT_4LEVEL, undefined).format, EPT_4LEVEL);
    // Another description, of the same name.
    assert.notEqual(compileFormat({ ...X86_4LEVEL }, undefined), compiled);
  });

  it('T1: a control that is out of range is refused each time', () => {
    for (let n = 0; n < 2; n++)
      assert.throws(() => compileFormat(X86_4LEVEL, { maxPhyAddr: 99 }), { code: 'invalid' });
  });

  it('T6: a guest that changes its controls for ever does not fill the host', () => {
    const first = compileFormat(X86_4LEVEL, { pku: true, pkru: 1 });
    assert.equal(compileFormat(X86_4LEVEL, { pku: true, pkru: 1 }), first);
    for (let pkru = 2; pkru < 100; pkru++) compileFormat(X86_4LEVEL, { pku: true, pkru });
    assert.notEqual(compileFormat(X86_4LEVEL, { pku: true, pkru: 1 }), first);
  });
});
