export { FakeObs, type FakeObsOptions, noAnswer } from './fake-obs.ts';
export { FakeObsV4 } from './fake-obs-v4.ts';
export { Refusal } from './fake-scenes.ts';
export { readProtocol } from './protocol.ts';
