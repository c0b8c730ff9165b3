import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { turn } from '@ws/tests';
import {
  expectNoSockets,
  nothingLeft,
  type RawPeer,
  rawServer,
  switchingProtocols,
  TRANSPORTS,
} from '@ws/tests/peers';
import { describe, expect, it } from 'vitest';
import { Dialer, type NetDial, TransportError } from '../../src/index.ts';

type Reset = readonly [string, (peer: RawPeer) => Promise<void>];

const before: readonly Reset[] = [
  ['as soon as it has accepted', async (peer) => peer.reset()],
  [
    'once the request is there',
    async (peer) => {
      await peer.head();
      peer.reset();
    },
  ],
  [
    'within the head of its answer',
    async (peer) => {
      await peer.write(switchingProtocols(await peer.head()).slice(0, -10));
      peer.reset();
    },
  ],
];

const after: readonly Reset[] = [
  [
    'right after the 101',
    async (peer) => {
      await peer.write(switchingProtocols(await peer.head()));
      peer.reset();
    },
  ],
  [
    'within the first frame, which came with the 101',
    async (peer) => {
      const answer = Buffer.from(switchingProtocols(await peer.head()));
      await peer.write(Buffer.concat([answer, peer.encode(2, 'cut off').subarray(0, 4)]));
      peer.reset();
    },
  ],
  [
    'right after the first message, which came with the 101',
    async (peer) => {
      const answer = Buffer.from(switchingProtocols(await peer.head()));
      await peer.write(Buffer.concat([answer, peer.encode(1, 'first')]));
      peer.reset();
    },
  ],
];

describe.each(TRANSPORTS)('a dial over %s to a server that resets', (_, secure) => {
  nothingLeft();

  it.each(before)('%s rejects with a TransportError', async (_, reset) => {
    const { url, ca } = await rawServer(secure, reset);
    const dialing = new Dialer({ tls: { ca } }).dial(url);
    await expect(dialing).rejects.toBeInstanceOf(TransportError);
    await expectNoSockets();
  });

  it.each(after)('%s rejects, or resolves with a connection that ends once', async (_, reset) => {
    const { url, ca } = await rawServer(secure, reset);
    const dialed = await new Dialer({ tls: { ca } }).dial(url).catch((error: unknown) => {
      // The reset was as fast as the 101.
      expect(error).toBeInstanceOf(TransportError);
    });
    if (dialed !== undefined) {
      const conn = dialed;
      const texts: string[] = [];
      const reading = conn.receive((message) => void texts.push(message.text()));
      await expect(reading).rejects.toThrow('websocket: ');
      expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
      expect(texts.every((text) => text === 'first')).toBe(true);
      await expect(conn.send('late')).rejects.toThrow('websocket: ');
    }
    await expectNoSockets();
  });

  it('between the 101 and the first read of the caller ends the connection once', async () => {
    let peer!: RawPeer;
    const { url, ca } = await rawServer(secure, async (accepted) => {
      peer = accepted;
      await peer.write(switchingProtocols(await peer.head()));
    });
    const conn = await new Dialer({ tls: { ca } }).dial(url);
    // In the turn of the handover.
    peer.reset();
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
    const [first, second] = await Promise.allSettled([conn.readMessage(), conn.readMessage()]);
    expect(first).toMatchObject({ status: 'rejected', reason: { code: 'WS_ERR_TRANSPORT' } });
    expect(second).toEqual(first);
    await expectNoSockets();
  });

  it('that closes its socket in any turn rejects or ends', async () => {
    const { url, ca } = await rawServer(secure, async (peer) => {
      const ending = peer.until(() => peer.ended).finally(() => peer.destroy());
      const answering = peer.head().then((request) => peer.write(switchingProtocols(request)));
      await Promise.all([ending, answering]);
    });
    // The stream is destroyed after 1, 2, 3 ... turns, at any stage of the dial.
    let opened = 0;
    for (let turns = 1; opened < 3; turns++) {
      const streams: Duplex[] = [];
      const netDial: NetDial = (address) => {
        const stream = secure ? connectTls({ ...address, ca }) : connect({ ...address });
        streams.push(stream);
        return stream;
      };
      const dialing = new Dialer({ netDial, netDialTLS: netDial }).dial(url).then(
        async (conn) => {
          opened++;
          return (await conn.closed).error;
        },
        (error: unknown) => error,
      );
      for (let i = 0; i < turns; i++) await turn();
      expect(streams.length).toBe(1);
      streams[0]!.destroy(new Error('pulled out'));
      expect(await dialing).toBeInstanceOf(TransportError);
    }
    await expectNoSockets();
  });
});
