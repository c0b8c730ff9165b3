import { MAX_CLOSE_REASON } from '@ws/codec/internal';
import { CloseCode, isValidCloseCode } from '@ws/node-client';
import { type Conversation, converse } from './converse.ts';
import { excerpt } from './escape.ts';
import { type Format, formatOf } from './formats.ts';
import { type Outgoing, sendAll } from './input.ts';
import type { Io } from './io.ts';
import type { Values } from './options.ts';
import { OutputBuffer } from './output-buffer.ts';
import type { PeerSender } from './peer-sender.ts';
import type { Prompt, PromptTarget } from './prompt.ts';
import { PipeView, TerminalView, type View } from './views.ts';

/** `wsx URL`: a prompt on a terminal, else lines ⇄ messages. */
export async function connect(
  io: Io,
  [url = '']: readonly string[],
  values: Values,
): Promise<number> {
  return converse(io, url, values, conversationOf(io, await endsOf(io, values)));
}

/** Whether stdin and stdout are terminals, and the format is for people: then there is a prompt. */
function isPrompted(io: Io, values: Values): boolean {
  return io.stdin.isTTY === true && io.stdout.isTTY === true && formatOf(values) === 'lines';
}

/** The output of a command, and its format of stdin. */
export interface Ends {
  readonly output: OutputBuffer;
  readonly view: View;
  /** Prints a line for people between the messages. */
  readonly note: (text: string) => void;
  /** Set on a terminal. */
  readonly prompt: Prompt | undefined;
  readonly format: Format;
}

/** @throws (rejects with) Failure, exit code 2, for two formats. */
export async function endsOf(io: Io, values: Values): Promise<Ends> {
  const format = formatOf(values);
  const output = new OutputBuffer(io.stdout);
  const colors = (io.env['NO_COLOR'] ?? '') === '';
  const toStderr = (text: string): void => void io.stderr.write(`${text}\n`);
  if (isPrompted(io, values)) {
    // A pipe needs no line editor: node:readline is not loaded for it.
    const { Prompt } = await import('./prompt.ts');
    const prompt = new Prompt(io);
    const print = (text: string): undefined => prompt.print(text) as undefined;
    return {
      output,
      view: new TerminalView(print, colors),
      note: (text) => prompt.print(`${text}\n`),
      prompt,
      format,
    };
  }
  const isSafe = format === 'base64' || format === 'jsonl';
  const view =
    io.stdout.isTTY === true && !isSafe
      ? new TerminalView((text) => output.append(Buffer.from(text)), colors)
      : new PipeView(output, format);
  return { output, view, note: toStderr, prompt: undefined, format };
}

/**
 * The conversation of `wsx URL`: a prompt on a terminal, else a pipe.
 *
 * @param through - Returns the receiver of stdin's messages, which passes them to `sender`. Default: `sender`.
 */
export function conversationOf(
  io: Io,
  ends: Ends,
  through: (sender: PeerSender) => Outgoing = (sender) => sender,
): Conversation {
  const { output, view, prompt } = ends;
  if (prompt === undefined) {
    return { output, view, speak: (sender) => sendAll(io.stdin, ends.format, through(sender)) };
  }
  return {
    output,
    view,
    wait: 0,
    onOpen: ({ subprotocol, extensions }) => {
      const agreed = [subprotocol, extensions].filter((text) => text !== '').join(', ');
      prompt.print(
        `connected${agreed === '' ? '' : `: ${excerpt(agreed)}`}; /help lists commands\n`,
      );
    },
    speak: (sender) => prompt.run(targetOf(sender, through(sender))),
  };
}

/** @param out - Gets the messages, and passes them to `sender`. */
function targetOf(sender: PeerSender, out: Outgoing): PromptTarget {
  return {
    out,
    ended: sender.ended,
    async ping() {
      const conn = await sender.connected();
      return `pong after ${(await conn.ping()).toFixed(1)} ms`;
    },
    close(code = CloseCode.NormalClosure, reason) {
      checkClose(code, reason);
      sender.close(code, reason);
    },
  };
}

/** @throws RangeError for a close frame that no peer may send (RFC 6455, section 7.4). */
export function checkClose(code: number, reason: string): void {
  if (!isValidCloseCode(code)) {
    throw new RangeError(`no close code: ${code}; use 1000 to 1003, 1007 to 1014, 3000 to 4999`);
  }
  if (Buffer.byteLength(reason) > MAX_CLOSE_REASON) {
    throw new RangeError(`the reason is longer than ${MAX_CLOSE_REASON} bytes`);
  }
}
