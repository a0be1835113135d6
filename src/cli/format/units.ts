const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;

/** An address or value as in JSON: `0x` and no padding. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** An address as in listings: `digits` hex digits, no `0x`. */
export function padHex(value: number | bigint, digits = 16): string {
  return value.toString(16).padStart(digits, '0');
}

/**
 * A size for people: whole in its largest unit where that is exact, else two decimals (`640 KiB`, `1.02 GiB`).
 * A size is never rounded up to the next unit's round number.
 */
export function formatSize(bytes: number | bigint): string {
  const exact = BigInt(bytes);
  let unit = 0;
  let scale = 1n;
  while (unit < SIZE_UNITS.length - 1 && exact >= scale * 1024n) {
    scale *= 1024n;
    unit += 1;
  }
  if (exact % scale === 0n) return `${exact / scale} ${SIZE_UNITS[unit]}`;
  // 1023.999 of a unit must not read as the next unit's 1: cut, do not round.
  const hundredths = (exact * 100n) / scale;
  return `${hundredths / 100n}.${(hundredths % 100n).toString().padStart(2, '0')} ${SIZE_UNITS[unit]}`;
}

/** A count with thousands separated, the same in every locale: `1,048,576`. */
export function formatCount(count: number | bigint): string {
  return count.toString().replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** A count and its noun: `1 range`, `3 ranges`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}
