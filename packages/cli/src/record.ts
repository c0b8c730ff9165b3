import type { DataType } from '@ws/node-client';
import { conversationOf, endsOf } from './conversation.ts';
import { converse } from './converse.ts';
import { ExitCode, Failure, usage } from './failure.ts';
import type { Outgoing, OutgoingWriter } from './input.ts';
import type { Io } from './io.ts';
import { sizeOf, type Values } from './options.ts';
import { Recorder } from './recording.ts';
import { flagOf } from './recording-file.ts';
import type { Client, Source, View } from './views.ts';

/** Bytes of the longest message: it is held, as a line of JSON, which may take 6 bytes for one. */
const MAX = 64 * 1024 ** 2;

/** `wsx record URL FILE`: a conversation that is also written to a file. */
export async function record(
  io: Io,
  [url = '', file = '']: readonly string[],
  values: Values,
): Promise<number> {
  if (values.max !== undefined && sizeOf('max', values.max) > MAX) {
    throw usage('--max: wsx record holds each message, so 64M is the longest');
  }
  const replaces = values.force === true;
  flagOf(file, replaces);
  const ends = await endsOf(io, values);
  const stop = new AbortController();
  let recorder: Recorder | undefined;
  let failed: Error | undefined;
  // Not before the connection is open: an earlier recording outlives a failed dial.
  const opened = (): Recorder => {
    recorder ??= new Recorder(file, url, replaces, (failure) => {
      failed = failure;
      stop.abort();
    });
    return recorder;
  };
  const conversation = conversationOf(io, ends, (sender) => recordSent(sender, opened()));
  const interrupted = AbortSignal.any([io.interrupted, stop.signal]);
  try {
    return await converse(
      { ...io, interrupted },
      url,
      { max: String(MAX), ...values },
      {
        ...conversation,
        view: recordReceived(ends.view, opened),
        onOpen(conn) {
          opened();
          conversation.onOpen?.(conn);
        },
      },
    );
  } finally {
    if (failed === undefined) await recorder?.close();
    // oxlint-disable-next-line no-unsafe-finally -- the conversation only ended because of it
    else throw failed;
  }
}

function recordReceived(view: View, opened: () => Recorder): View {
  const whole = async (type: DataType, bytes: Uint8Array, client?: Client): Promise<void> => {
    await opened().add('receive', type, bytes);
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
      checkLength(bytes.length);
      const written = recorder.add('send', type, bytes);
      const sent = out.send(type, bytes);
      return written === undefined ? sent : written.then(() => sent);
    },
    ready: () => out.ready(),
    async open(type): Promise<OutgoingWriter> {
      const writer = await out.open(type);
      const pieces: Uint8Array[] = [];
      let length = 0;
      return {
        async write(bytes) {
          length += bytes.length;
          checkLength(length);
          pieces.push(bytes);
          await writer.write(bytes);
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

/** @throws Failure, exit code 6. */
function checkLength(length: number): void {
  if (length <= MAX) return;
  const cure = 'wsx record holds each message; wsx URL does not';
  throw new Failure(ExitCode.TooLong, 'stdin: a message is longer than 64 MiB', cure);
}
