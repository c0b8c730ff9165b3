export {
  type Attack,
  atLeast,
  atMost,
  type Bound,
  claim,
  costs,
  KIB,
  type Limit,
  type Limits,
  lowestAtMost,
  MIB,
  STALL_MS,
} from './bounds.ts';
export { type Outcome, survives, warmUp } from './survives.ts';
export { threadTime } from './thread-time.ts';
export type { Watch } from './watch.ts';
