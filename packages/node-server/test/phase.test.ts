import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import process from 'node:process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Phase } from '../src/phase.ts';
import { checkPace, Pace } from '../src/policies/pace.ts';
import { stopClock } from './clock.ts';

function watched(paces: readonly Pace[] = []) {
  const clock = stopClock();
  const connections = new Set<object>([{}]);
  const phase = new Phase(connections, paces);
  phase.server = { name: 'mine' };
  onTestFinished(() => {
    connections.clear();
    phase.become('closed');
    phase.rest();
  });
  const told: unknown[] = [];
  const tell = (event: unknown): void => {
    const { phase: now, server } = event as { phase: string; server: object };
    if (server === phase.server) told.push(now);
  };
  subscribe('@ws:phase', tell);
  onTestFinished(() => void unsubscribe('@ws:phase', tell));
  /** Looks for `ms`. The last look is late by `late`. */
  const look = (ms: number, late = 0): string => {
    let left = ms - late;
    for (; left > 50; left -= 50) {
      clock.advance(50);
      phase.fire();
    }
    clock.advance(left + late);
    phase.fire();
    return phase.now;
  };
  return { clock, connections, phase, told, look };
}

describe('102 a phase', () => {
  it('is busy after two late turns within a second, until 5 s without', () => {
    const { phase, told, look } = watched();
    phase.watch();
    expect([look(200), look(300, 250), look(800, 250)]).toEqual(['ready', 'ready', 'busy']);
    expect([look(4_900), look(101)]).toEqual(['busy', 'ready']);
    expect(told).toEqual(['busy', 'ready']);
    phase.become('closed');
  });

  it('is ready after one late turn, after two that are further apart, and after short ones', () => {
    const { phase, told, look } = watched();
    phase.watch();
    expect([look(300, 900), look(1_100, 900), look(200, 190), look(200, 190)]).toEqual(
      Array(4).fill('ready'),
    );
    expect(told).toEqual([]);
    phase.become('closed');
  });

  it('is busy while a handshake waits, and for 5 s more', () => {
    stopClock();
    const pace = new Pace(checkPace({ perSecond: 1, burst: 1 }, 1, 100));
    const { clock, phase, told, look } = watched([pace]);
    phase.watch();
    pace.enter(undefined);
    expect(phase.now).toBe('ready');
    const place = pace.enter(undefined)!;
    expect(phase.now).toBe('busy');
    clock.advance(10_000);
    expect(phase.now).toBe('busy');
    pace.leave(place);
    clock.advance(4_999);
    expect(look(0)).toBe('busy');
    expect(look(1)).toBe('ready');
    expect(told).toEqual(['busy', 'ready']);
    phase.become('closed');
  });

  it('is busy when each turn is late', () => {
    const { phase, look } = watched();
    phase.watch();
    expect([look(350, 300), look(350, 300), look(350, 300)]).toEqual(['ready', 'busy', 'busy']);
  });

  it('looks from the first connection to the last, and longer while it is busy', () => {
    const { connections, phase, look } = watched();
    expect(phase.slot).toBeUndefined();
    phase.watch();
    look(500, 300);
    look(500, 300);
    connections.clear();
    phase.rest();
    expect(phase.slot).toBeDefined();
    look(5_050);
    expect(phase.slot).toBeUndefined();
    connections.add({});
    phase.watch();
    expect(phase.slot).toBeDefined();
    connections.clear();
    phase.rest();
    expect(phase.slot).toBeUndefined();
  });

  it('is draining, then closed, also when it was busy; and draining with its process', () => {
    const { phase, told, look } = watched();
    phase.watch();
    const name = `WS_DRAINING_${process.pid}`;
    process.env[name] = '1';
    onTestFinished(() => void delete process.env[name]);
    expect(look(500, 300)).toBe('draining');
    delete process.env[name];
    look(500, 300);
    phase.become('draining');
    expect(phase.now).toBe('draining');
    phase.become('closed');
    expect(phase.now).toBe('closed');
    expect(told).toEqual(['draining', 'ready', 'busy', 'draining', 'closed']);
    look(200);
  });
});
