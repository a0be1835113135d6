import type { GuestMemory } from '../../core/index.ts';
import { formatCount, formatSize, hex, plural } from '../format/units.ts';
import type { GuestResult, Marker } from './messages.ts';
import type { Check } from './report.ts';

/** What is true of the data if nothing was lost, mixed up or made up. `corrupt` blocks of the file were found wrong. */
export function dataChecks(result: GuestResult, corrupt: number, blocks: number): Check[] {
  const distinct = new Set(result.checksums).size;
  return [
    {
      what: 'Every block the guest wrote is in the file',
      ok: corrupt === 0 && result.checksums.length === blocks,
      detail: `${formatCount(blocks - corrupt)} of ${formatCount(blocks)} CRC-32 equal, seen from outside`,
    },
    {
      what: 'Every block came back to the guest',
      ok: result.mismatches === 0,
      detail: `${formatCount(blocks - result.mismatches)} of ${formatCount(blocks)} CRC-32 equal, seen by the guest`,
    },
    {
      // Equal blocks would hide one read in place of another. Random checksums may collide once in a while.
      what: 'No two blocks are alike',
      ok: distinct >= blocks - Math.ceil(blocks / 1000),
      detail: `${formatCount(distinct)} different checksums`,
    },
  ];
}

/** What is true if the memory that was plugged came in time to be used. */
export function plugChecks(result: GuestResult, inFlight: number): Check[] {
  const { written, read } = result;
  return [
    {
      what: 'Memory was plugged while the disk worked',
      ok: inFlight > 0,
      detail: `${plural(inFlight, 'request')} in flight`,
    },
    {
      what: 'The plugged memory carried traffic both ways',
      ok: written.pluggedBytes > 0 && read.pluggedBytes > 0,
      detail: `${formatSize(written.pluggedBytes)} out, ${formatSize(read.pluggedBytes)} in`,
    },
  ];
}

/** Whether the text the guest left is where its page tables say, walked by somebody else. */
export function markerCheck(memory: GuestMemory, marker: Marker, gpa: number | undefined): Check {
  const expected = new TextEncoder().encode(marker.text);
  const found =
    gpa === undefined ? undefined : new TextDecoder().decode(memory.readBytes(gpa, expected.length));
  return {
    what: "The guest's page tables lead to its text",
    ok: gpa === marker.gpa && found === marker.text,
    detail: gpa === undefined ? 'not mapped' : `${JSON.stringify(found)} at ${hex(gpa)}`,
  };
}
