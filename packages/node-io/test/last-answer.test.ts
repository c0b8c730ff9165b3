// What is still on its way through a stream when the peer closes.
import { once } from 'node:events';
import { type Duplex, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Conn, connPair } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nodePlatform, toDuplex } from '../src/index.ts';

const turns = async (count = 20): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => void setImmediate(resolve));
};

const answering = (work: () => Promise<void>): Transform =>
  new Transform({
    transform(chunk, _encoding, done) {
      void (async () => {
        await work();
        done(null, `answer to ${String(chunk)} `);
      })();
    },
  });

type Pipes = (duplex: Duplex, work: () => Promise<void>) => Promise<unknown>;

const WAYS: Record<string, Pipes> = {
  'pipeline with a Transform': (duplex, work) => pipeline(duplex, answering(work), duplex),
  pipe: async (duplex, work) => {
    duplex.pipe(answering(work)).pipe(duplex);
    await once(duplex, 'close');
  },
  'pipeline with two Transforms': (duplex, work) =>
    pipeline(duplex, answering(work), answering(turns), duplex),
  'a loop that writes': (duplex, work) => loop(duplex, work),
  async 'a loop that begins late'(duplex, work) {
    await turns();
    await loop(duplex, work);
  },
};

/** Fails if the stream emits an error. */
async function loop(duplex: Duplex, work: () => Promise<void>): Promise<void> {
  const errors: unknown[] = [];
  duplex.on('error', (error) => errors.push(error));
  for await (const chunk of duplex) {
    await work();
    duplex.write(`answer to ${String(chunk)} `);
  }
  if (!duplex.closed) await once(duplex, 'close');
  expect(errors).toEqual([]);
}

async function ask(client: Conn): Promise<string> {
  const got: string[] = [];
  for (let i = 1; i <= 3; i++) void client.send(`question ${i}`);
  await client.receive((message) => void got.push(message.text()));
  return got.join('');
}

describe('C13 toDuplex whose peer closes after its questions', () => {
  describe.each([1000, 1001, 1005])('with %i', (code) => {
    it.each(Object.keys(WAYS))('sends every answer of %s', async (way) => {
      const [client, server] = connPair({ platform: nodePlatform, heartbeat: false });
      const piping = WAYS[way]!(toDuplex(server), turns);
      const answers = ask(client);
      await (code === 1005 ? client.close() : client.close(code));
      expect((await answers).match(/question \d/g)).toEqual([
        'question 1',
        'question 2',
        'question 3',
      ]);
      await piping;
      expect(await client.closed).toMatchObject({
        wasClean: true,
        code: code === 1005 ? 1000 : code,
      });
      expect(await server.closed).toMatchObject({ wasClean: true });
    });
  });

  it('sends every answer of a generator, although Node fails its pipeline', async () => {
    const [client, server] = connPair({ platform: nodePlatform, heartbeat: false });
    const duplex = toDuplex(server);
    async function* answers(source: AsyncIterable<unknown>): AsyncGenerator<string> {
      for await (const chunk of source) {
        await turns();
        yield `answer to ${String(chunk)} `;
      }
    }
    // As with a socket of Node: the loop of a generator destroys what it has read to the end.
    const failed = pipeline(duplex, answers, duplex).catch(() => {});
    const got = ask(client);
    await client.close();
    expect((await got).match(/question \d/g)).toHaveLength(3);
    await failed;
    expect(await server.closed).toEqual({ code: 1000, reason: '', wasClean: true });
  });

  it('answers after half of closeTimeout when a source never ends', async () => {
    const [client, server] = connPair({ platform: nodePlatform, server: { closeTimeout: 100 } });
    const duplex = toDuplex(server);
    duplex.resume();
    new Transform().pipe(duplex);
    void client.discardReads();
    expect(await client.close()).toMatchObject({ code: 1000, wasClean: true });
    await once(duplex, 'close');
  });

  it.each<[string, (duplex: Duplex) => Promise<unknown>]>([
    [
      'a loop',
      async (duplex) => {
        for await (const _ of duplex);
      },
    ],
    [
      'a loop after a write',
      async (duplex) => {
        duplex.write('hello');
        for await (const _ of duplex);
      },
    ],
    [
      'a listener',
      async (duplex) => {
        duplex.on('data', (chunk) => duplex.write(chunk));
        await once(duplex, 'close');
      },
    ],
    ['pipeline into itself', (duplex) => pipeline(duplex, duplex)],
  ])('answers at once when it is read by %s', async (_, reads) => {
    // A wait for closeTimeout would exceed the time of the test.
    const [client, server] = connPair({ platform: nodePlatform, closeTimeout: 600_000 });
    const reading = reads(toDuplex(server));
    void client.receive(() => {});
    await client.send('one');
    expect(await client.close(1001)).toMatchObject({ code: 1001, wasClean: true });
    await reading;
    expect(await server.closed).toEqual({ code: 1001, reason: '', wasClean: true });
  });
});
