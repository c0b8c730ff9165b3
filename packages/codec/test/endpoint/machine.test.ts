import { formatCloseMessage, ProtocolError, type Role } from '@ws/codec';
import { failureBy } from '@ws/codec/internal';
import { describe, expect, it } from 'vitest';
import { Driven } from './machines.ts';
import { STATE_NAMES } from './state-names.ts';

const stateOf = ({ machine }: Driven): string => STATE_NAMES[machine.state];
const CLOSE_4000 = formatCloseMessage(4000);

describe.each<Role>(['server', 'client'])('the machine of a %s', (role) => {
  it('turns chunks into events, and borrows a decoder while input is unparsed', () => {
    const driven = new Driven(role);
    const message = driven.frame(1, 'hello');
    driven.feed(message.subarray(0, 4));
    expect([driven.lent, driven.events]).toEqual([1, []]);
    driven.feed(message.subarray(4), driven.frame(10, 'p'));
    expect([driven.lent, driven.events]).toEqual([0, ['MESSAGE hello', 'PONG p']]);
    expect(driven.machine).toMatchObject({ framesIn: 2, messagesIn: 1, pingsIn: 0 });
  });

  it('answers each ping at once, unless asked not to', () => {
    const driven = new Driven(role);
    driven.feed(driven.frame(9, 'a'), driven.frame(9, 'b'));
    driven.machine.autoPong = false;
    driven.feed(driven.frame(9, 'c'));
    expect(driven.events).toEqual(['PING a', 'PING b', 'PING c']);
    expect(driven.sent()).toEqual(['10 a', '10 b']);
    expect(driven.machine).toMatchObject({ pingsIn: 3, framesOut: 2 });
  });

  it('lets only the newest pong wait for a blocked transport', () => {
    const driven = new Driven(role);
    const { machine } = driven;
    machine.blocked = true;
    driven.send('before');
    driven.feed(driven.frame(9, 'a'), driven.frame(9, 'b'));
    expect(Buffer.from(machine.takePong()!).toString()).toBe('b');
    expect(machine.takePong()).toBeUndefined();
    driven.feed(driven.frame(9, 'c'));
    machine.close(CLOSE_4000);
    expect(driven.sent()).toEqual(['1 before', '10 c', 'close 4000']);
  });

  it('reports the end of the peer after all that came before it', () => {
    const driven = new Driven(role);
    const { machine } = driven;
    const bytes = Buffer.concat([driven.frame(1, 'a'), driven.frame(1, 'cut').subarray(0, 3)]);
    machine.push(bytes, bytes.length);
    machine.end();
    expect([machine.endIsDue, stateOf(driven)]).toEqual([true, 'OPEN']);
    driven.run();
    expect([driven.events, stateOf(driven)]).toEqual([['MESSAGE a', 'END'], 'PEER_ENDED']);
    expect([machine.endIsDue, driven.lent]).toEqual([false, 0]);
    expect(driven.send('answer')).toBeGreaterThan(0);
    machine.answer();
    expect([driven.sent(), stateOf(driven)]).toEqual([['1 answer'], 'OVER']);
  });

  it('ends when the peer had ended before a failure', () => {
    const driven = new Driven(role);
    const { machine } = driven;
    const bytes = driven.frame(3);
    machine.push(bytes, bytes.length);
    machine.end();
    driven.run();
    expect([driven.events, stateOf(driven)]).toEqual([['FAILED'], 'OVER']);
    expect(driven.sent()).toEqual(['close 1002']);
  });

  it.each(['CLOSE_RECEIVED', 'PEER_ENDED', 'CLOSE_SENT', 'BOTH', 'OVER'])(
    'remembers the first failure, also in the state %s',
    (state) => {
      const driven = new Driven(role);
      const { machine } = driven;
      if (state === 'CLOSE_SENT' || state === 'BOTH') machine.close(CLOSE_4000);
      if (state === 'CLOSE_RECEIVED' || state === 'BOTH') driven.feed(driven.goodbye());
      if (state === 'PEER_ENDED' || state === 'OVER') machine.end();
      driven.run();
      if (state === 'OVER') machine.answer();
      expect(stateOf(driven)).toBe(state);
      const mine = new Error('mine');
      machine.fail(mine, 1011, '');
      machine.fail(new Error('second'), 1013, '');
      expect(machine.failed).toEqual({ error: mine, code: 1011, reason: '' });
    },
  );

  it('still parses what had arrived when the transport closes', () => {
    const driven = new Driven(role);
    const { machine } = driven;
    const bytes = Buffer.concat([driven.frame(1, 'a'), driven.frame(9), driven.goodbye()]);
    machine.push(bytes, bytes.length);
    machine.gone();
    driven.feed(driven.frame(1, 'too late'));
    expect(driven.events).toEqual(['MESSAGE a', 'PING ', 'CLOSE']);
    expect(machine.received).toEqual({ code: 3001, reason: '' });
    expect([driven.sent(), stateOf(driven)]).toEqual([[], 'CLOSED']);
    driven.run();
    expect(driven.lent).toBe(0);
  });

  it('parses nothing after a failure of the application', () => {
    const driven = new Driven(role);
    const { machine } = driven;
    const bytes = driven.frame(1, 'a');
    machine.push(bytes, bytes.length);
    machine.fail(new Error('mine'), 1011, 'why');
    driven.run();
    expect([driven.events, driven.lent]).toEqual([[], 0]);
    expect(driven.sent()).toEqual(['close 1011']);
  });
});

describe('the close frame of a machine', () => {
  it('is the only one when the function for masking keys closes too', () => {
    const driven: Driven = new Driven('client', () => {
      driven.machine.close(CLOSE_4000);
      return 1;
    });
    driven.machine.close(formatCloseMessage(1000));
    expect(driven.sent()).toEqual(['close 1000']);
  });

  it('destroys when it cannot be written', () => {
    const driven: Driven = new Driven('client', () => {
      throw new RangeError('no keys');
    });
    expect(() => driven.machine.close(CLOSE_4000)).toThrow('no keys');
    expect([stateOf(driven), driven.machine.sent]).toEqual(['DESTROYED', false]);
  });

  it('names the faults, cut to whole characters, and no limit', () => {
    const long = failureBy(new ProtocolError(1002, ['ü'.repeat(100)]));
    expect(long).toMatchObject({ code: 1002, reason: 'ü'.repeat(61) });
    expect(failureBy(new ProtocolError(1009, ['limit 10']))).toMatchObject({ reason: '' });
    expect(failureBy(new ProtocolError(5, ['of an extension']))).toMatchObject({ code: 1002 });
  });
});
