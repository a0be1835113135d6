// The process of one measurement: `node run-measurement.js CASE.js INDEX`. Without an index it lists the case.
// The answer is one line of JSON on standard output.
import { pathToFileURL } from 'node:url';
import type { BenchCase } from './measurement.ts';
import { time } from './time.ts';

const [file, index] = process.argv.slice(2);
if (file === undefined) throw new Error('Wanted: run-measurement.js CASE.js [INDEX]');
const { default: benchCase } = (await import(pathToFileURL(file).href)) as { default: BenchCase };

if (index === undefined) {
  const { id, title, measurements } = benchCase;
  answer({ id, title, measurements: measurements.map(({ name, budget }) => ({ name, budget })) });
} else {
  const measurement = benchCase.measurements[Number(index)];
  if (measurement === undefined) throw new Error(`Case ${benchCase.id} has no measurement ${index}`);
  const subject = await measurement.prepare();
  if ('probe' in subject) {
    answer({ value: await subject.probe() });
  } else {
    answer({ ...(await time(subject)), bytes: subject.bytes });
    subject.close?.();
  }
}

function answer(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
