// guestmem/image: memory images and dumps, read from any source of bytes, in Node and in a browser alike.

export { BlobByteSource, type BlobLike } from './blob-byte-source.ts';
export { type ByteSource, bytesSource } from './byte-source.ts';
export { CachedByteSource } from './cached-byte-source.ts';
export { detectFormat, type FormatGuess } from './detect-format.ts';
export { ImageError, type ImageErrorCode, type ImageErrorFacts, isImageError } from './image-error.ts';
export {
  type CpuState,
  type ImageRange,
  type MemoryImage,
  type RangeKind,
  whyUnreadable,
} from './memory-image.ts';
export { type OpenImageOptions, openImage } from './open-image.ts';
export type { PageCacheOptions } from './page-cache.ts';
export { memoryOfRanges } from './range-memory.ts';
