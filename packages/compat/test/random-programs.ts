import fc from 'fast-check';
import { connectOverStreams } from './stream-pair.ts';
import { masked, type Scene } from './trace.ts';

const OPTIONS = fc.record({
  maxPayload: fc.constantFrom(0, 0, 50, 1000, 70_000),
  allowSynchronousEvents: fc.boolean(),
  autoPong: fc.boolean(),
  skipUTF8Validation: fc.boolean(),
  maxFragments: fc.constantFrom(undefined, 3),
});
const BINARY_TYPES = ['nodebuffer', 'arraybuffer', 'fragments', 'blob'] as const;

const SIZE = fc.constantFrom(0, 1, 49, 51, 125, 126, 1000, 1001, 5000, 65_535, 65_536, 80_000);
const MAYBE = fc.constantFrom(undefined, true, false);
const SEND = fc.record({
  call: fc.constant('send' as const),
  kind: fc.constantFrom('text', 'utf-8', 'bytes', 'array buffer', 'number', 'blob'),
  size: SIZE,
  fin: fc.constantFrom(true, true, true, false),
  binary: MAYBE,
});
const CONTROL = fc.record({
  call: fc.constantFrom('ping' as const, 'pong' as const),
  size: fc.constantFrom(0, 5, 125, 126),
});
const CLOSE = fc.record({
  call: fc.constant('close' as const),
  code: fc.constantFrom(undefined, 1000, 1001, 1011, 3000, 4999, 1005, 999, '1000'),
  reason: fc.constantFrom(undefined, '', 'bye', 'x'.repeat(124), Buffer.of(0xff)),
});
/** Bytes from the peer of a frame, which may be invalid in every way. */
const FRAME = fc.record({
  call: fc.constant('frame' as const),
  b0: fc.nat(255),
  payload: fc.constantFrom('', '616263', 'fffe', '03e8', '03', '03e8ff', '03ed', 'e282', 'ac'),
  isMaskWrong: fc.constantFrom(false, false, false, false, true),
  cut: fc.constantFrom(0, 0, 0, 0, 1, 3),
});
const SIMPLE = fc.record({
  call: fc.constantFrom('pause', 'resume', 'resume', 'terminate', 'end', 'destroy', 'nothing'),
});
const STEP = fc.record({
  party: fc.constantFrom('client' as const, 'server' as const),
  operation: fc.oneof(SEND, CONTROL, CLOSE, FRAME, SIMPLE),
  /** Whether all that it causes comes before the next step. */
  settles: fc.boolean(),
});

/** Options of both ends, and operations on them. */
export const PROGRAM = fc
  .record({
    options: OPTIONS,
    binaryType: fc.constantFrom(...BINARY_TYPES),
    steps: fc.array(STEP, { minLength: 2, maxLength: 16 }),
  })
  // After an invalid frame, ws handles the chunk that waits behind it, or throws.
  .filter(
    ({ options, steps }) =>
      options.allowSynchronousEvents || steps.every(({ operation }) => operation.call !== 'frame'),
  );

type Program = typeof PROGRAM extends fc.Arbitrary<infer T> ? T : never;
type Step = Program['steps'][number];
type Connected = Awaited<ReturnType<typeof connectOverStreams>>;

/** Runs the program, and leaves in the trace what happens at both ends. */
export async function runProgram(scene: Scene, program: Program): Promise<void> {
  const connected = await connectOverStreams(scene, program.options);
  const { client, server } = connected;
  for (const ws of [client, server]) ws.binaryType = program.binaryType as never;
  for (const [index, step] of program.steps.entries()) {
    run(scene, connected, step, `${index} ${step.operation.call}`);
    if (step.settles) await settle();
  }
  for (const ws of [client, server]) ws.resume();
  await settle();
  for (const ws of [client, server]) ws.terminate();
  await settle();
}

function run(scene: Scene, connected: Connected, { party, operation }: Step, name: string): void {
  const ws = connected[party];
  const stream = connected.streams[party];
  // Callbacks come in their order, but not always in the same turn.
  const callback = scene.callback(`callbacks of the ${party}`, name);
  scene.attempt(party, name, () => {
    switch (operation.call) {
      case 'send':
        return ws.send(dataOf(operation) as never, { ...operation, compress: false }, callback);
      case 'ping':
      case 'pong':
        return ws[operation.call]('p'.repeat(operation.size), undefined, callback);
      case 'close':
        return ws.close(operation.code as number, operation.reason);
      case 'frame':
        // Not after its own end: that is another error of the stream.
        return stream.writable && void stream.write(frameOf(operation, party));
      case 'pause':
      case 'resume':
      case 'terminate':
        return ws[operation.call]();
      case 'end':
        return void stream.end();
      case 'destroy':
        return void stream.destroy();
      case 'nothing':
    }
  });
  scene.log(party, ws.readyState, ws.isPaused, ws.bufferedAmount >= 0);
}

function dataOf({ kind, size }: { kind: string; size: number }): unknown {
  switch (kind) {
    case 'text':
      return 'a'.repeat(size);
    case 'utf-8':
      return 'é€'.repeat(size / 5);
    case 'bytes':
      return Buffer.alloc(size, 7);
    case 'array buffer':
      return new Uint8Array(size).fill(3).buffer;
    case 'blob':
      return new Blob([Buffer.alloc(size, 9)]);
    default:
      return size;
  }
}

function frameOf(
  frame: { b0: number; payload: string; isMaskWrong: boolean; cut: number },
  party: 'client' | 'server',
): Buffer {
  const payload = Buffer.from(frame.payload, 'hex');
  const isMasked = (party === 'client') !== frame.isMaskWrong;
  const plain = Buffer.concat([Buffer.of(frame.b0, payload.length), payload]);
  const bytes = isMasked ? masked(frame.b0, payload) : plain;
  // A close frame of one byte is invalid: ws says so before it has that byte.
  return payload.length === 1 ? bytes : bytes.subarray(0, bytes.length - frame.cut);
}

/** The streams need two turns for a chunk, and events that wait for a turn each. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
