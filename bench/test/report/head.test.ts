import process from 'node:process';
import { describe, expect, it } from 'vitest';
import { headOf, versionLine, withVersions } from '../src/report/head.ts';

describe('headOf', () => {
  it('tells the machine, the versions and the command, as a shell takes it', () => {
    const head = headOf('load', ['load', 'ws://a/', '--only', "it's 1 KiB"]);
    expect(head.command).toBe(`ws-bench load ws://a/ --only 'it'\\''s 1 KiB'`);
    expect(head.machine.cores).toBeGreaterThan(0);
    expect(head.versions).toMatchObject({ node: process.versions.node, ws: '8.23.0' });
    expect(head.commit ?? '').toMatch(/^([0-9a-f]{7,}(\+changes)?)?$/);
    expect(new Date(head.date).toISOString()).toBe(head.date);
  });

  it.each([['--header', 'Cookie: id=1234'], ['--header=Cookie: id=1234']])(
    'keeps the value of a header to itself: %s',
    (...args) => {
      const { command } = headOf('load', ['load', ...args]);
      expect(command).toContain('Cookie: ***');
      expect(command).not.toContain('1234');
    },
  );
});

describe('headOf, of a load', () => {
  it('keeps the query of a URL to itself', () => {
    const { command } = headOf('load', ['load', 'wss://a/echo?token=1234']);
    expect(command).toBe("ws-bench load 'wss://a/echo?***'");
  });
});

describe('withVersions', () => {
  it('takes what is installed', () => {
    const head = headOf('compare', []);
    const { versions } = withVersions(head, { bun: '1.4', deno: undefined });
    expect(versions).toEqual({ ...head.versions, bun: '1.4' });
  });
});

describe('versionLine', () => {
  const versions = { node: '20.20.0', ours: '0.1.0', ws: '8.23.0' };

  it('names a checkout of ours by its commit, not by a version that may never be released', () => {
    expect(versionLine({ versions, commit: '1a2b3c4+changes' })).toBe(
      'node 20.20.0, ours at 1a2b3c4+changes, ws 8.23.0',
    );
  });

  it('names what was installed by its version', () => {
    expect(versionLine({ versions })).toBe('node 20.20.0, ours 0.1.0, ws 8.23.0');
  });
});
