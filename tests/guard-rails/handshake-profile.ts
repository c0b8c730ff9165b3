// A process for handshake-allocation.slow.test.ts: opens connections to its own server and prints the
// bytes that each file of the packages allocates for one of them. Arguments: the request, and 'all' for
// all objects, or 'kept' for those that survive the collections of the young generation.
import { once } from 'node:events';
import { type HeapProfiler, Session } from 'node:inspector/promises';
import { connect, type Socket } from 'node:net';
import { serve } from '@ws/node-server';

const WARM_UPS = 300;
const OPENINGS = 200;
/** A source file of a package, without the query that tsx adds. */
const SOURCE = /\/packages\/([^?]+)/;

/**
 * Timers serve all connections: Node's, and those of `Timers`. `__name` is a helper of tsx, which is not
 * in the packages.
 */
const UNCOUNTED = ['listOnTimeout', '#fireUntil', '__name'];

type ByFile = Map<string, number>;

const server = await serve({ host: '127.0.0.1' }, (conn) => conn.receive(() => {}));
const { port } = new URL(server.url);
const upgradeRequest = process.argv[2]!;
const keptOnly = process.argv[3] === 'kept';

/** Opens connections one after the other, and leaves them open. */
async function open(count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(upgradeRequest);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    if (!answer.toString().startsWith('HTTP/1.1 101 ')) throw new Error(answer.toString());
    sockets.push(socket);
  }
  return sockets;
}

/** Profiles every allocation of `work`, including objects that are collected meanwhile. See `keptOnly`. */
async function profileOf(work: () => Promise<unknown>): Promise<HeapProfiler.SamplingHeapProfile> {
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: 1,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: !keptOnly,
  });
  await work();
  if (keptOnly) {
    // The second one promotes what survives.
    for (let i = 0; i < 2; i++) globalThis.gc!({ type: 'minor' });
  }
  const { profile } = await session.post('HeapProfiler.stopSampling');
  session.disconnect();
  return profile;
}

/**
 * Adds up the bytes by the file whose function allocates. A builtin without a file, such as
 * `Array.prototype.map`, counts for its caller.
 */
function addUp(node: HeapProfiler.SamplingHeapProfileNode, caller: string, bytes: ByFile): void {
  const { functionName, url } = node.callFrame;
  if (UNCOUNTED.includes(functionName)) return;
  const file = url === '' ? caller : (SOURCE.exec(url)?.[1] ?? '');
  if (file !== '') bytes.set(file, (bytes.get(file) ?? 0) + node.selfSize / OPENINGS);
  for (const child of node.children) addUp(child, file, bytes);
}

const sockets = await open(WARM_UPS);
const profile = await profileOf(async () => sockets.push(...(await open(OPENINGS))));
const bytes: ByFile = new Map();
addUp(profile.head, '', bytes);
console.log(JSON.stringify([...bytes].toSorted(([, a], [, b]) => b - a)));
for (const socket of sockets) socket.destroy();
await server.close();
