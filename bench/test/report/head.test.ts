import process from 'node:process';
import { describe, expect, it } from 'vitest';
import { headOf, versionLine } from '../../src/report/head.ts';

describe('headOf', () => {
  it('contains the machine, the versions and the command, quoted for a shell', () => {
    const used = { ws: '8.23.0' };
    const head = headOf('load', ['load', 'ws://a/', '--only', "it's 1 KiB"], used);
    expect(head.command).toBe(`ws-bench load ws://a/ --only 'it'\\''s 1 KiB'`);
    expect(head.machine.cores).toBeGreaterThan(0);
    expect(head.versions).toMatchObject({ node: process.versions.node, ws: '8.23.0' });
    expect(head.versions).not.toHaveProperty('bufferutil');
    expect(head.commit ?? '').toMatch(/^([0-9a-f]{7,}(\+changes)?)?$/);
    expect(new Date(head.date).toISOString()).toBe(head.date);
  });

  it.each([['--header', 'Cookie: id=1234'], ['--header=Cookie: id=1234']])(
    'masks the value of a header: %s',
    (...args) => {
      const { command } = headOf('load', ['load', ...args], {});
      expect(command).toContain('Cookie: ***');
      expect(command).not.toContain('1234');
    },
  );
});

describe('headOf for a URL', () => {
  it('masks the query', () => {
    const { command } = headOf('load', ['load', 'wss://a/echo?token=1234'], {});
    expect(command).toBe("ws-bench load 'wss://a/echo?***'");
  });
});

describe('versionLine', () => {
  const versions = { node: '20.20.0', ours: '0.1.0', ws: '8.23.0' };

  it('shows the commit of a checkout instead of its version', () => {
    expect(versionLine({ versions, commit: '1a2b3c4+changes' })).toBe(
      'node 20.20.0, ours at 1a2b3c4+changes, ws 8.23.0',
    );
  });

  it('shows the version outside of a checkout', () => {
    expect(versionLine({ versions })).toBe('node 20.20.0, ours 0.1.0, ws 8.23.0');
  });
});
