export { FakeObs, type FakeObsOptions, noAnswer } from './fake-obs.ts';
export { Refusal } from './fake-scenes.ts';
export { readProtocol } from './protocol.ts';
