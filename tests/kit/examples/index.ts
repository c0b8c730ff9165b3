export { type InstalledExample, installExample } from './installed.ts';
export { type ProxyName, type ReverseProxy, startReverseProxy } from './reverse-proxy.ts';
export { endsWithSilentClient } from './silent.ts';
export {
  ENDED_BY_SIGINT,
  type Example,
  limitFileSize,
  rejectedExample,
  startExample,
} from './start.ts';
export { type EchoExample, exampleEchoes } from './suite.ts';
export { rejectsWrongPort, STACK } from './wrong-port.ts';
