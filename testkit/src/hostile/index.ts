export {
  type Assertion,
  boundOf,
  type Entry,
  GOALS,
  type Holder,
  securityMap,
} from './bounds.ts';
export { type Outcome, type SurvivalOptions, survives } from './survives.ts';
export { threadTime } from './thread-time.ts';
export type { Watch } from './watch.ts';
