/** What an access does to the bytes; `write` covers read-modify-write. */
export type Access = 'read' | 'write';
