import { describe, expect, it } from 'vitest';
import { warnOfOldNode } from '../src/node-platform.ts';

function warnings(version: string): string[] {
  const texts: string[] = [];
  warnOfOldNode(version, (text) => texts.push(text));
  return texts;
}

describe('warnOfOldNode', () => {
  it.each(['20.19.0', '20.20.2', '22.0.0', '26.1.0'])('accepts Node %s', (version) => {
    expect(warnings(version)).toEqual([]);
  });

  it.each(['16.20.2', '18.20.4', '20.18.3', '20.9.0'])('warns of Node %s', (version) => {
    const text = `websocket: @ws/node-io needs Node 20.19 or newer; this is Node ${version}`;
    expect(warnings(version)).toEqual([text]);
  });
});
