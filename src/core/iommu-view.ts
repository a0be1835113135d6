import type { Access } from './access.ts';
import type { GuestAddressSpace } from './guest-address-space.ts';
import { GuestMemory } from './guest-memory.ts';
import { iommuBacking } from './iommu-backing.ts';
import { IommuTranslation, type IotlbMissHandler } from './iommu-translation.ts';
import { Iotlb } from './iotlb.ts';
import type { GuestRun } from './paged-range.ts';

/** What stands behind an {@link IommuView}, and how it learns of translations. */
export interface IommuViewOptions {
  /** The guest memory that translations lead to. */
  readonly memory: GuestAddressSpace<GuestMemory>;
  /** The translations; several devices may share one. Default: an empty {@link Iotlb} of default capacity. */
  readonly iotlb?: Iotlb;
  /** See {@link IotlbMissHandler}. Default: nothing is known beside what the IOTLB holds. */
  readonly onMiss?: IotlbMissHandler;
  /** See {@link IommuView.bypass}; default `false`. */
  readonly bypass?: boolean;
  /** What the memory is called in errors; default `iommu`. */
  readonly name?: string;
}

/**
 * What a device behind an IOMMU holds (SPEC S4): an address space whose memory is addressed by IO virtual addresses.
 *
 * Each access is translated as a whole before its first byte, from what the IOTLB holds at that moment: an invalidation
 * holds from the next access on, also through a memory that was taken before. Partial reads and writes end at the first
 * byte that is not translated. An access fails with `unmapped` where a translation is missing, `denied` where a right is,
 * `retry-limit` where `onMiss` says "look again" without end; {@link iotlbFaults} lists what stood in the way. Bytes are
 * written, and marked dirty, at their guest-physical addresses.
 *
 * Aligned scalars do not tear, and compare-exchange works, where IO virtual and guest-physical address are congruent.
 * Views lend the host bytes behind the translation; they stay those bytes, whatever is unmapped meanwhile: release them
 * before an invalidation is answered. `load`, `store` and their like are `unsupported`, but through a view.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { GuestMemory, IommuView } from 'guestmem';
 *
 * const ram = GuestMemory.allocate(0x1_0000);
 * const asked: number[] = [];
 * const view = new IommuView({
 *   memory: ram,
 *   onMiss(iova) {
 *     asked.push(iova);
 *     view.iotlb.map(iova - (iova % 0x1000), 0x3000, 0x1000, 'rw');
 *     return true;
 *   },
 * });
 * view.memory().writeU32(0xffff_0010, 42);
 * assert.equal(ram.readU32(0x3010), 42);
 * assert.deepEqual(asked, [0xffff_0010]);
 * view.bypass = true;
 * assert.equal(view.memory().readU32(0x3010), 42);
 * ```
 */
export class IommuView implements GuestAddressSpace<GuestMemory> {
  /** The translations. What is mapped and unmapped here holds from the next access on. */
  readonly iotlb: Iotlb;
  /**
   * True: IO virtual addresses are guest-physical ones, and `memory()` is the memory itself. A memory that was taken
   * before the switch stays what it was.
   */
  bypass: boolean;
  private readonly space: GuestAddressSpace<GuestMemory>;
  private readonly translation: IommuTranslation;
  private readonly name: string;
  /** The memory at the last call of `memory()`, and the one that was made for it. */
  private target: GuestMemory;
  private translated: GuestMemory;

  constructor(options: IommuViewOptions) {
    this.iotlb = options.iotlb ?? new Iotlb();
    this.bypass = options.bypass ?? false;
    this.name = options.name ?? 'iommu';
    this.space = options.memory;
    this.translation = new IommuTranslation(this.iotlb, this.name, options.onMiss);
    this.target = options.memory.memory();
    this.translated = this.translate(this.target);
  }

  /**
   * The memory by IO virtual addresses; another one once the map behind it has changed, or, where views of it were lent,
   * a translation has gone: who keeps a view asks for the memory before each piece of work, and for the view again where
   * it is another.
   */
  memory(): GuestMemory {
    const target = this.space.memory();
    if (this.bypass) return target;
    if (this.translation.takeStale() || target !== this.target) {
      this.translated = this.translate(target);
      this.target = target;
    }
    return this.translated;
  }

  /**
   * Where `length` bytes from `iova` on are in guest memory, in order.
   *
   * @throws GuestMemoryError `unmapped`, `denied`, `retry-limit`; `invalid` for a range that is none, or is empty
   */
  resolve(iova: number, length: number, access: Access): readonly GuestRun[] {
    if (this.bypass) return [{ gpa: iova, length }];
    const { runs, error } = this.translation.request(iova, length, access);
    if (error !== undefined) throw error;
    return runs;
  }

  private translate(target: GuestMemory): GuestMemory {
    return GuestMemory.from(iommuBacking(target, this.translation), { name: this.name });
  }
}
