type WaitAsync = (words: Int32Array, at: number, value: number, ms: number) => { readonly value: unknown };
const { waitAsync } = Atomics as { waitAsync?: WaitAsync };
declare const setTimeout: (callback: () => void, ms: number) => unknown;

/** True where the engine tells of a change; elsewhere the time has to run out. */
export const TELLS: boolean = waitAsync !== undefined;

/**
 * Resolves when somebody was notified of a word that had this value, or some milliseconds later, without blocking. The time is
 * there in any case: a wait alone does not keep Node running.
 */
export async function nextChange(words: Int32Array, at: number, value: number, ms: number): Promise<void> {
  const time = new Promise<void>((resolve) => {
    setTimeout(resolve, ms);
  });
  await Promise.race([time, waitAsync?.(words, at, value, ms).value ?? time]);
}
