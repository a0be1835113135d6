import { GuestMemory, IommuView, Iotlb } from '../../src/core/index.ts';

const RUN = 32;

/**
 * An IOMMU whose IO virtual addresses from `start` on are runs of 32 bytes, scattered over a memory of two regions and
 * congruent to it modulo 8; nothing else is translated.
 */
export function scatteredIommu(
  start: number,
  size: number,
  options: { readonly onMiss: boolean },
): { view: IommuView; seams: number[] } {
  const count = size / RUN;
  const memory = GuestMemory.fromRanges([
    [0x4_0000, size],
    [0x4_0000 + size, size + 8],
  ]);
  const iotlb = new Iotlb({ capacity: count });
  const map = (run: number): void =>
    iotlb.map(start + run * RUN, 0x4_0000 + (start % 8) + ((run * 7) % count) * RUN * 2, RUN, 'rw');
  const view = new IommuView({
    memory,
    iotlb,
    ...(options.onMiss && {
      onMiss(iova: number): boolean {
        const run = Math.floor((iova - start) / RUN);
        if (run < 0 || run >= count) return false;
        map(run);
        return true;
      },
    }),
  });
  if (!options.onMiss) for (let run = 0; run < count; run++) map(run);
  return { view, seams: Array.from({ length: count - 1 }, (_, i) => start + (i + 1) * RUN) };
}
