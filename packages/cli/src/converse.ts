import { internalsOf } from '@ws/conn/internal';
import type { ClientConn, CloseInfo, Conn } from '@ws/node-client';
import { connections } from './connections.ts';
import { excerpt } from './escape.ts';
import { ExitCode, endFailure, Failure, inputOutput } from './failure.ts';
import { delay, type Io, note } from './io.ts';
import { type Values, waitOf } from './options.ts';
import type { OutputBuffer } from './output-buffer.ts';
import { PeerSender } from './peer-sender.ts';
import { readBuffer, type View } from './views.ts';

/** The time for answers after the end of stdin, in ms. */
const WAIT = 1_000;

/** The parts of a conversation that differ between commands. */
export interface Conversation {
  readonly output: OutputBuffer;
  readonly view: View;
  /** Sends messages until there are no more. It ends when `sender.ended` aborts. */
  readonly speak: (sender: PeerSender) => Promise<void>;
  /** Default for `--wait`, in ms. Default: 1 s. */
  readonly wait?: number;
  /** Called for each connection, before its first message. */
  readonly onOpen?: (conn: ClientConn) => void;
}

/**
 * Connects, sends and prints messages, closes.
 *
 * @returns The exit code.
 * @throws Failure for every end that is not clean.
 */
export async function converse(
  io: Io,
  url: string,
  values: Values,
  conversation: Conversation,
): Promise<number> {
  const { output, view } = conversation;
  const wait = waitOf(values.wait) ?? conversation.wait ?? WAIT;
  const sender = new PeerSender(values.reconnect === true, () => output.blocked);
  let failure: Failure | undefined;
  /** Set when the connection ended before the end of stdin. */
  let cut: Failure | undefined;
  let end: CloseInfo | undefined;

  const close = (): void => sender.close();
  const fail = (error: Failure): void => {
    failure ??= error;
    close();
  };
  async function speak(): Promise<void> {
    try {
      await conversation.speak(sender);
      await sender.ready();
    } catch (error) {
      if (error instanceof Failure) return fail(error);
      // The errors of the connection have no `syscall`; its end says more than they do.
      if ('syscall' in (error as Error)) return fail(inputOutput('stdin', error));
      if (sender.closing !== undefined) return;
      const redials = values.reconnect === true && !sender.ended.aborted;
      const [message, cure]: [string, string?] = redials
        ? [
            'the connection ended within a message of stdin',
            'wsx does not keep a message above 64 KiB, so it cannot send it again',
          ]
        : ['the peer has closed before all of stdin was sent'];
      cut = new Failure(ExitCode.Broken, message, cure);
      // The next connection cannot get the rest of a message.
      if (redials) close();
      return;
    }
    await delay(wait, sender.ended);
    close();
  }

  io.interrupted.addEventListener('abort', close, { once: true });
  if (io.interrupted.aborted) close();
  output.onFailure(fail);
  let speaking: Promise<void> | undefined;
  try {
    const notice = (text: string): void => note(io, excerpt(text, 1_000));
    for await (const conn of connections(url, values, sender.noDial, notice)) {
      conversation.onOpen?.(conn);
      sender.attach(conn);
      speaking ??= speak();
      end = await printAll(conn, view);
      sender.detach();
      if (sender.closing !== undefined || isOver(end)) break;
      if (values.reconnect !== true) break;
      end = undefined;
    }
  } catch (error) {
    if (!sender.noDial.aborted) throw error;
  } finally {
    io.interrupted.removeEventListener('abort', close);
    sender.end();
    await output.finish();
  }
  if (failure !== undefined) throw failure;
  if (end !== undefined && !(end.wasClean && end.code === sender.closing?.code)) {
    const unclean = endFailure(end);
    if (unclean !== undefined) throw unclean;
  }
  if (cut !== undefined) throw cut;
  return end === undefined ? ExitCode.Interrupted : ExitCode.Clean;
}

/** Whether no connection follows with `--reconnect`. The library does not dial after 1008 either. */
function isOver({ code, wasClean }: CloseInfo): boolean {
  return wasClean && (code === 1000 || code === 1008);
}

/**
 * Prints the messages of a connection until its end.
 *
 * @param number - That of a client of `listen`.
 */
export async function printAll(conn: Conn, view: View, number?: number): Promise<CloseInfo> {
  const buffer = readBuffer();
  const client = number === undefined ? undefined : { number, terminate: () => conn.terminate() };
  // However slow stdout is: messages before the peer's close frame are printed.
  internalsOf(conn).connHandlerStarted();
  try {
    for (;;) await view.take(await conn.nextReader(), buffer, client);
  } catch (error) {
    // The end of the connection, which `closed` describes. Everything else is a defect.
    if (conn.state === 'open') {
      conn.terminate();
      throw error;
    }
  } finally {
    internalsOf(conn).connHandlerSettled();
  }
  return conn.closed;
}
