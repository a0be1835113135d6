import { shared } from 'guestmem';
import type { BenchCase } from '../../harness/measurement.ts';
import { marks } from '../harness/dirty.ts';
import { copiesOf } from '../harness/guest-memory.ts';
import { ACROSS, INSIDE } from '../harness/plan.ts';

const guestmemShared: BenchCase = {
  id: 'guestmem-shared',
  title: 'guestmem, memory that Workers share',
  measurements: [...copiesOf(shared, [INSIDE, ACROSS]), ...marks(true)],
};

export default guestmemShared;
