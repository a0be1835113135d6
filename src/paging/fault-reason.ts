/** Why an entry or an access is refused; the architecture's code tells it in the processor's way. */
export type FaultReason =
  | 'not-present'
  | 'reserved'
  | 'misconfigured'
  | 'address-size'
  | 'misaligned'
  | 'access-flag'
  | 'rights'
  | 'protection-key'
  | 'shadow-stack';

/** Each reason as the end of a sentence that begins with an entry's name. */
export const WHY: Readonly<Record<FaultReason, (entry: string) => string>> = {
  'not-present': (entry) => `the ${entry} is not present`,
  reserved: (entry) => `the ${entry} has reserved bits set`,
  misconfigured: (entry) => `the ${entry} is misconfigured`,
  'address-size': (entry) => `the ${entry} holds an address that is too large`,
  misaligned: (entry) => `the ${entry} maps a large page that is not aligned`,
  'access-flag': (entry) =>
    `the ${entry} is not marked as accessed or dirty, and the processor does not mark it`,
  rights: (entry) => `the access is not allowed by the tables down to the ${entry}`,
  'protection-key': (entry) => `the protection key of the ${entry} forbids the access`,
  'shadow-stack': (entry) =>
    `shadow stacks are for their own instructions, and those for nothing else: the ${entry} refuses the access`,
};
