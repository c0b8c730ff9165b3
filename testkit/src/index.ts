export { CertificateAuthority } from './certificate-authority.ts';
export {
  type Daemon,
  type DaemonOptions,
  type DaemonPlace,
  findDaemon,
  lacksDaemon,
  startDaemon,
} from './daemon.ts';
export {
  type DeflateEngines,
  type DeflateRule,
  deflateContract,
  deflateRules,
  deflateWith,
  historyOf,
  type Inflated,
  inflateWith,
  type Portions,
} from './deflate-contract.ts';
export { FakeHost, type FakeHostOptions, turn } from './fake-host.ts';
export { collectGarbage, heapPerUnit } from './heap.ts';
export { hex, toHex } from './hex.ts';
export {
  NaiveDecoder,
  type NaiveFailure,
  type NaiveFrame,
  type NaiveOptions,
  naiveDecode,
} from './naive-decoder.ts';
export { type NaiveFrameOptions, naiveEncode, naiveMask } from './naive-encoder.ts';
export { naiveUtf8 } from './naive-utf8.ts';
export { Random } from './random.ts';
export { RawSocket, rawSocket } from './raw-socket.ts';
export { RecordingSink, type SinkCall } from './recording-sink.ts';
export { type SelfSigned, selfSigned } from './self-signed.ts';
export { TestTransport, type TestTransportOptions } from './test-transport.ts';
export {
  type TransportPair,
  type TransportRule,
  transportContract,
  transportRules,
} from './transport-contract.ts';
export {
  ACCEPT,
  type Answer,
  KEY,
  masked,
  parseAnswer,
  type RequestChange,
  request,
} from './upgrade-request.ts';
