/** What an access does to the bytes; `write` covers read-modify-write, `execute` the fetch of an instruction. */
export type Access = 'read' | 'write' | 'execute';
