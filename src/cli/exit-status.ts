/** What the command's exit status says; scripts rely on these numbers. */
export const ExitStatus = {
  /** Everything asked for was done. */
  ok: 0,
  /** Nothing found, or the address is not mapped. */
  notFound: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** The input (file, dump, socket) cannot be used. */
  unusable: 3,
  /** Part of the answer is missing: a truncated dump, a hole, a budget that ran out. */
  partial: 4,
} as const;

/** One of the numbers of {@link ExitStatus}. */
export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus];
