const WIDTH = 30;

/** A progress bar as text: `write  ████████······  42 %`. `part` goes from 0 to 1. */
export function progressLine(part: number, phase: string): string {
  const done = Math.round(Math.min(1, Math.max(0, part)) * WIDTH);
  const percent = Math.floor(Math.min(1, Math.max(0, part)) * 100);
  return `${phase.padEnd(7)}${'█'.repeat(done)}${'·'.repeat(WIDTH - done)} ${percent.toString().padStart(3)} %`;
}
