/** @typedef {(value: unknown) => void} Listener */

/** Who listens, by event. */
export class Listeners {
  constructor() {
    /** @type {Map<string, Map<Listener, boolean>>} */
    this.byEvent = new Map();
  }

  /**
   * @param {string} event
   * @param {Listener} listener
   */
  on(event, listener) {
    return this.#add(event, listener, false);
  }

  /**
   * @param {string} event
   * @param {Listener} listener
   */
  once(event, listener) {
    return this.#add(event, listener, true);
  }

  /**
   * @param {string} event
   * @param {Listener} listener
   */
  off(event, listener) {
    this.byEvent.get(event)?.delete(listener);
    return this;
  }

  /**
   * @param {string} event
   * @param {unknown} value
   * @returns {boolean} whether anybody listened
   */
  emit(event, value) {
    const listeners = [...(this.byEvent.get(event) ?? [])];
    for (const [listener, once] of listeners) {
      if (once) this.off(event, listener);
      listener(value);
    }
    return listeners.length > 0;
  }

  /**
   * @param {string} event
   * @param {Listener} listener
   * @param {boolean} once
   */
  #add(event, listener, once) {
    if (!['message', 'error', 'exit'].includes(event))
      throw new Error(`A page's Worker has no event ${event}`);
    const listeners = this.byEvent.get(event) ?? new Map();
    this.byEvent.set(event, listeners.set(listener, once));
    return this;
  }
}
