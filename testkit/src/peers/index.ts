export { Random } from '../random.ts';
export { closingSuite } from './closing.ts';
export { cutSuite } from './cuts.ts';
export { farewellSuite } from './farewell.ts';
export { flowSuite } from './flow.ts';
export { expectNoSockets, nothingLeft, whenOver } from './leftovers.ts';
export {
  everySize,
  expectSame,
  messageSuite,
  readWs,
  type Sent,
  waysOfReading,
} from './messages.ts';
export { pattern, patternText, SIZES } from './pattern.ts';
export {
  type RawFrame,
  RawPeer,
  rawClient,
  rawServer,
  switchingProtocols,
  upgradeRequest,
} from './raw-peer.ts';
export { settingsSuite } from './settings.ts';
export {
  allGone,
  ended,
  type Ours,
  OVER,
  type Stage,
  type WithRaw,
  type WithWs,
  wsClosed,
} from './stage.ts';
export { streamSuite, waysOfDraining } from './streams.ts';
export { valueSuite } from './values.ts';
