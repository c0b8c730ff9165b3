import { Conn, type ConnLike } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { replaced } from '../kit/index.ts';
import type { Command, Setup } from './commands.ts';
import { type MakeConn, runCommands } from './model.ts';

const transport = { cuts: [65_536], stalls: [0], highWaterMark: 65_536 };
const SETUP: Setup = {
  transports: [transport, transport],
  compression: false,
  readAhead: 65_536,
  highWaterMark: 65_536,
  maxBufferedAmount: false,
  writeBufferSize: 4_096,
  heartbeat: false,
};

const client = (action: Command['action'], size = 0): Command => ({
  action,
  end: 0,
  size,
  sameTurn: false,
});
const server = (action: Command['action'], size = 0): Command => ({
  ...client(action, size),
  end: 1,
});
const CLOSE = server('close');

/** Creates Conns with a planted bug: `change` replaces some methods. */
function planted(change: (conn: Conn) => Partial<ConnLike & Omit<Conn, 'receive'>>): MakeConn {
  return (made, options) => {
    const conn = new Conn(made, options);
    return replaced(conn, change(conn)) as Conn;
  };
}

describe('runCommands', () => {
  it.each<{ bug: string; commands: Command[]; finding: string; make: MakeConn }>([
    {
      bug: 'a lost message',
      commands: [server('send', 10), server('send', 20), client('read'), server('step'), CLOSE],
      finding: 'no earlier message is missing',
      make: planted((conn) => ({
        readMessage: async () => {
          await conn.readMessage();
          return conn.readMessage();
        },
      })),
    },
    {
      bug: 'a message that an abort has lost',
      commands: [
        server('send', 10),
        server('send', 20),
        client('read', 1),
        client('cancel'),
        CLOSE,
      ],
      finding: 'no earlier message is missing',
      make: planted((conn) => ({
        readMessage: async (options) => {
          const message = await conn.readMessage();
          options?.signal?.throwIfAborted();
          return message;
        },
      })),
    },
    {
      bug: 'a cut message as a whole one',
      commands: [server('send', 10), client('receive'), server('step'), CLOSE],
      finding: 'received message 0 was sent',
      make: planted((conn) => ({
        receive: (handler) =>
          conn.receive((message) =>
            handler(replaced(message, { borrow: () => message.borrow().subarray(0, -1) })),
          ),
      })),
    },
    {
      bug: 'a read deadline without effect',
      commands: [server('send', 10), client('deadline', 1), client('read'), server('step'), CLOSE],
      finding: 'a message arrived after the read deadline',
      make: planted(() => ({ setReadDeadline: () => {} })),
    },
    {
      bug: 'an ignored error of a handler',
      commands: [server('send', 10), client('receive'), client('fail'), server('step')],
      finding: 'open after a handler has thrown',
      make: planted((conn) => ({
        receive: (handler) =>
          conn.receive((message) => {
            try {
              return handler(message);
            } catch {
              return undefined;
            }
          }),
      })),
    },
    {
      bug: 'a terminate without effect',
      commands: [client('terminate'), server('send', 10), client('read'), server('step')],
      finding: 'a message arrived after terminate',
      make: planted(() => ({ terminate: () => {} })),
    },
  ])('finds $bug', async ({ commands, finding, make }) => {
    await runCommands(SETUP, commands);
    await expect(runCommands(SETUP, commands, make)).rejects.toThrow(finding);
  });
});
