export { type ProxyName, type ReverseProxy, startReverseProxy } from './reverse-proxy.ts';
export { endsWithSilentClient } from './silent.ts';
export {
  ENDED_BY_SIGINT,
  type Example,
  limitFileSize,
  rejectedExample,
  startExample,
  startProgram,
} from './start.ts';
export { rejectsWrongPort, STACK } from './wrong-port.ts';
