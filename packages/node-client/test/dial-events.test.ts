import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Diagnostics, Dialer } from '../src/index.ts';
import { rawServer, says } from './servers.ts';

/** The events of a channel that are about this URL. Other test files share this process, and may dial. */
function heard<Name extends '@ws:dial' | '@ws:dial:fail'>(
  name: Name,
  about: string,
): Diagnostics[Name][] {
  const events: Diagnostics[Name][] = [];
  const listener = (event: unknown): void => {
    const dialed = event as Diagnostics[Name];
    if (dialed.url.startsWith(about)) events.push(dialed);
  };
  subscribe(name, listener);
  onTestFinished(() => void unsubscribe(name, listener));
  return events;
}

describe('@ws:dial and @ws:dial:fail', () => {
  it('publish the beginning of a dial and its failure', async () => {
    const { url } = await rawServer(says('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n'));
    const dials = heard('@ws:dial', url);
    const fails = heard('@ws:dial:fail', url);
    const error: unknown = await new Dialer()
      .dial(`${url}?token=x`)
      .catch((reason: unknown) => reason);
    expect(dials).toEqual([{ url: expect.stringMatching(/^ws:.*\?token=x$/) }]);
    expect(fails).toEqual([{ url: dials[0]!.url, error }]);
  });

  it('publish nothing for a bad option', async () => {
    const dials = heard('@ws:dial', 'ws://h/');
    await expect(new Dialer().dial('ws://h/', { zap: 1 } as never)).rejects.toThrow(TypeError);
    expect(dials).toEqual([]);
  });
});
