import { type Conn, type ServeOptions, serve } from '@ws/node-server';
import { runServerSuite, type ServerSuiteOptions, type SuiteReport } from '../../src/index.ts';

/** Asks our server over HTTP/2. */
export async function askOverHttp2(
  options: ServerSuiteOptions,
  server: ServeOptions = { http2: 'clear' },
): Promise<SuiteReport> {
  const ours = await serve({ host: '127.0.0.1', compression: true, ...server }, (conn: Conn) =>
    conn.receive((message) => conn.writeMessage(message.type, message.data)),
  );
  try {
    return await runServerSuite(ours.url, { http2: true, timeout: 30_000, ...options });
  } finally {
    await ours.close({ timeout: 1 });
  }
}
