import { transportContract } from '@ws/tests';
import { socketTransport } from '../src/index.ts';
import { duplexPair, type Pair, tcpPair, tlsPair } from './sockets.ts';

const over: Record<string, () => Promise<Pair>> = {
  'a socket of TCP': tcpPair,
  'a socket of TLS': tlsPair,
  'a Duplex in memory': duplexPair,
};

for (const [name, connect] of Object.entries(over)) {
  transportContract(name, async () => {
    const { ours, peer, dispose } = await connect();
    return { near: socketTransport(ours), far: socketTransport(peer), dispose };
  });
}
