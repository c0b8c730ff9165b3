import { transportContract } from '@ws/tests';
import { beforeAll } from 'vitest';
import { socketTransport } from '../src/index.ts';
import { prepareReadBuffer } from '../src/internal.ts';
import { duplexPair, type Pair, tcpPair, tlsPair } from './sockets.ts';

const over: Record<string, () => Promise<Pair>> = {
  'a socket of TCP': tcpPair,
  'a socket of TLS': tlsPair,
  'a Duplex in memory': duplexPair,
};

beforeAll(prepareReadBuffer);

for (const [name, connect] of Object.entries(over)) {
  for (const readBuffer of connect === duplexPair ? [true] : [true, false]) {
    transportContract(readBuffer ? name : `${name}, by data events`, async () => {
      const { ours, peer, dispose } = await connect();
      const options = { readBuffer };
      return { near: socketTransport(ours, options), far: socketTransport(peer, options), dispose };
    });
  }
}
