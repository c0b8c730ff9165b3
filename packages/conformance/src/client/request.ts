import type { Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import { alive, closeCleanly } from '../wire/expect.ts';
import { type Extension, fieldLines, fieldOf, hasToken, parseExtensions } from '../wire/head.ts';
import { bitFaults } from './randomness.ts';

/** What of a request breaks a rule, as a phrase; undefined when nothing does. */
type Check = (attempt: ClientAttempt) => string | undefined;

/** Milliseconds for which an answer is held back, to see that the client waits for it. */
const HELD_BACK = 150;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Chapter 8, what a client asks: every rule of RFC 6455, 4.1, for the request. */
export function request(chapter: Chapter<ClientAttempt>): void {
  line(chapter);
  fields(chapter);
  offers(chapter);
  patience(chapter);
}

type Add = (
  title: string,
  check: Check,
  own?: { section?: string; level?: 'must' | 'should' },
) => void;

/** A section of cases that look at the request, and then let the client have its connection. */
function checks(chapter: Chapter<ClientAttempt>, section: string): Add {
  const add = chapter.section({ section, expects: 'a request that keeps the rule' });
  return (title, check, own) =>
    add(
      title,
      async (attempt) => {
        const fault = check(attempt);
        if (fault !== undefined) throw new Violation(fault);
        await closeCleanly(await attempt.open());
      },
      own,
    );
}

function line(chapter: Chapter<ClientAttempt>): void {
  const add = checks(chapter, 'RFC 6455, 4.1');
  const parts = (attempt: ClientAttempt): string[] => attempt.request.start.split(' ');
  add('the method of the request is GET', (attempt) => {
    const [method] = parts(attempt);
    return method === 'GET' ? undefined : `the method is ${method}`;
  });
  add('the version of HTTP is 1.1', (attempt) => {
    const version = parts(attempt)[2];
    return version === 'HTTP/1.1' ? undefined : `the request ends with ${version}`;
  });
  add('the first line has three parts, and one space between them', ({ request }) =>
    /^[^ ]+ [^ ]+ [^ ]+$/.test(request.start) ? undefined : 'it has not',
  );
  add('the target is a path, or an absolute http URL', (attempt) => {
    const target = parts(attempt)[1] ?? '';
    return /^(?:\/|https?:\/\/)/i.test(target) ? undefined : `the target is ${target}`;
  });
  add(
    'the target has no fragment',
    (attempt) => (parts(attempt)[1]?.includes('#') ? 'it has one' : undefined),
    { section: 'RFC 6455, 3' },
  );
  add(
    'the target is visible ASCII',
    ({ request }) => (/^[!-~ ]*$/.test(request.start) ? undefined : 'it is not'),
    { section: 'RFC 3986, 2' },
  );
}

function fields(chapter: Chapter<ClientAttempt>): void {
  const add = checks(chapter, 'RFC 6455, 4.1');
  const once = (name: string): Check => {
    return ({ request }) => {
      const { length } = fieldLines(request, name);
      return length === 1 ? undefined : `${name} is there ${length} times`;
    };
  };
  const value = ({ request }: ClientAttempt, name: string): string => fieldOf(request, name) ?? '';

  add('Host is there once', once('Host'), { section: 'RFC 6455, 4.1 and RFC 9112, 3.2' });
  add('Host names a host, and no user', (attempt) => {
    const host = value(attempt, 'host');
    return /^(?:\[[0-9a-f:.%]+\]|[^\s/@:?#[\]]+)(?::\d+)?$/i.test(host)
      ? undefined
      : `it is ${host}`;
  });
  add('Host names the port, which is not the default', (attempt) => {
    const host = value(attempt, 'host');
    return host.endsWith(`:${attempt.port}`) ? undefined : `${host} has no :${attempt.port}`;
  });
  add('Upgrade is there', ({ request }) =>
    fieldOf(request, 'upgrade') === undefined ? 'it is not' : undefined,
  );
  add('Upgrade has websocket', (attempt) =>
    hasToken(value(attempt, 'upgrade'), 'websocket') ? undefined : 'it has not',
  );
  add('Connection has Upgrade', (attempt) =>
    hasToken(value(attempt, 'connection'), 'upgrade') ? undefined : 'it has not',
  );
  add('Sec-WebSocket-Key is there once', once('Sec-WebSocket-Key'), {
    section: 'RFC 6455, 4.1 and 11.3.1',
  });
  add('Sec-WebSocket-Key has 24 characters', (attempt) =>
    attempt.key.length === 24 ? undefined : `it has ${attempt.key.length}`,
  );
  add('Sec-WebSocket-Key is the base64 of 16 bytes', (attempt) => {
    const bytes = Buffer.from(attempt.key, 'base64');
    return bytes.length === 16 && bytes.toString('base64') === attempt.key
      ? undefined
      : 'it is not';
  });
  add('Sec-WebSocket-Key is another than on every earlier connection', ({ key, record }) =>
    record.keys.filter((one) => one === key).length === 1 ? undefined : `${key} was there before`,
  );
  add('Sec-WebSocket-Key is random, as far as the connections of the run can tell', (attempt) => {
    const keys = attempt.record.keys.map((key) => Buffer.from(key, 'base64'));
    return bitFaults(keys.filter(({ length }) => length === 16))[0];
  });
  add('Sec-WebSocket-Version is there once', once('Sec-WebSocket-Version'), {
    section: 'RFC 6455, 4.1 and 11.3.5',
  });
  add('Sec-WebSocket-Version is 13', (attempt) => {
    const version = value(attempt, 'sec-websocket-version');
    return version === '13' ? undefined : `it is ${version}`;
  });
  add('Origin is there once at most', ({ request }) =>
    fieldLines(request, 'origin').length > 1 ? 'it is there more often' : undefined,
  );
  add(
    'Origin is null, or scheme, host and port',
    ({ request }) => {
      const [origin = 'null'] = fieldLines(request, 'origin');
      return origin === 'null' || /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@]+$/i.test(origin)
        ? undefined
        : `it is ${origin}`;
    },
    { section: 'RFC 6454, 7' },
  );
  add(
    'Sec-WebSocket-Accept, which is the server’s, is not there',
    ({ request }) => (fieldOf(request, 'sec-websocket-accept') === undefined ? undefined : 'it is'),
    { section: 'RFC 6455, 11.3.3', level: 'should' },
  );
  add(
    'no body is announced',
    (attempt) =>
      Number(value(attempt, 'content-length')) > 0 || value(attempt, 'transfer-encoding') !== ''
        ? 'one is'
        : undefined,
    { section: 'RFC 9110, 9.3.1', level: 'should' },
  );
  add(
    'no Expect is there: nothing follows that could be continued',
    ({ request }) => (fieldOf(request, 'expect') === undefined ? undefined : 'one is'),
    { section: 'RFC 9110, 10.1.1' },
  );
  add(
    'every value is visible ASCII, spaces and tabs',
    ({ request }) => {
      const strange = request.fields.find(([, one]) => !/^[\t -~]*$/.test(one));
      return strange === undefined ? undefined : `${strange[0]} has other bytes`;
    },
    { section: 'RFC 9110, 5.5', level: 'should' },
  );
}

function offers(chapter: Chapter<ClientAttempt>): void {
  const add = checks(chapter, 'RFC 6455, 4.1');
  const names = ({ request }: ClientAttempt): string[] =>
    fieldLines(request, 'sec-websocket-protocol').flatMap((one) =>
      one.split(',').map((name) => name.trim()),
    );
  add('Sec-WebSocket-Protocol, if there, lists tokens', (attempt) => {
    const strange = names(attempt).find((name) => !TOKEN.test(name));
    return strange === undefined ? undefined : `${JSON.stringify(strange)} is none`;
  });
  add('Sec-WebSocket-Protocol, if there, names each subprotocol once', (attempt) => {
    const all = names(attempt);
    return new Set(all).size === all.length ? undefined : all.join(', ');
  });
  const extensions = ({ request }: ClientAttempt): Extension[] => {
    const listed = fieldOf(request, 'sec-websocket-extensions');
    return listed === undefined ? [] : parseExtensions(listed);
  };
  add(
    'Sec-WebSocket-Extensions, if there, is a list of extensions',
    ({ request }) => {
      const listed = fieldOf(request, 'sec-websocket-extensions');
      if (listed === undefined || parseExtensions(listed).length > 0) return undefined;
      return 'it is empty';
    },
    { section: 'RFC 6455, 9.1' },
  );
  add(
    'an extension whose name is not registered is not offered',
    (attempt) => {
      const strange = extensions(attempt).find(({ name }) => /^x-/i.test(name));
      return strange === undefined ? undefined : strange.name;
    },
    { section: 'RFC 6455, 9.1', level: 'should' },
  );
}

function patience(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1',
    expects: 'nothing is sent until the answer has come, and then the connection works',
  });
  const pause = (): Promise<void> => new Promise((done) => setTimeout(done, HELD_BACK));
  const silent = async (attempt: ClientAttempt, before: number): Promise<void> => {
    await pause();
    if (attempt.peer.ended !== undefined) throw new Violation('the client did not wait');
    const more = attempt.peer.receivedBytes - before;
    if (more > 0) throw new Violation(`${more} bytes came before the answer`);
  };
  add('nothing follows the request', async (attempt) => {
    if (attempt.peer.waiting > 0) {
      throw new Violation(`${attempt.peer.waiting} bytes came with the request`);
    }
    await silent(attempt, attempt.peer.receivedBytes);
    const peer = await attempt.open();
    await alive(peer);
    await closeCleanly(peer);
  });
  add('nothing follows the request while half of the answer is there', async (attempt) => {
    const text = Buffer.from(attempt.acceptText(), 'latin1');
    await attempt.peer.send(text.subarray(0, 40), 'the first bytes of an answer');
    await silent(attempt, attempt.peer.receivedBytes);
    await attempt.peer.send(text.subarray(40), 'the rest of it');
    await alive(attempt.peer);
    await closeCleanly(attempt.peer);
  });
  add('nothing is sent before the empty line of the answer', async (attempt) => {
    const text = Buffer.from(attempt.acceptText(), 'latin1');
    await attempt.peer.send(text.subarray(0, -2), 'an answer without its empty line');
    await silent(attempt, attempt.peer.receivedBytes);
    await attempt.peer.send(text.subarray(-2), 'the empty line');
    await alive(attempt.peer);
    await closeCleanly(attempt.peer);
  });
}
