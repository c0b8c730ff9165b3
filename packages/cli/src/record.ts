import type { DataType } from '@ws/node-client';
import { converse } from './converse.ts';
import type { Outgoing, OutgoingWriter } from './input.ts';
import type { Io } from './io.ts';
import type { Values } from './options.ts';
import { Recorder } from './recording.ts';
import { endsOf, talkOf } from './talks.ts';
import type { Source, View } from './views.ts';

/** A recorded message is a line of JSON, so it is held: no longer one is accepted. */
const MAX = '64M';

/** `wsx record URL FILE`: a conversation that is also written to a file. */
export async function record(
  io: Io,
  [url = '', file = '']: readonly string[],
  values: Values,
): Promise<number> {
  const ends = endsOf(io, values);
  const recorder = new Recorder(file, url);
  const talk = talkOf(io, ends, (line) => recordSent(line, recorder));
  const stop = new AbortController();
  let failed: Error | undefined;
  recorder.onFailure((failure) => {
    failed = failure;
    stop.abort();
  });
  const interrupted = AbortSignal.any([io.interrupted, stop.signal]);
  try {
    return await converse(
      { ...io, interrupted },
      url,
      { max: MAX, ...values },
      {
        ...talk,
        view: recordReceived(ends.view, recorder),
      },
    );
  } finally {
    if (failed === undefined) await recorder.close();
    // oxlint-disable-next-line no-unsafe-finally -- the conversation only ended because of it
    else throw failed;
  }
}

function recordReceived(view: View, recorder: Recorder): View {
  const whole = async (type: DataType, bytes: Uint8Array, client?: number): Promise<void> => {
    await recorder.add('receive', type, bytes);
    await view.whole(type, bytes, client);
  };
  return {
    whole,
    take: async (reader, _, client) => whole(reader.type, await allOf(reader), client),
  };
}

/** The whole of a message. */
export async function allOf(reader: Source): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const piece = Buffer.allocUnsafe(16 * 1024);
    const read = await reader.read(piece);
    if (read === 0) return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    pieces.push(piece.subarray(0, read));
  }
}

function recordSent(out: Outgoing, recorder: Recorder): Outgoing {
  return {
    send(type, bytes) {
      const written = recorder.add('send', type, bytes);
      const sent = out.send(type, bytes);
      return written === undefined ? sent : written.then(() => sent);
    },
    ready: () => out.ready(),
    async open(type): Promise<OutgoingWriter> {
      const writer = await out.open(type);
      const pieces: Uint8Array[] = [];
      return {
        write(bytes) {
          pieces.push(bytes);
          return writer.write(bytes);
        },
        async close() {
          await recorder.add('send', type, Buffer.concat(pieces));
          await writer.close();
        },
        abort: () => writer.abort(),
      };
    },
  };
}
