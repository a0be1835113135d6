declare global {
  // Repeats what TypeScript's esnext.disposable library says, so that a user on es2022 libraries can compile
  // against these declarations; where that library is present the two merge.
  interface SymbolConstructor {
    readonly dispose: unique symbol;
  }
}

/** Something lent: give it back with `release()`, or let a `using` declaration do so. Safe to call twice. */
export interface Releasable {
  /** Gives it back. */
  release(): void;
  [Symbol.dispose](): void;
}

/** Something owned: end it with `close()`, or let a `using` declaration do so. Safe to call twice. */
export interface Closable {
  /** Ends it. */
  close(): void;
  [Symbol.dispose](): void;
}
