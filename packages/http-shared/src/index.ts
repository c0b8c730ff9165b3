export { acceptKey } from './accept-key.ts';
export { asError, isInstance } from './errors.ts';
export { type HeaderEntries, type HeaderValue, headerEntries, rawHeaderValues } from './headers.ts';
export { ipv6Groups } from './ipv6.ts';
export { optionHints } from './option-hints.ts';
export { assertOption, transportHighWaterMark, typeName } from './options.ts';
export { describeResult, discardPromise, isThenable } from './promises.ts';
export { withReadableKeys } from './readable-keys.ts';
export { TransportDuplex } from './transport-duplex.ts';
