// A platform may run the callbacks of the library anywhere, for example in an async function. So
// they never throw and return nothing, whatever the application and the transport do.
import { FakePlatform, naiveEncode, TestTransport } from '@ws/tests';
import { expect, it } from 'vitest';
import { Conn } from '../../src/index.ts';

/** Records what each callback of the library did. */
class RecordingPlatform extends FakePlatform {
  readonly outcomes: unknown[] = [];

  override defer(callback: () => void): void {
    super.defer(this.#recorded(callback));
  }

  override yield(callback: () => void): void {
    super.yield(this.#recorded(callback));
  }

  override setTimer(ms: number, callback: () => void): () => void {
    return super.setTimer(ms, this.#recorded(callback));
  }

  #recorded(callback: () => unknown): () => void {
    return () => {
      try {
        this.outcomes.push(callback());
      } catch (error) {
        this.outcomes.push(error);
      }
    };
  }
}

const fail = (): never => {
  throw new Error('mine');
};

const faults: Record<string, (conn: Conn, transport: TestTransport) => void> = {
  'the handler of receive throws': (conn) => void conn.receive(fail),
  'the handler of receive rejects': (conn) => void conn.receive(async () => fail()),
  'the handlers of control frames throw': (conn) => {
    conn.setPingHandler(fail);
    conn.setCloseHandler(fail);
  },
  'write throws': (conn, transport) => {
    Object.assign(transport, { write: fail });
    void conn.receive((message) => conn.send(message));
  },
  'pause and resume throw': (_, transport) =>
    void Object.assign(transport, { pause: fail, resume: fail }),
  'end and destroy throw': (_, transport) =>
    void Object.assign(transport, { end: fail, destroy: fail }),
  'nothing else fails': (conn) => void conn.discardReads(),
};

it.each(Object.entries(faults))(
  'callbacks of a platform return nothing when %s',
  async (_, break_) => {
    for (const end of ['close', 'FIN', 'reset', 'silence'] as const) {
      const platform = new RecordingPlatform();
      const transport = new TestTransport();
      const conn = new Conn(transport, {
        role: 'server',
        platform,
        readAhead: 100,
        report: () => {},
        idleReadTimeout: 60_000,
      });
      break_(conn, transport);
      await platform.settle();
      const frames = [1, 9, 10, 1, 1].map((opcode) =>
        naiveEncode(opcode, Buffer.alloc(60, 'x'), { mask: 1 }),
      );
      transport.feed(Buffer.concat(frames));
      void conn.ping();
      await platform.settle();
      if (end === 'close') {
        transport.feed(naiveEncode(8, Uint8Array.of(3, 232), { mask: 1 }));
      } else if (end === 'FIN') transport.feedEnd();
      else if (end === 'reset') transport.break(new Error('reset'));
      await platform.advance(400_000);
      expect(platform.outcomes.length).toBeGreaterThan(0);
      expect(platform.outcomes.filter((outcome) => outcome !== undefined)).toEqual([]);
    }
  },
);
