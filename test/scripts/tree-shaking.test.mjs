import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { build } from 'esbuild';
import { ROOT } from '../../scripts/lib/paths.mjs';

/** What a user may not need, and one name of each. */
const BESIDE = {
  wait: 'wait',
  compare: 'compare',
  settle: 'settle',
  sharing: 'share',
  snapshot: 'capture',
  'iommu-view': 'IommuView',
  iotlb: 'Iotlb',
  'on-demand': 'lazy',
  protection: 'ProtectedView',
  'page-rights': 'PageRights',
  'dirty-tracking': 'trackDirty',
  'dirty-log': 'trackDirty',
  'paged-range': 'PagedRange',
  'paged-range-stream': 'PagedRangeReader',
  'range-access': 'readRange',
  'range-views': 'rangeViews',
  'locked-range': 'lockRange',
  'read-present': 'readPresent',
  'alias-backing': 'alias',
  'atomic-address-space': 'AtomicAddressSpace',
  'shared-address-space': 'SharedAddressSpace',
  'struct-layout': 'struct',
};

/**
 * Modules of the core of which a program that imports these names keeps something.
 *
 * @param {readonly string[]} names
 */
async function modulesFor(names) {
  const { metafile } = await build({
    stdin: {
      contents: `import { ${names.join(', ')} } from './dist/src/core/index.js';\nconsole.log(${names.join(', ')});`,
      resolveDir: ROOT,
    },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'neutral',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  return Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs)
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([file]) => path.basename(file, '.js')),
  );
}

describe('what a program carries', () => {
  it('M17: GuestMemory alone leaves out what is a function of it', async () => {
    const kept = await modulesFor(['GuestMemory']);
    assert(kept.includes('guest-memory'), kept.join(' '));
    assert.deepEqual(
      Object.keys(BESIDE).filter((module) => kept.includes(module)),
      [],
    );
  });

  it('M17: all of it can be had', async () => {
    const kept = await modulesFor(['GuestMemory', ...new Set(Object.values(BESIDE))]);
    assert.deepEqual(
      Object.keys(BESIDE).filter((module) => !kept.includes(module)),
      [],
    );
  });
});
