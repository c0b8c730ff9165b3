import type { ServerAttempt } from '../attempts/server-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { letters, utf8 } from '../wire/bytes.ts';
import { checkAlive, closeCleanly } from '../wire/expect.ts';
import { BINARY, PING } from '../wire/frame.ts';

/** Adds floods to chapter 9 that a server must survive: a good connection next to bad ones. */
export function serverFloods(chapter: Chapter<ServerAttempt>): Chapter<ServerAttempt> {
  const add = chapter.section({
    section: 'RFC 6455, 10.4',
    // Servers may limit the connections of an address.
    level: 'advice',
    expects: 'the good connection works',
    flood: true,
  });
  add('a connection next to 200 that each announce a message of 2^31 bytes', async (attempt) => {
    const announced = { opcode: BINARY, payload: letters(5), claims: 2n ** 31n };
    for (let at = 0; at < 200; at++) await (await attempt.open()).sendFrames(announced);
    await expectGood(attempt);
  });
  add('a connection next to 500 idle ones', async (attempt) => {
    for (let at = 0; at < 500; at++) await attempt.open();
    await expectGood(attempt);
  });
  add(
    'a connection next to one that sends 100,000 pings and reads no pong',
    async (attempt) => {
      const bad = await attempt.open();
      bad.pauseReading();
      const pings = Array.from({ length: 100_000 }, () => ({
        opcode: PING,
        payload: utf8('p'.repeat(125)),
      }));
      // The server may stop reading.
      const sent = bad.sendList(pings);
      await expectGood(attempt);
      await sent;
      await expectGood(attempt);
    },
    { level: 'must' },
  );
  return chapter;
}

async function expectGood(attempt: ServerAttempt): Promise<void> {
  const good = await attempt.open();
  await checkAlive(good);
  await closeCleanly(good);
}
