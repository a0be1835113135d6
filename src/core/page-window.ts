/** Whole pages of guest memory that may be read straight from typed arrays, each entry by one element access. */
export interface PageWindow {
  /** Page number of the first. */
  readonly firstPage: number;
  /** How many, for the moment; 0 where every access has to ask. */
  readonly readPages: number;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  /** Nobody else can write these bytes: two halves read one after the other belong together. */
  readonly exclusive: boolean;
}
