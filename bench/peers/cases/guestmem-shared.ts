import { shared } from 'guestmem';
import type { BenchCase } from '../../harness/measurement.ts';
import { copiesOf } from '../harness/guest-memory.ts';
import { ACROSS, INSIDE } from '../harness/plan.ts';

const guestmemShared: BenchCase = {
  id: 'guestmem-shared',
  title: 'guestmem, memory that Workers share',
  measurements: copiesOf(shared, [INSIDE, ACROSS]),
};

export default guestmemShared;
