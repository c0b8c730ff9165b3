import { CloseCode, isValidCloseCode } from '@ws/node-client';
import type { Talk } from './converse.ts';
import { excerpt } from './escape.ts';
import { type Format, formatOf } from './formats.ts';
import { type Outgoing, sendAll } from './input.ts';
import type { Io } from './io.ts';
import type { Line } from './line.ts';
import type { Values } from './options.ts';
import { Outlet } from './outlet.ts';
import type { Prompt, PromptTarget } from './prompt.ts';
import { PipeView, TerminalView, type View } from './views.ts';

/** Whether stdin and stdout are terminals, and the format is for people: then there is a prompt. */
function isPrompted(io: Io, values: Values): boolean {
  return io.stdin.isTTY === true && io.stdout.isTTY === true && formatOf(values) === 'lines';
}

/** The output of a command, and its format of stdin. */
export interface Ends {
  readonly outlet: Outlet;
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
  const outlet = new Outlet(io.stdout);
  const colors = (io.env['NO_COLOR'] ?? '') === '';
  const toStderr = (text: string): void => void io.stderr.write(`${text}\n`);
  if (isPrompted(io, values)) {
    // A pipe needs no line editor: node:readline is not loaded for it.
    const { Prompt } = await import('./prompt.ts');
    const prompt = new Prompt(io);
    const print = (text: string): undefined => prompt.print(text) as undefined;
    return {
      outlet,
      view: new TerminalView(print, colors),
      note: (text) => prompt.print(`${text}\n`),
      prompt,
      format,
    };
  }
  const isSafe = format === 'base64' || format === 'jsonl';
  const view =
    io.stdout.isTTY === true && !isSafe
      ? new TerminalView((text) => outlet.append(Buffer.from(text)), colors)
      : new PipeView(outlet, format);
  return { outlet, view, note: toStderr, prompt: undefined, format };
}

/**
 * The conversation of `wsx URL`: a prompt on a terminal, else a pipe.
 *
 * @param through - Returns the receiver of stdin's messages, which passes them to `line`. Default: `line`.
 */
export function talkOf(
  io: Io,
  ends: Ends,
  through: (line: Line) => Outgoing = (line) => line,
): Talk {
  const { outlet, view, prompt } = ends;
  if (prompt === undefined) {
    return { outlet, view, speak: (line) => sendAll(io.stdin, ends.format, through(line)) };
  }
  return {
    outlet,
    view,
    wait: 0,
    onOpen: ({ subprotocol, extensions }) => {
      const agreed = [subprotocol, extensions].filter((text) => text !== '').join(', ');
      prompt.print(
        `connected${agreed === '' ? '' : `: ${excerpt(agreed)}`}; /help lists commands\n`,
      );
    },
    speak: (line) => prompt.run(targetOf(line, through(line))),
  };
}

/** @param out - Gets the messages, and passes them to `line`. */
function targetOf(line: Line, out: Outgoing): PromptTarget {
  return {
    out,
    ended: line.ended,
    async ping() {
      const conn = await line.connected();
      return `pong after ${(await conn.ping()).toFixed(1)} ms`;
    },
    close(code = CloseCode.NormalClosure, reason) {
      checkClose(code, reason);
      line.close(code, reason);
    },
  };
}

/** @throws RangeError for a close frame that no peer may send (RFC 6455, section 7.4). */
export function checkClose(code: number, reason: string): void {
  if (!isValidCloseCode(code)) {
    throw new RangeError(`no close code: ${code}; use 1000 to 1003, 1007 to 1014, 3000 to 4999`);
  }
  if (Buffer.byteLength(reason) > 123) throw new RangeError('the reason is longer than 123 bytes');
}
