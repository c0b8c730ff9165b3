import { createReadStream } from 'node:fs';
import {
  clearScreenDown,
  createInterface,
  cursorTo,
  type Interface,
  moveCursor,
} from 'node:readline';
import { finished } from 'node:stream';
import { BinaryMessage, TextMessage } from '@ws/node-client';
import { excerpt } from './escape.ts';
import { inputOutput } from './failure.ts';
import type { Outgoing } from './input.ts';
import { aborted, type Io } from './io.ts';

/** The connection or the clients that a prompt acts on. */
export interface PromptTarget {
  readonly out: Outgoing;
  /** Aborts when the prompt has nothing more to do. */
  readonly ended: AbortSignal;
  /** @returns What to print. */
  ping(): Promise<string>;
  /** @throws TypeError, RangeError for a bad code or reason. */
  close(code: number | undefined, reason: string): void;
}

const HELP = `A line is a text message. Ctrl-C, Ctrl-D or /close ends the conversation.
  /ping               sends a ping and prints the round trip
  /close CODE REASON  closes, with 1000 by default
  /binary FILE        sends a file as one binary message
  /help               prints this
  //text              sends /text
`;

/** A line editor with a history. Messages are printed above the line that is being written. */
export class Prompt {
  readonly #io: Io;
  #editor: Interface | undefined;

  constructor(io: Io) {
    this.#io = io;
  }

  /** Prints whole lines, above the prompt. */
  print(text: string): void {
    const { stdout } = this.#io;
    const editor = this.#editor;
    if (editor === undefined) return void stdout.write(text);
    moveCursor(stdout, 0, -editor.getCursorPos().rows);
    cursorTo(stdout, 0);
    clearScreenDown(stdout);
    stdout.write(text);
    editor.prompt(true);
  }

  /** Reads lines until Ctrl-D, or until the target ends. */
  async run(target: PromptTarget): Promise<void> {
    const { stdin, stdout } = this.#io;
    const editor = createInterface({
      input: stdin,
      output: stdout,
      prompt: '> ',
      historySize: 1_000,
      removeHistoryDuplicates: true,
      terminal: true,
    });
    this.#editor = editor;
    editor.on('SIGINT', this.#io.interrupt);
    const over = new Promise<void>((resolve) => editor.once('close', resolve));
    const end = (): void => editor.close();
    if (target.ended.aborted) end();
    else target.ended.addEventListener('abort', end, { once: true });
    // One after the other: a large file is sent before the next line. The editor reads keys meanwhile:
    // on a terminal Ctrl-C is a key.
    let turn = Promise.resolve();
    let waiting = 0;
    editor.on('line', (line) => {
      waiting++;
      turn = turn.then(async () => {
        await this.#take(line, target);
        // The user may have written a part of the next line.
        if (--waiting === 0 && this.#editor !== undefined) editor.prompt(true);
      });
    });
    editor.prompt();
    await over;
    this.#editor = undefined;
    // Ctrl-D ends the input: the lines before it are sent.
    if (!target.ended.aborted) await Promise.race([turn, aborted(target.ended)]);
    target.ended.removeEventListener('abort', end);
    // The shell's prompt begins on its own line.
    stdout.write('\n');
  }

  async #take(line: string, target: PromptTarget): Promise<void> {
    try {
      if (!line.startsWith('/')) await send(target.out, line);
      else if (line.startsWith('//')) await send(target.out, line.slice(1));
      else await this.#command(line, target);
    } catch (error) {
      if (!target.ended.aborted) this.print(`! ${excerpt((error as Error).message, 500)}\n`);
    }
  }

  async #command(line: string, target: PromptTarget): Promise<void> {
    const [, word = '', rest = ''] = /^\/(\S*)\s*(.*?)\s*$/s.exec(line) ?? [];
    switch (word) {
      case 'ping':
        // The round trip is printed when it is known: lines may be sent meanwhile.
        void target.ping().then(
          (text) => this.print(`${text}\n`),
          (error: Error) => {
            if (!target.ended.aborted) this.print(`! ${excerpt(error.message)}\n`);
          },
        );
        return;
      case 'close': {
        const [, code, reason = ''] = /^(\d*)\s*(.*)$/s.exec(rest) ?? [];
        return target.close(code === '' || code === undefined ? undefined : Number(code), reason);
      }
      case 'binary':
        return sendFile(rest, target.out);
      case 'help':
        return this.print(HELP);
      default:
        this.print(
          `! no command /${excerpt(word, 40)}; /help lists them, // sends a line with /\n`,
        );
    }
  }
}

async function send(out: Outgoing, text: string): Promise<void> {
  await out.send(TextMessage, Buffer.from(text));
  await out.ready();
}

async function sendFile(path: string, out: Outgoing): Promise<void> {
  if (path === '') throw new Error('/binary needs a file');
  const file = createReadStream(path, { highWaterMark: 256 * 1024 });
  // Without a listener a late error ends the process.
  finished(file, () => {});
  const writer = await out.open(BinaryMessage);
  try {
    for await (const chunk of file) await writer.write(chunk as Buffer);
  } catch (error) {
    writer.abort();
    throw 'syscall' in (error as Error) ? inputOutput(path, error) : error;
  }
  await writer.close();
}
