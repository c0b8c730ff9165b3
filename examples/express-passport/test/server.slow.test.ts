import { type ClientConn, dial } from '@ws/node-client';
import { type Example, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('examples/express-passport', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('express-passport')));
  afterAll(() => example?.stop());

  async function login(password: string): Promise<Response> {
    const body = new URLSearchParams({ username: 'ada', password });
    return fetch(`${example.url}/login`, { method: 'POST', body });
  }

  function connect(cookie: string): Promise<ClientConn> {
    return dial(example.ws, { headers: { cookie } });
  }

  it('greets the user whom Passport has logged in', async () => {
    const response = await login('engine');
    expect(response.status).toBe(204);
    const conn = await connect(response.headers.get('set-cookie')!.split(';')[0]!);
    expect((await conn.readMessage()).text()).toBe('hello ada');
    await conn.send('echo');
    expect((await conn.readMessage()).text()).toBe('echo');
    await conn.close();
  });

  it.each(['', 'connect.sid=s%3Aforged.signature'])(
    'refuses the cookie "%s" with 401',
    async (cookie) => {
      await expect(connect(cookie)).rejects.toMatchObject({ status: 401 });
    },
  );

  it('sets no cookie for a wrong password', async () => {
    const response = await login('wrong');
    expect([response.status, response.headers.get('set-cookie')]).toEqual([401, null]);
  });

  it('ends on SIGTERM with exit code 0', async () => {
    expect(await example.stop(), example.output()).toBe(0);
  });
});
