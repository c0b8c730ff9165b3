import { Fifo } from '@ws/conn/internal';
import { BinaryMessage, type DataType, TextMessage } from '@ws/node-client';
import { endsOf } from './conversation.ts';
import { converse } from './converse.ts';
import { ExitCode, Failure, usage } from './failure.ts';
import { safeJson, type WholeMessage } from './formats.ts';
import { delay, type Io, note } from './io.ts';
import { type OptionName, type Values, waitOf } from './options.ts';
import type { OutputBuffer } from './output-buffer.ts';
import type { PeerSender } from './peer-sender.ts';
import { allOf } from './record.ts';
import { bytesOfRecorded, type Recorded, readRecording } from './recording.ts';
import type { View } from './views.ts';

/** The time for an expected answer, in ms. */
const WAIT = 10_000;
/** An answer is held until it is compared. */
const MAX = '64M';
/** Bytes of the answers that may come before the recording expects them, and what each adds. */
const MAX_EARLY = 256 * 1024 ** 2;
const ANSWER_COST = 256;
/** Most differences that are printed. */
const PRINTED = 10;

/** `wsx replay FILE URL`: sends the messages of a recording again. */
export async function replay(
  io: Io,
  [file = '', url = '']: readonly string[],
  values: Values,
): Promise<number> {
  const ends = await endsOf(io, values);
  const entry = numberOf('entry', values.entry);
  const speed = numberOf('speed', values.speed) ?? 1;
  const recording = readRecording(file, entry);
  // A file that cannot be read ends the command before a connection is open.
  const first = await recording.next();
  const answers = values.expect === true ? new Answers(ends.output, values) : undefined;
  const sent = { messages: 0 };
  async function* messages(): AsyncGenerator<Recorded, void, undefined> {
    if (first.done !== true) yield first.value;
    yield* recording;
  }
  // With --expect, --wait is the time for each answer: all of them have come, or are missing.
  const allValues = answers === undefined ? values : { max: MAX, ...values, wait: '0' };
  const code = await converse(io, url, allValues, {
    output: ends.output,
    view: answers === undefined ? ends.view : answers.view,
    speak: (sender) =>
      answers === undefined
        ? sendAtTimes(messages(), speed, sender, sent)
        : sendAfterAnswers(messages(), answers, sender, sent),
  });
  const count = `sent ${sent.messages} ${sent.messages === 1 ? 'message' : 'messages'}`;
  if (answers === undefined) {
    note(io, count);
    return code;
  }
  await answers.end();
  const { equal, expected, different } = answers;
  note(io, `${count}; ${equal} of ${expected} answers are as recorded`);
  if (different > 0) throw new Failure(ExitCode.Different, `${different} answers differ`);
  return code;
}

/** @throws Failure, exit code 2. */
function numberOf(name: OptionName, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text);
  throw usage(`--${name}: expected a number, got ${text}`);
}

async function send(
  message: Recorded,
  sender: PeerSender,
  sent: { messages: number },
): Promise<void> {
  const type = message.opcode === BinaryMessage ? BinaryMessage : TextMessage;
  await sender.send(type, bytesOfRecorded(message));
  await sender.ready();
  sent.messages++;
}

/** @param speed - 0 for no pauses. */
async function sendAtTimes(
  messages: AsyncIterable<Recorded>,
  speed: number,
  sender: PeerSender,
  sent: { messages: number },
): Promise<void> {
  const start = performance.now();
  let first: number | undefined;
  for await (const message of messages) {
    first ??= message.time;
    if (message.type !== 'send') continue;
    if (speed > 0) {
      const at = start + ((message.time - first) * 1000) / speed;
      const left = at - performance.now();
      if (left > 0 && !(await delay(left, sender.ended))) return;
    }
    await send(message, sender, sent);
  }
}

async function sendAfterAnswers(
  messages: AsyncIterable<Recorded>,
  answers: Answers,
  sender: PeerSender,
  sent: { messages: number },
): Promise<void> {
  for await (const message of messages) {
    if (message.type === 'receive') {
      answers.expect(message);
      continue;
    }
    await answers.complete(sender.ended);
    if (sender.ended.aborted) return;
    await send(message, sender, sent);
  }
  await answers.complete(sender.ended);
}

/** Compares answers with those of a recording, in order. */
class Answers {
  readonly #output: OutputBuffer;
  readonly #wait: number;
  readonly #expected = new Fifo<Recorded>();
  readonly #came = new Fifo<WholeMessage>();
  #cameBytes = 0;
  #onCompared = (): void => {};
  expected = 0;
  equal = 0;
  different = 0;

  constructor(output: OutputBuffer, values: Values) {
    this.#output = output;
    this.#wait = waitOf(values.wait) ?? WAIT;
  }

  get view(): View {
    const whole = (type: DataType, bytes: Uint8Array): undefined => {
      this.#came.add({ type, bytes });
      this.#cameBytes += bytes.length + ANSWER_COST;
      this.#compare();
      if (this.#cameBytes > MAX_EARLY) {
        throw new Failure(ExitCode.TooLong, 'more than 256 MiB of answers were not expected yet');
      }
    };
    return { whole, take: async (reader) => whole(reader.type, await allOf(reader)) };
  }

  expect(message: Recorded): void {
    this.expected++;
    this.#expected.add(message);
    this.#compare();
  }

  /** Waits for the expected answers. Those that do not come in time are missing. */
  async complete(ended: AbortSignal): Promise<void> {
    const over = new AbortController();
    this.#onCompared = () => {
      if (this.#expected.length === 0) over.abort();
    };
    this.#onCompared();
    await delay(this.#wait, AbortSignal.any([ended, over.signal]));
    for (let missing = this.#expected.shift(); missing; missing = this.#expected.shift()) {
      this.#differ(missing, 'got no answer');
    }
  }

  #compare(): void {
    while (this.#expected.length > 0 && this.#came.length > 0) {
      const expected = this.#expected.shift()!;
      const { type, bytes } = this.#came.shift()!;
      this.#cameBytes -= bytes.length + ANSWER_COST;
      if (type === expected.opcode && bytesOfRecorded(expected).equals(bytes)) this.equal++;
      else this.#differ(expected, `got ${shortened(type, bytes)}`);
    }
    this.#onCompared();
  }

  /** The connection has ended: answers that the recording does not have differ. */
  async end(): Promise<void> {
    for (let answer = this.#came.shift(); answer; answer = this.#came.shift()) {
      this.#differ(undefined, `got ${shortened(answer.type, answer.bytes)}`);
    }
    await this.#output.finish();
  }

  #differ(expected: Recorded | undefined, got: string): void {
    this.different++;
    if (this.different > PRINTED) return;
    const what = expected ? shortened(expected.opcode, bytesOfRecorded(expected)) : 'no answer';
    const number = this.equal + this.different;
    void this.#output.append(Buffer.from(`answer ${number}: expected ${what}, ${got}\n`));
  }
}

function shortened(opcode: number, bytes: Uint8Array): string {
  return opcode === BinaryMessage
    ? `${bytes.length} bytes ${Buffer.from(bytes.subarray(0, 32)).toString('hex')}`
    : safeJson(Buffer.from(bytes).toString().slice(0, 100));
}
